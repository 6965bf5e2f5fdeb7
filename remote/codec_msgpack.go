package remote

import (
	"encoding/binary"
	"errors"
	"math"
)

// The subset of msgpack that heads are made of, written by hand: reflection would cost more than the socket.
// Integers take their shortest form, as the format asks of a serializer; the reader takes any form.

var errMalformed = errors.New("malformed")

func appendUint(b []byte, v uint64) []byte {
	switch {
	case v < 0x80:
		return append(b, byte(v))
	case v <= math.MaxUint8:
		return append(b, 0xcc, byte(v))
	case v <= math.MaxUint16:
		return binary.BigEndian.AppendUint16(append(b, 0xcd), uint16(v))
	case v <= math.MaxUint32:
		return binary.BigEndian.AppendUint32(append(b, 0xce), uint32(v))
	}
	return binary.BigEndian.AppendUint64(append(b, 0xcf), v)
}

func appendInt(b []byte, v int64) []byte {
	switch {
	case v >= 0:
		return appendUint(b, uint64(v))
	case v >= -32:
		return append(b, byte(v))
	}
	return binary.BigEndian.AppendUint64(append(b, 0xd3), uint64(v))
}

func appendBool(b []byte, v bool) []byte {
	if v {
		return append(b, 0xc3)
	}
	return append(b, 0xc2)
}

func appendString(b []byte, s string) []byte {
	switch {
	case len(s) < 32:
		b = append(b, 0xa0|byte(len(s)))
	case len(s) <= math.MaxUint8:
		b = append(b, 0xd9, byte(len(s)))
	case len(s) <= math.MaxUint16:
		b = binary.BigEndian.AppendUint16(append(b, 0xda), uint16(len(s)))
	default:
		b = binary.BigEndian.AppendUint32(append(b, 0xdb), uint32(len(s)))
	}
	return append(b, s...)
}

func appendBin(b, data []byte) []byte {
	switch {
	case len(data) <= math.MaxUint8:
		b = append(b, 0xc4, byte(len(data)))
	case len(data) <= math.MaxUint16:
		b = binary.BigEndian.AppendUint16(append(b, 0xc5), uint16(len(data)))
	default:
		b = binary.BigEndian.AppendUint32(append(b, 0xc6), uint32(len(data)))
	}
	return append(b, data...)
}

func appendArray(b []byte, n int) []byte {
	switch {
	case n < 16:
		return append(b, 0x90|byte(n))
	case n <= math.MaxUint16:
		return binary.BigEndian.AppendUint16(append(b, 0xdc), uint16(n))
	}
	return binary.BigEndian.AppendUint32(append(b, 0xdd), uint32(n))
}

// A reader takes values off the front of b. After the first fault every read yields zero; ask bad at the end.
type reader struct {
	b   []byte
	bad bool
}

func (r *reader) take(n int) []byte {
	if r.bad || n < 0 || n > len(r.b) {
		r.bad = true
		return nil
	}
	taken := r.b[:n]
	r.b = r.b[n:]
	return taken
}

func (r *reader) byte() byte {
	if t := r.take(1); t != nil {
		return t[0]
	}
	return 0
}

func (r *reader) bigEndian(n int) (v uint64) {
	for _, c := range r.take(n) {
		v = v<<8 | uint64(c)
	}
	return v
}

func (r *reader) uint() uint64 {
	c := r.byte()
	switch {
	case c < 0x80:
		return uint64(c)
	case c >= 0xcc && c <= 0xcf:
		return r.bigEndian(1 << (c - 0xcc))
	}
	r.bad = true
	return 0
}

// uint32 is for fields that are narrower than the wire.
func (r *reader) uint32() uint32 {
	v := r.uint()
	r.bad = r.bad || v > math.MaxUint32
	return uint32(v)
}

func (r *reader) int() int64 {
	if len(r.b) == 0 || r.b[0] < 0x80 || (r.b[0] >= 0xcc && r.b[0] <= 0xcf) {
		v := r.uint()
		r.bad = r.bad || v > math.MaxInt64
		return int64(v)
	}
	c := r.byte()
	switch c {
	case 0xd0:
		return int64(int8(r.bigEndian(1)))
	case 0xd1:
		return int64(int16(r.bigEndian(2)))
	case 0xd2:
		return int64(int32(r.bigEndian(4)))
	case 0xd3:
		return int64(r.bigEndian(8))
	}
	r.bad = r.bad || c < 0xe0
	return int64(int8(c))
}

func (r *reader) bool() bool {
	c := r.byte()
	r.bad = r.bad || c&^1 != 0xc2
	return c == 0xc3
}

// string copies, so that nothing keeps the reading buffer.
func (r *reader) string() string {
	c := r.byte()
	switch {
	case c&0xe0 == 0xa0:
		return string(r.take(int(c & 0x1f)))
	case c >= 0xd9 && c <= 0xdb:
		return string(r.take(int(r.bigEndian(1 << (c - 0xd9)))))
	}
	r.bad = true
	return ""
}

// bin does not copy.
func (r *reader) bin() []byte {
	c := r.byte()
	if c < 0xc4 || c > 0xc6 {
		r.bad = true
		return nil
	}
	return r.take(int(r.bigEndian(1 << (c - 0xc4))))
}

// value passes over one value of any type that heads are made of.
func (r *reader) value() {
	if len(r.b) == 0 {
		r.bad = true
		return
	}
	switch c := r.b[0]; {
	case c&0xf0 == 0x90 || c == 0xdc || c == 0xdd:
		for n := r.array(1); n > 0 && !r.bad; n-- {
			r.value()
		}
	case c&0xe0 == 0xa0 || c >= 0xd9 && c <= 0xdb:
		_ = r.string()
	case c >= 0xc4 && c <= 0xc6:
		_ = r.bin()
	case c&^1 == 0xc2:
		_ = r.bool()
	case c >= 0xcc && c <= 0xcf:
		_ = r.uint()
	default:
		_ = r.int()
	}
}

// array reads the header of an array whose elements have at least width bytes each, so that what is
// allocated for it is in proportion to what has really arrived.
func (r *reader) array(width int) int {
	c := r.byte()
	var n uint64
	switch {
	case c&0xf0 == 0x90:
		n = uint64(c & 0x0f)
	case c == 0xdc:
		n = r.bigEndian(2)
	case c == 0xdd:
		n = r.bigEndian(4)
	default:
		r.bad = true
	}
	if r.bad || n > uint64(len(r.b)/width) {
		r.bad = true
		return 0
	}
	return int(n)
}
