package kv

import (
	"bytes"
	"errors"
	"fmt"
	"testing"

	"github.com/troupe-raft/troupe/internal/allocs"
)

// FuzzCommand takes any bytes for an entry of the log. Every store must answer them alike, whether or not they are a command, and
// what is one encodes and decodes to itself.
func FuzzCommand(f *testing.F) {
	for _, c := range []Command{
		{Op: Put, Key: "k", Value: []byte("v")}, {Op: Append, Key: "", Value: []byte{}, Whole: true},
		{Op: CAS, Key: "k", Value: []byte("v"), Expect: []byte{}}, {Op: CAS, Key: "k", Value: nil}, {Op: Delete, Key: "k"},
		{Op: Put, Key: "k", Value: make([]byte, 300)},
	} {
		f.Add(c.Encode())
	}
	f.Add([]byte{mpFixArr | commandFields, 1, mpBin32, 0xff, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, b []byte) {
		var c Command
		var err error
		allocs.AtMost(t, 2*len(b)+1<<10, func() { c, err = DecodeCommand(b) })
		if err != nil && !errors.Is(err, ErrCommand) {
			t.Fatal(err)
		}
		if err == nil {
			again, err := DecodeCommand(c.Encode())
			if err != nil || fmt.Sprintf("%#v", again) != fmt.Sprintf("%#v", c) {
				t.Fatalf("%#v became %#v: %v", c, again, err)
			}
		}
		one, other := NewStore(), NewStore()
		answer := one.Apply(b)
		if !bytes.Equal(answer, other.Apply(b)) {
			t.Fatal("two stores answer differently")
		}
		r, decoding := DecodeResult(answer)
		if decoding != nil || (r.Fault == Bad) != (err != nil) {
			t.Fatalf("answered %+v to %v: %v", r, err, decoding)
		}
		if err != nil && one.Len() != 0 {
			t.Fatal("bytes that are no command changed the map")
		}
	})
}

// FuzzResult takes any bytes for a result, which another node may have sent.
func FuzzResult(f *testing.F) {
	for _, r := range []Result{{}, {Done: true, Value: []byte{}}, {Fault: TooLarge}, {Done: true, Length: 1 << 40, Value: []byte("v")}} {
		f.Add(r.Encode())
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var r Result
		var err error
		allocs.AtMost(t, len(b)+1<<10, func() { r, err = DecodeResult(b) })
		if err != nil {
			if !errors.Is(err, ErrResult) {
				t.Fatal(err)
			}
			return
		}
		again, err := DecodeResult(r.Encode())
		if err != nil || fmt.Sprintf("%#v", again) != fmt.Sprintf("%#v", r) {
			t.Fatalf("%#v became %#v: %v", r, again, err)
		}
	})
}

// FuzzSnapshot takes any bytes for the payload of a snapshot. What is accepted is written again as it was, memory is taken in
// proportion to what is there and for one announced item, and what is refused changes nothing.
func FuzzSnapshot(f *testing.F) {
	s := NewStore()
	for i := range 3 {
		s.Apply(Command{Op: Put, Key: fmt.Sprint("key", i), Value: bytes.Repeat([]byte{'v'}, i*150)}.Encode())
	}
	write, err := s.Snapshot()
	if err != nil {
		f.Fatal(err)
	}
	var file bytes.Buffer
	if err := write(&file); err != nil {
		f.Fatal(err)
	}
	f.Add(file.Bytes())
	f.Add([]byte{mpFixArr | 2, snapshotVersion, 0})
	f.Add([]byte{mpFixArr | 2, snapshotVersion, mpUint64, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, mpBin8, 0, mpBin8, 0})
	f.Add([]byte{mpFixArr | 2, snapshotVersion, 1, mpBin8, 1, 'k', mpBin32, 0, 0x0f, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, b []byte) {
		s := NewStore()
		s.Apply(Command{Op: Put, Key: "kept", Value: []byte("yes")}.Encode())
		var err error
		allocs.AtMost(t, 64*len(b)+snapshotBuffer+MaxKey+MaxValue+32<<10, func() { err = s.Restore(bytes.NewReader(b)) })
		if err != nil {
			if value, ok := s.Get("kept"); !errors.Is(err, ErrSnapshot) || !ok || string(value) != "yes" || s.Len() != 1 {
				t.Fatalf("%v left %d items", err, s.Len())
			}
			return
		}
		write, err := s.Snapshot()
		if err != nil {
			t.Fatal(err)
		}
		var once, twice bytes.Buffer
		if err := write(&once); err != nil {
			t.Fatal(err)
		}
		again := NewStore()
		if err := again.Restore(bytes.NewReader(once.Bytes())); err != nil {
			t.Fatalf("what was read cannot be read again: %v", err)
		}
		if write, err = again.Snapshot(); err == nil {
			err = write(&twice)
		}
		if err != nil || !bytes.Equal(once.Bytes(), twice.Bytes()) || again.Len() != s.Len() {
			t.Fatalf("%d items became %d: %v", s.Len(), again.Len(), err)
		}
	})
}
