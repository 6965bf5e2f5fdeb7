package journal

import "errors"

// A Span is where bytes of a payload are.
type Span struct {
	At     Position // of the first byte
	Length int
}

// Within is the span of length bytes that begin offset bytes into the payload of the piece at a position.
func Within(piece Position, offset, length int) Span {
	sector, in := (headSize+offset)/sectorData, (headSize+offset)%sectorData
	return Span{piece + Position(sector*SectorSize+in), length}
}

// Pages is what is to be read for a span: whole pages from a position on.
func (s Span) Pages() (from Position, size int) {
	from = s.At &^ (PageSize - 1)
	sectors := (int(s.At%SectorSize) + s.Length + sectorData - 1) / sectorData
	end := s.At&^(SectorSize-1) + Position(max(sectors, 1)*SectorSize)
	return from, int((end - from + PageSize - 1) &^ (PageSize - 1))
}

// Why Extract has nothing.
var (
	// ErrOverwritten says that a sector holds another stretch of the journal: whoever knows where the bytes are by now
	// is to be asked again.
	ErrOverwritten = errors.New("journal: overwritten")
	// ErrDamaged says that a sector holds no frame.
	ErrDamaged = errors.New("journal: damaged")
)

// Extract appends a span's bytes to out, from pages that Pages asked for. Errors: ErrOverwritten, ErrDamaged.
func Extract(store uint64, s Span, pages, out []byte) ([]byte, error) {
	c := newCodec(store)
	from, _ := s.Pages()
	for at, left := s.At, s.Length; left > 0; {
		place := at &^ (SectorSize - 1)
		sector := pages[place-from:][:SectorSize]
		switch holds, _, _ := c.look(sector, place); {
		case holds == earlier, holds == damaged && c.later(sector, place):
			return out, ErrOverwritten
		case holds != here:
			return out, ErrDamaged
		}
		n := min(left, int(place)+sectorData-int(at))
		out = append(out, sector[at-place:][:n]...)
		at, left = place+SectorSize, left-n
	}
	return out, nil
}
