package remote

import (
	"bytes"
	"math"
	"strings"
	"testing"

	"github.com/vmihailenco/msgpack/v5"
)

// What we write is what the library writes in its compact form, and what it writes in any form we read.
func TestValuesAgreeWithTheLibrary(t *testing.T) {
	library := func(compact bool, v any) []byte {
		var b bytes.Buffer
		e := msgpack.NewEncoder(&b)
		e.UseCompactInts(compact)
		if err := e.Encode(v); err != nil {
			t.Fatal(err)
		}
		return b.Bytes()
	}
	check := func(name string, ours, compact, loose []byte, read func(*reader) bool) {
		t.Helper()
		if !bytes.Equal(ours, compact) {
			t.Errorf("%s: wrote %x, the library %x", name, ours[:min(len(ours), 12)], compact[:min(len(compact), 12)])
		}
		for _, b := range [][]byte{ours, loose} {
			r := reader{b: b}
			if !read(&r) || r.bad || len(r.b) > 0 {
				t.Errorf("%s: cannot read %x", name, b[:min(len(b), 12)])
			}
			for n := range min(len(b), 12) {
				if short := (reader{b: b[:n]}); read(&short) && !short.bad {
					t.Errorf("%s: read from %d of %d bytes", name, n, len(b))
				}
			}
		}
	}
	for _, v := range []uint64{0, 1, 127, 128, 255, 256, 65535, 65536, math.MaxUint32, math.MaxUint32 + 1, math.MaxUint64} {
		check("uint", appendUint(nil, v), library(true, v), library(false, v), func(r *reader) bool { return r.uint() == v })
	}
	for _, v := range []int64{0, 127, 128, -1, -32, math.MaxInt64, math.MinInt64} {
		check("int", appendInt(nil, v), library(true, v), library(false, v), func(r *reader) bool { return r.int() == v })
	}
	for _, n := range []int{0, 31, 32, 255, 256, 65535, 65536} {
		text := strings.Repeat("x", n)
		check("string", appendString(nil, text), library(true, text), library(true, text), func(r *reader) bool { return r.string() == text })
		data := []byte(text)
		check("bin", appendBin(nil, data), library(true, data), library(true, data), func(r *reader) bool { return string(r.bin()) == text })
		many := library(true, make([]bool, n))
		check("array", append(appendArray(nil, n), bytes.Repeat([]byte{0xc2}, n)...), many, many, func(r *reader) bool {
			r.bad = r.array(1) != n || r.bad
			for range n {
				r.bad = r.bool() || r.bad
			}
			return !r.bad
		})
	}
	for _, v := range []bool{false, true} {
		check("bool", appendBool(nil, v), library(true, v), library(true, v), func(r *reader) bool { return r.bool() == v })
	}
	for v, b := range map[int64][]byte{-2: {0xd0, 0xfe}, -3: {0xd1, 0xff, 0xfd}, -4: {0xd2, 0xff, 0xff, 0xff, 0xfc}} {
		if r := (reader{b: b}); r.int() != v || r.bad {
			t.Errorf("cannot read %d from %x", v, b)
		}
	}
}

func TestReaderRefusesOtherTypes(t *testing.T) {
	for first := range 256 {
		b := append([]byte{byte(first)}, make([]byte, 16)...)
		kinds := 0
		for _, read := range []func(*reader){
			func(r *reader) { r.int() }, func(r *reader) { r.bool() }, func(r *reader) { _ = r.string() },
			func(r *reader) { r.bin() }, func(r *reader) { r.array(1) },
		} {
			if r := (reader{b: b}); func() bool { read(&r); return !r.bad }() {
				kinds++
			}
		}
		if kinds > 1 {
			t.Errorf("first byte %#x is read as %d types", first, kinds)
		}
	}
	if r := (reader{b: appendUint(nil, 1<<32)}); r.uint32() != 0 || !r.bad {
		t.Error("a field of 32 bits takes more")
	}
	if r := (reader{b: appendUint(nil, 1<<63)}); r.int() == 0 || !r.bad {
		t.Error("a signed field takes what only fits an unsigned one")
	}
	var size int64
	c := coder{version: newest, reading: true, reader: reader{b: appendInt(nil, -1)}}
	if c.size(1, &size); size != -1 || !c.bad {
		t.Error("a size is negative")
	}
}
