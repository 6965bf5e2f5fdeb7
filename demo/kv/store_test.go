package kv

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/vmihailenco/msgpack/v5"
	"pgregory.net/rapid"
)

// apply runs one command and decodes its result.
func apply(t interface{ Fatal(...any) }, s *Store, c Command) Result {
	r, err := DecodeResult(s.Apply(c.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// A model is the obvious implementation.
type model map[string]string

func (m model) apply(c Command) Result {
	old, ok := m[c.Key]
	switch c.Op {
	case Put:
		m[c.Key] = string(c.Value)
		return Result{Done: true}
	case Append:
		m[c.Key] = old + string(c.Value)
		r := Result{Done: true, Length: len(m[c.Key])}
		if c.Whole {
			r.Value = []byte(m[c.Key])
		}
		return r
	case CAS:
		if ok == (c.Expect != nil) && (!ok || old == string(c.Expect)) {
			m[c.Key] = string(c.Value)
			return Result{Done: true, Value: []byte(m[c.Key])}
		}
		if !ok {
			return Result{}
		}
		return Result{Value: []byte(old)}
	default:
		delete(m, c.Key)
		return Result{Done: ok}
	}
}

func commands() *rapid.Generator[Command] {
	return rapid.Custom(func(t *rapid.T) Command {
		c := Command{
			Op:  rapid.SampledFrom([]Op{Put, Append, CAS, Delete}).Draw(t, "op"),
			Key: rapid.SampledFrom([]string{"", "a", "a\x00", "ab", "b", "\xff\xfe", "ключ"}).Draw(t, "key"),
		}
		value := rapid.SampledFrom([]string{"", "x", "yz", "\x00\xff", strings.Repeat("long ", 80)})
		if c.Op != Delete {
			c.Value = []byte(value.Draw(t, "value"))
		}
		if c.Op == CAS && rapid.Bool().Draw(t, "expects") {
			c.Expect = []byte(value.Draw(t, "expect"))
		}
		c.Whole = c.Op == Append && rapid.Bool().Draw(t, "whole")
		return c
	})
}

// TestStoreIsAMap runs random commands on the store and on a plain map, with snapshots taken, overtaken and restored on the way.
func TestStoreIsAMap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s, m := NewStore(), model{}
		for range rapid.IntRange(1, 4).Draw(t, "rounds") {
			for _, c := range rapid.SliceOfN(commands(), 0, 30).Draw(t, "commands") {
				encoded := c.Encode()
				decoded, err := DecodeCommand(encoded)
				if err != nil || fmt.Sprintf("%#v", decoded) != fmt.Sprintf("%#v", c) {
					t.Fatalf("%#v came back as %#v: %v", c, decoded, err)
				}
				got := apply(t, s, c)
				clear(encoded)
				if want := m.apply(c); fmt.Sprintf("%#v", got) != fmt.Sprintf("%#v", want) {
					t.Fatalf("%v: got %#v, want %#v", c, got, want)
				}
			}
			same(t, s, m)
			frozen := maps.Clone(m)
			write, err := s.Snapshot()
			if err != nil {
				t.Fatal(err)
			}
			for _, c := range rapid.SliceOfN(commands(), 0, 10).Draw(t, "overtaking") {
				apply(t, s, c)
				m.apply(c)
			}
			var file bytes.Buffer
			if err := write(&file); err != nil {
				t.Fatal(err)
			}
			same(t, s, m)
			restored := NewStore()
			if err := restored.Restore(&file); err != nil {
				t.Fatal(err)
			}
			same(t, restored, frozen)
			s, m = restored, frozen
		}
	})
}

func same(t interface{ Fatalf(string, ...any) }, s *Store, m model) {
	items, more := s.List(Page{Limit: len(m) + 1})
	if more || len(items) != len(m) || s.Len() != len(m) {
		t.Fatalf("store lists %d of %d items, want %d", len(items), s.Len(), len(m))
	}
	for i, key := range slices.Sorted(maps.Keys(m)) {
		value, ok := s.Get(key)
		if items[i].Key != key || string(items[i].Value) != m[key] || !ok || string(value) != m[key] {
			t.Fatalf("item %d is %q, Get says %q, want %q=%q", i, items[i], value, key, m[key])
		}
	}
}

func TestLimits(t *testing.T) {
	s := NewStore()
	full := bytes.Repeat([]byte{'v'}, MaxValue)
	longest := strings.Repeat("k", MaxKey)
	for _, test := range []struct {
		name string
		c    Command
		want Fault
	}{
		{"longest key, largest value", Command{Op: Put, Key: longest, Value: full}, OK},
		{"append nothing to it", Command{Op: Append, Key: longest}, OK},
		{"append a byte to it", Command{Op: Append, Key: longest, Value: []byte("x")}, TooLarge},
		{"key too long", Command{Op: Put, Key: longest + "k"}, TooLarge},
		{"delete of a key too long", Command{Op: Delete, Key: longest + "k"}, TooLarge},
		{"value too large", Command{Op: Put, Key: "k", Value: append(full, 'x')}, TooLarge},
		{"cas to a value too large", Command{Op: CAS, Key: "k", Value: append(full, 'x')}, TooLarge},
	} {
		if got := apply(t, s, test.c); got.Fault != test.want {
			t.Errorf("%s: fault %d, want %d", test.name, got.Fault, test.want)
		}
	}
	if value, _ := s.Get(longest); len(value) != MaxValue || s.Len() != 1 {
		t.Errorf("a refused command changed the map: %d bytes, %d keys", len(value), s.Len())
	}
}

// TestBadCommands cuts, extends and flips encoded commands: Apply must answer, and alike on every store.
func TestBadCommands(t *testing.T) {
	good := Command{Op: CAS, Key: "key", Value: []byte("value"), Expect: []byte("old"), Whole: true}.Encode()
	for n := range good {
		if r, err := DecodeResult(NewStore().Apply(good[:n])); err != nil || r.Fault != Bad {
			t.Errorf("cut at %d: %+v, %v", n, r, err)
		}
	}
	if r, _ := DecodeResult(NewStore().Apply(append(slices.Clone(good), 0))); r.Fault != Bad {
		t.Errorf("a byte too many: %+v", r)
	}
	rapid.Check(t, func(t *rapid.T) {
		garbage := slices.Clone(good)
		for range rapid.IntRange(0, 4).Draw(t, "flips") {
			garbage[rapid.IntRange(0, len(garbage)-1).Draw(t, "at")] = rapid.Byte().Draw(t, "byte")
		}
		a, b := NewStore(), NewStore()
		if !bytes.Equal(a.Apply(garbage), b.Apply(garbage)) {
			t.Fatal("two stores answer differently")
		}
	})
}

func TestEncodingIsMsgpack(t *testing.T) {
	var command, result []any
	if err := msgpack.Unmarshal(Command{Op: Append, Key: "k", Value: make([]byte, 300), Whole: true}.Encode(), &command); err != nil {
		t.Fatal(err)
	}
	if err := msgpack.Unmarshal(Result{Done: true, Length: 1000}.Encode(), &result); err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprintf("%T %v %d %v %v", command[1], command[0], len(command[2].([]byte)), command[3], command[4]); got != "[]uint8 2 300 <nil> true" {
		t.Errorf("command: %s", got)
	}
	if got := fmt.Sprint(result); got != "[0 true <nil> 1000]" {
		t.Errorf("result: %s", got)
	}
}

func TestList(t *testing.T) {
	s := NewStore()
	for _, key := range []string{"a", "b/1", "b/2", "b/3", "c", "\xff", "\xff\xff"} {
		apply(t, s, Command{Op: Put, Key: key, Value: []byte("12345678")})
	}
	for _, test := range []struct {
		page Page
		want string
	}{
		{Page{Limit: 100}, "[a b/1 b/2 b/3 c \xff \xff\xff] false"},
		{Page{Prefix: "b/", Limit: 100}, "[b/1 b/2 b/3] false"},
		{Page{Prefix: "b/", Limit: 3}, "[b/1 b/2 b/3] false"},
		{Page{Prefix: "b/", Limit: 2}, "[b/1 b/2] true"},
		{Page{Prefix: "b/", After: "b/2", Limit: 2}, "[b/3] false"},
		{Page{Prefix: "b/", After: "b/3", Limit: 2}, "[] false"},
		{Page{After: "b/1x", Limit: 1}, "[b/2] true"},
		{Page{Prefix: "\xff", Limit: 9}, "[\xff \xff\xff] false"},
		{Page{Prefix: "b/", Limit: 9, Bytes: 20}, "[b/1 b/2] true"},
		{Page{Limit: 0}, "[] true"},
	} {
		items, more := s.List(test.page)
		keys := []string{}
		for _, item := range items {
			keys = append(keys, item.Key)
		}
		if got := fmt.Sprint(keys, more); got != test.want {
			t.Errorf("%+v: got %s, want %s", test.page, got, test.want)
		}
	}
}

func TestDamagedSnapshots(t *testing.T) {
	s := NewStore()
	for i := range 200 {
		apply(t, s, Command{Op: Put, Key: fmt.Sprintf("key %03d", i), Value: bytes.Repeat([]byte{byte(i)}, i*3)})
	}
	write, _ := s.Snapshot()
	var file bytes.Buffer
	if err := write(&file); err != nil {
		t.Fatal(err)
	}
	whole := file.Bytes()
	target := NewStore()
	apply(t, target, Command{Op: Put, Key: "kept", Value: []byte("yes")})
	for _, n := range []int{0, 1, 2, 5, 12, 30, len(whole) / 2, len(whole) - 1} {
		if err := target.Restore(bytes.NewReader(whole[:n])); !errors.Is(err, ErrSnapshot) {
			t.Errorf("cut at %d: %v", n, err)
		}
	}
	if err := target.Restore(bytes.NewReader(append(slices.Clone(whole), 1))); !errors.Is(err, ErrSnapshot) {
		t.Errorf("a byte too many: %v", err)
	}
	huge := []byte{mpFixArr | 2, snapshotVersion, 1, mpBin32, 0xff, 0xff, 0xff, 0xff}
	if err := target.Restore(bytes.NewReader(huge)); !errors.Is(err, ErrSnapshot) {
		t.Errorf("a key of 4 GiB: %v", err)
	}
	if _, ok := target.Get("kept"); !ok || target.Len() != 1 {
		t.Error("a refused snapshot changed the map")
	}
	if err := target.Restore(nil); err != nil || target.Len() != 0 {
		t.Errorf("restore of nothing: %v, %d keys left", err, target.Len())
	}
}

func TestSnapshotReportsTheWriter(t *testing.T) {
	s := NewStore()
	apply(t, s, Command{Op: Put, Key: "k", Value: make([]byte, MaxValue)})
	write, _ := s.Snapshot()
	broken := errors.New("disk full")
	if err := write(writerFunc(func([]byte) (int, error) { return 0, broken })); !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(b []byte) (int, error) { return f(b) }

// TestReadersBesideTheWriter is for the race detector: appends grow a value in place while readers and a snapshot hold it.
func TestReadersBesideTheWriter(t *testing.T) {
	s := NewStore()
	var wg sync.WaitGroup
	stop := make(chan struct{})
	for range 2 {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				value, _ := s.Get("k")
				if strings.Trim(string(value), "x") != "" {
					t.Errorf("read %q", value)
					return
				}
				s.List(Page{Limit: 10})
			}
		})
	}
	for i := range 500 {
		apply(t, s, Command{Op: Append, Key: "k", Value: []byte("x")})
		apply(t, s, Command{Op: Put, Key: fmt.Sprint(i), Value: []byte("v")})
		if i%50 == 0 {
			write, _ := s.Snapshot()
			wg.Go(func() {
				var file bytes.Buffer
				if err := write(&file); err != nil {
					t.Error(err)
				}
				copied := NewStore()
				if err := copied.Restore(&file); err != nil {
					t.Error(err)
				}
				if value, _ := copied.Get("k"); len(value) != i+1 {
					t.Errorf("snapshot after %d appends holds %d", i+1, len(value))
				}
			})
		}
	}
	close(stop)
	wg.Wait()
}

func TestCommandInWords(t *testing.T) {
	for want, c := range map[string]Command{
		`put "k" "v"`:         {Op: Put, Key: "k", Value: []byte("v")},
		`append "k" "\x00"`:   {Op: Append, Key: "k", Value: []byte{0}},
		`cas "k" missing "v"`: {Op: CAS, Key: "k", Value: []byte("v")},
		`cas "k" "" "v"`:      {Op: CAS, Key: "k", Value: []byte("v"), Expect: []byte{}},
		`delete "k"`:          {Op: Delete, Key: "k"},
	} {
		if c.String() != want {
			t.Errorf("got %s, want %s", c, want)
		}
	}
}

// What is quoted piece by piece is quoted as a whole would be, wherever a piece ends.
func TestQuoteInPieces(t *testing.T) {
	for _, some := range []string{"v", "ö", "€", "🎭", "\xff", "a\x80\x80", "\xf0\x9f\x8e", "\"\\\n\x01", "🎭\x80\x80"} {
		for shift := range 9 {
			text := strings.Repeat("x", shift) + strings.Repeat(some, 3*quotePart/len(some))
			var b strings.Builder
			if err := Quote(&b, []byte(text)); err != nil || b.String() != fmt.Sprintf("%q", text) {
				t.Errorf("%q behind %d: %v", some, shift, err)
			}
		}
	}
}
