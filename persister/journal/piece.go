package journal

import (
	"encoding/binary"
	"hash/crc32"
)

// A Kind says what a piece is for.
type Kind uint8

// The kinds of pieces.
const (
	Flight Kind = 1 + iota // bytes of the store
	Open                   // an incarnation begins; empty
	Turn                   // the segment ends; empty
	Idle                   // says only what had landed, when nothing else comes; empty
	Close                  // the same, at a clean end; empty
)

// headSize is the size of a piece's head: kind (1), version (1), unused (2), length (4), sum of the piece before (4),
// sum (4), witness (8).
const headSize = 24

const pieceVersion = 1

// A head is what a piece says of itself.
type head struct {
	kind    Kind
	length  int      // of the payload
	before  uint32   // sum of the piece before
	witness Position // the end of what had landed when it was composed
}

// span is the size of a piece on disk, in bytes, with so much payload.
func span(payload int) Position {
	pages := (headSize + payload + pageData - 1) / pageData
	return Position(pages * PageSize)
}

// room is the largest payload of a piece of so many bytes on disk.
func room(size Position) int { return int(size)/PageSize*pageData - headSize }

// encode is the head without its sum.
func (h head) encode() (b [headSize]byte) {
	b[0], b[1] = byte(h.kind), pieceVersion
	binary.LittleEndian.PutUint32(b[4:], uint32(h.length))
	binary.LittleEndian.PutUint32(b[8:], h.before)
	binary.LittleEndian.PutUint64(b[16:], uint64(h.witness))
	return b
}

// decodeHead reads a head and its sum. False: it is none.
func decodeHead(b []byte) (h head, sum uint32, ok bool) {
	h.kind, h.length = Kind(b[0]), int(binary.LittleEndian.Uint32(b[4:]))
	h.before, sum = binary.LittleEndian.Uint32(b[8:]), binary.LittleEndian.Uint32(b[12:])
	h.witness = Position(binary.LittleEndian.Uint64(b[16:]))
	unused := binary.LittleEndian.Uint16(b[2:])
	empty := h.kind == Flight || h.length == 0
	return h, sum, h.kind >= Flight && h.kind <= Close && b[1] == pieceVersion && unused == 0 && empty
}

// A builder fills a piece from its first byte on. Each byte is copied once, into the data of a frame.
type builder struct {
	raw    []byte // whole pages, as far as they are begun
	length int    // of the payload so far
	sealed int    // sectors, after the first, whose frames are ended
	buffer func(n int) []byte
}

// put appends to the payload, which must have room for it. Frames that are full are ended.
func (b *builder) put(c codec, at Position, i Incarnation, part []byte) {
	need := int(span(b.length + len(part)))
	if need > len(b.raw) {
		b.grow(need)
	}
	for from := headSize + b.length; len(part) > 0; {
		sector, in := from/sectorData, from%sectorData
		n := copy(b.raw[sector*SectorSize+in:sector*SectorSize+sectorData], part)
		part, from, b.length = part[n:], from+n, b.length+n
	}
	b.seal(c, at, i, (headSize+b.length)/sectorData)
}

// grow makes room for a piece of size bytes. What is new is zeros.
func (b *builder) grow(size int) {
	if size > cap(b.raw) {
		larger := b.buffer(max(size, 2*cap(b.raw)))
		copy(larger, b.raw)
		b.raw = larger[:len(b.raw)]
	}
	old := len(b.raw)
	b.raw = b.raw[:size]
	clear(b.raw[old:])
}

// seal ends the frames of the sectors before one, but for the first, which has the head.
func (b *builder) seal(c codec, at Position, i Incarnation, before int) {
	for b.sealed = max(b.sealed, 1); b.sealed < before; b.sealed++ {
		from := b.sealed * SectorSize
		c.seal(b.raw[from:from+SectorSize], at+Position(from), i)
	}
}

// finish ends the piece. It returns its bytes and its sum.
func (b *builder) finish(c codec, at Position, i Incarnation, h head) (raw []byte, sum uint32) {
	if len(b.raw) == 0 {
		b.grow(PageSize)
	}
	b.seal(c, at, i, len(b.raw)/SectorSize)
	h.length = b.length
	start := h.encode()
	copy(b.raw, start[:])
	sum = sumOf(b.raw)
	binary.LittleEndian.PutUint32(b.raw[12:], sum)
	c.seal(b.raw[:SectorSize], at|firstFlag, i)
	return b.raw, sum
}

// sumOf is a piece's sum: over the data of its first frame, less the sum itself, and the checksums of the others.
func sumOf(raw []byte) uint32 {
	sum := crc32.Checksum(raw[:12], castagnoli)
	sum = crc32.Update(sum, castagnoli, raw[16:sectorData])
	for end := 2 * SectorSize; end <= len(raw); end += SectorSize {
		sum = crc32.Update(sum, castagnoli, raw[end-4:end])
	}
	return sum
}

// gather appends length bytes of data from the frames in raw, beginning at the given byte of its data.
func gather(out, raw []byte, from, length int) []byte {
	for end := len(out) + length; len(out) < end; {
		sector, in := from/sectorData, from%sectorData
		n := min(end-len(out), sectorData-in)
		out = append(out, raw[sector*SectorSize+in:][:n]...)
		from += n
	}
	return out
}
