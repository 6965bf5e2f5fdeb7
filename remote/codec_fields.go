package remote

import (
	"reflect"

	"github.com/troupe-raft/troupe/raft"
)

// A kind is a sort of message: how it is told from others on the wire, and what it is made of.
type kind struct {
	number byte
	since  Version
	lane   Lane
	of     reflect.Type
	make   func() any
	fields func(*coder, any)
}

// declare says how messages of type M travel: under which number, since which version, on which lane, and with which fields.
// Numbers never change their meaning, and fields their order: new ones join at the end.
func declare[M any](number byte, since Version, lane Lane, fields func(*coder, *M)) kind {
	return kind{number, since, lane, reflect.TypeFor[*M](), func() any { return new(M) }, func(c *coder, m any) { fields(c, m.(*M)) }}
}

// A codec is the kinds of messages that a release knows.
type codec struct {
	numbered [256]*kind
	typed    map[reflect.Type]*kind
}

func newCodec(kinds ...kind) *codec {
	c := &codec{typed: make(map[reflect.Type]*kind, len(kinds))}
	for i := range kinds {
		k := &kinds[i]
		if c.numbered[k.number] != nil || c.typed[k.of] != nil {
			panic("remote: two kinds share a number or a type")
		}
		c.numbered[k.number], c.typed[k.of] = k, k
	}
	return c
}

// of returns the kind of a message, or nil when it is nothing that travels.
func (c *codec) of(message any) *kind { return c.typed[reflect.TypeOf(message)] }

// travels reports whether peers of a version know messages of this kind.
func (c *codec) travels(message any, v Version) bool {
	k := c.of(message)
	return k != nil && k.since <= v
}

// A coder takes the fields of a message in their order: from memory to the wire, or, when reading, back. It leaves out those
// that are newer than its version.
type coder struct {
	version Version
	reading bool
	reader         // what is read
	out     []byte // what was written
	fields  int    // of the present array: those taken so far

	sizes []int  // what follows the heads for this message, in bytes: read for it, or
	sum   uint32 // with its sum
}

// An array is where an array began, and what it interrupted.
type array struct{ at, fields, outer int }

// open begins an array of fields.
func (c *coder) open() array {
	a := array{at: len(c.out), outer: c.fields}
	c.fields = 0
	if c.reading {
		a.fields = c.array(1)
	} else {
		c.out = append(c.out, 0)
	}
	return a
}

// close ends it. Fields that this version does not have are an error.
func (c *coder) close(a array) {
	if c.reading {
		c.bad = c.bad || c.fields != a.fields
	} else {
		c.count(a)
	}
	c.fields = a.outer
}

// skip ends it and passes over fields that came with a later version.
func (c *coder) skip(a array) {
	if c.reading {
		for ; c.fields < a.fields && !c.bad; c.fields++ {
			c.value()
		}
	}
	c.close(a)
}

// count writes how many fields there were to where the array began.
func (c *coder) count(a array) {
	if c.fields < 16 {
		c.out[a.at] = 0x90 | byte(c.fields)
		return
	}
	c.out = append(c.out, 0, 0)
	copy(c.out[a.at+3:], c.out[a.at+1:])
	copy(c.out[a.at:], []byte{0xdc, byte(c.fields >> 8), byte(c.fields)})
}

// has reports whether a field belongs to the version that is spoken, and counts it.
func (c *coder) has(since Version) bool {
	if since > c.version {
		return false
	}
	c.fields++
	return true
}

// unsigned takes a field that is a number.
func unsigned[T ~uint64](c *coder, since Version, v *T) {
	switch {
	case !c.has(since):
	case c.reading:
		*v = T(c.uint())
	default:
		c.out = appendUint(c.out, uint64(*v))
	}
}

// signed takes a field that is a number and may be negative.
func signed[T ~int64](c *coder, since Version, v *T) {
	switch {
	case !c.has(since):
	case c.reading:
		*v = T(c.int())
	default:
		c.out = appendInt(c.out, int64(*v))
	}
}

// size takes a field that counts bytes: it is never negative.
func (c *coder) size(since Version, v *int64) {
	signed(c, since, v)
	c.bad = c.bad || c.reading && *v < 0
}

func (c *coder) narrow(since Version, v *uint32) {
	switch {
	case !c.has(since):
	case c.reading:
		*v = c.uint32()
	default:
		c.out = appendUint(c.out, uint64(*v))
	}
}

func (c *coder) flag(since Version, v *bool) {
	switch {
	case !c.has(since):
	case c.reading:
		*v = c.bool()
	default:
		c.out = appendBool(c.out, *v)
	}
}

func (c *coder) text(since Version, v *string) {
	switch {
	case !c.has(since):
	case c.reading:
		*v = c.string()
	default:
		c.out = appendString(c.out, *v)
	}
}

// id takes two fields.
func (c *coder) id(since Version, v *raft.EntryID) {
	unsigned(c, since, &v.Index)
	unsigned(c, since, &v.Term)
}

// list takes a field that is a list of n elements and returns how many follow. Each has at least width bytes.
func (c *coder) list(since Version, n, width int) int {
	switch {
	case !c.has(since):
		return 0
	case c.reading:
		return c.reader.array(width)
	}
	c.out = appendArray(c.out, n)
	return n
}

func (c *coder) nodes(since Version, v *[]raft.NodeID) {
	n := c.list(since, len(*v), 1)
	if !c.reading {
		for _, id := range *v {
			c.out = appendUint(c.out, uint64(id))
		}
		return
	}
	for range n {
		if c.bad {
			return
		}
		*v = append(*v, raft.NodeID(c.uint()))
	}
}
