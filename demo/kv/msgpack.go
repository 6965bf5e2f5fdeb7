package kv

import (
	"encoding/binary"
	"math"
)

// The few msgpack formats that commands, results and snapshots are made of.
const (
	mpNil     = 0xc0
	mpFalse   = 0xc2
	mpTrue    = 0xc3
	mpBin8    = 0xc4
	mpBin16   = 0xc5
	mpBin32   = 0xc6
	mpUint64  = 0xcf
	mpFixArr  = 0x90
	mpFixMask = 0x0f
	mpMaxFix  = 0x7f // the largest positive fixint
)

func appendUint(b []byte, v uint64) []byte {
	if v <= mpMaxFix {
		return append(b, byte(v))
	}
	return binary.BigEndian.AppendUint64(append(b, mpUint64), v)
}

func appendBool(b []byte, v bool) []byte {
	if v {
		return append(b, mpTrue)
	}
	return append(b, mpFalse)
}

// appendBinHeader announces n bytes, n at most MaxUint32.
func appendBinHeader(b []byte, n int) []byte {
	switch {
	case n <= math.MaxUint8:
		return append(b, mpBin8, byte(n))
	case n <= math.MaxUint16:
		return binary.BigEndian.AppendUint16(append(b, mpBin16), uint16(n))
	default:
		return binary.BigEndian.AppendUint32(append(b, mpBin32), uint32(n))
	}
}

// appendBin encodes nil and the empty slice differently.
func appendBin(b, v []byte) []byte {
	if v == nil {
		return append(b, mpNil)
	}
	return append(appendBinHeader(b, len(v)), v...)
}

// A cursor reads what the functions above wrote. Once bad it stays bad and yields zeros.
type cursor struct {
	b   []byte
	bad bool
}

// take returns the next n bytes, or nil and bad.
func (c *cursor) take(n int) []byte {
	if c.bad || n > len(c.b) {
		c.bad = true
		return nil
	}
	out := c.b[:n:n]
	c.b = c.b[n:]
	return out
}

func (c *cursor) byte() byte {
	if b := c.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (c *cursor) array() int {
	head := c.byte()
	if head&^mpFixMask != mpFixArr {
		c.bad = true
		return 0
	}
	return int(head & mpFixMask)
}

func (c *cursor) uint() uint64 {
	head := c.byte()
	if head == mpUint64 {
		if b := c.take(8); b != nil {
			return binary.BigEndian.Uint64(b)
		}
		return 0
	}
	if head > mpMaxFix {
		c.bad = true
		return 0
	}
	return uint64(head)
}

func (c *cursor) bool() bool {
	head := c.byte()
	if head != mpTrue && head != mpFalse {
		c.bad = true
	}
	return head == mpTrue
}

// bin returns a part of the input; nil only for an encoded nil or when bad.
func (c *cursor) bin() []byte {
	width := 0
	switch c.byte() {
	case mpNil:
		return nil
	case mpBin8:
		width = 1
	case mpBin16:
		width = 2
	case mpBin32:
		width = 4
	default:
		c.bad = true
		return nil
	}
	n := 0
	for _, b := range c.take(width) {
		n = n<<8 | int(b)
	}
	return c.take(n)
}

// done reports whether all was read and well formed.
func (c *cursor) done() bool { return !c.bad && len(c.b) == 0 }
