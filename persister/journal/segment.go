package journal

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// MinSegment is the smallest segment: its largest piece has room for something.
const MinSegment = 16 * PageSize

// maxPiece is the largest piece of a segment, so that pieces in flight fit in what is ready.
func maxPiece(segment Position) Position { return segment / 4 &^ (PageSize - 1) }

// format is that of segments.
const format = 1

var magic = [8]byte{'t', 'r', 'o', 'u', 'p', 'e', 'j', format}

// A Header is a segment's first page. It is written and synced before the segment's first piece.
type Header struct {
	Base   Position // of the segment: of its first byte, which is the header's
	Needed Position // what was before here is used again: it must be kept elsewhere
}

// ErrHeader says that a segment has no header of this store and release.
var ErrHeader = errors.New("journal: no header")

// encodeHeader makes a segment's first page.
func (c codec) encodeHeader(h Header, i Incarnation) []byte {
	page := make([]byte, PageSize)
	copy(page, magic[:])
	binary.LittleEndian.PutUint64(page[8:], uint64(h.Base))
	binary.LittleEndian.PutUint64(page[16:], uint64(h.Needed))
	c.seal(page[:SectorSize], h.Base|headerFlag, i)
	return page
}

// decodeHeader reads a segment's first sector.
func (c codec) decodeHeader(sector []byte) (h Header, i Incarnation, err error) {
	h.Base = Position(binary.LittleEndian.Uint64(sector[8:]))
	h.Needed = Position(binary.LittleEndian.Uint64(sector[16:]))
	holds, flags, i := c.look(sector, h.Base)
	switch {
	case [8]byte(sector[:8]) != magic && [7]byte(sector[:7]) == [7]byte(magic[:7]) && holds == here:
		return h, i, fmt.Errorf("%w: format %d, known is %d", ErrHeader, sector[7], format)
	case holds != here || flags != headerFlag || [8]byte(sector[:8]) != magic:
		return h, i, ErrHeader
	}
	return h, i, nil
}

// FirstHeader is the first page of a new journal's first segment.
func FirstHeader(store uint64) []byte { return newCodec(store).encodeHeader(Header{}, 1) }
