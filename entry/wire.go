package entry

import "encoding/binary"

// The msgpack markers that the codecs write. Readers accept these and no others.
const (
	fixArray = 0x90
	fixStr   = 0xa0
	bin8     = 0xc4
	bin16    = 0xc5
	bin32    = 0xc6
	uint8m   = 0xcc
	uint16m  = 0xcd
	uint32m  = 0xce
	uint64m  = 0xcf
	int64m   = 0xd3
	str8     = 0xd9
	str16    = 0xda
	str32    = 0xdb
	array16  = 0xdc
	array32  = 0xdd
)

func appendUint(b []byte, v uint64) []byte {
	switch {
	case v < 0x80:
		return append(b, byte(v))
	case v < 1<<8:
		return append(b, uint8m, byte(v))
	case v < 1<<16:
		return binary.BigEndian.AppendUint16(append(b, uint16m), uint16(v))
	case v < 1<<32:
		return binary.BigEndian.AppendUint32(append(b, uint32m), uint32(v))
	}
	return binary.BigEndian.AppendUint64(append(b, uint64m), v)
}

func appendBin(b, data []byte) []byte {
	switch n := len(data); {
	case n < 1<<8:
		b = append(b, bin8, byte(n))
	case n < 1<<16:
		b = binary.BigEndian.AppendUint16(append(b, bin16), uint16(n))
	default:
		b = binary.BigEndian.AppendUint32(append(b, bin32), uint32(n))
	}
	return append(b, data...)
}

func appendStr(b []byte, s string) []byte {
	switch n := len(s); {
	case n < 32:
		b = append(b, fixStr|byte(n))
	case n < 1<<8:
		b = append(b, str8, byte(n))
	case n < 1<<16:
		b = binary.BigEndian.AppendUint16(append(b, str16), uint16(n))
	default:
		b = binary.BigEndian.AppendUint32(append(b, str32), uint32(n))
	}
	return append(b, s...)
}

func appendArray(b []byte, n int) []byte {
	switch {
	case n < 16:
		return append(b, fixArray|byte(n))
	case n < 1<<16:
		return binary.BigEndian.AppendUint16(append(b, array16), uint16(n))
	}
	return binary.BigEndian.AppendUint32(append(b, array32), uint32(n))
}

// A cursor reads msgpack from b. Once something does not fit it is bad, and everything it reads is zero.
type cursor struct {
	b   []byte
	bad bool
}

// take returns the next n bytes, aliasing b.
func (c *cursor) take(n uint64) []byte {
	if c.bad || n > uint64(len(c.b)) {
		c.bad, c.b = true, nil
		return nil
	}
	p := c.b[:n:n]
	c.b = c.b[n:]
	return p
}

func (c *cursor) byte() byte {
	if len(c.b) == 0 {
		c.bad = true
		return 0
	}
	v := c.b[0]
	c.b = c.b[1:]
	return v
}

// be reads a big-endian number of n bytes.
func (c *cursor) be(n uint64) (v uint64) {
	for _, x := range c.take(n) {
		v = v<<8 | uint64(x)
	}
	return v
}

func (c *cursor) uint() uint64 {
	switch m := c.byte(); {
	case m < 0x80:
		return uint64(m)
	case m >= uint8m && m <= uint64m:
		return c.be(1 << (m - uint8m))
	}
	c.bad = true
	return 0
}

func (c *cursor) bin() []byte {
	m := c.byte()
	if m < bin8 || m > bin32 {
		c.bad = true
		return nil
	}
	return c.take(c.be(1 << (m - bin8)))
}

func (c *cursor) str() string {
	m := c.byte()
	switch {
	case m&0xe0 == fixStr:
		return string(c.take(uint64(m & 0x1f)))
	case m >= str8 && m <= str32:
		return string(c.take(c.be(1 << (m - str8))))
	}
	c.bad = true
	return ""
}

// array reads an array's length. Every element needs least bytes, so that no length that the
// input cannot hold makes a caller allocate.
func (c *cursor) array(least uint64) int {
	var n uint64
	switch m := c.byte(); {
	case m&0xf0 == fixArray:
		n = uint64(m & 0x0f)
	case m == array16:
		n = c.be(2)
	case m == array32:
		n = c.be(4)
	default:
		c.bad = true
	}
	if n*least > uint64(len(c.b)) {
		c.bad = true
	}
	if c.bad {
		return 0
	}
	return int(n)
}
