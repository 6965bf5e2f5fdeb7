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

// compose makes a piece at a place out of parts of its payload. It fills out, which has the piece's span, and returns
// the piece's sum.
func (c codec) compose(out []byte, at Position, i Incarnation, h head, payload [][]byte) (sum uint32) {
	start := h.encode()
	w := framer{out: out}
	w.write(start[:])
	for _, part := range payload {
		w.write(part)
	}
	w.pad()
	for from := SectorSize; from < len(out); from += SectorSize {
		c.seal(out[from:from+SectorSize], at+Position(from), i)
	}
	sum = sumOf(out)
	binary.LittleEndian.PutUint32(out[12:], sum)
	c.seal(out[:SectorSize], at|firstFlag, i)
	return sum
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

// A framer spreads bytes over the data of sectors.
type framer struct {
	out []byte
	at  int // in out
}

func (w *framer) write(b []byte) {
	for len(b) > 0 {
		left := sectorData - w.at%SectorSize
		if left == 0 {
			w.at += trailer
			continue
		}
		n := copy(w.out[w.at:w.at+left], b)
		w.at, b = w.at+n, b[n:]
	}
}

// pad fills the rest with zeros: a buffer is used again.
func (w *framer) pad() {
	for w.at < len(w.out) {
		end := w.at - w.at%SectorSize + sectorData
		clear(w.out[w.at:end])
		w.at = end + trailer
	}
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
