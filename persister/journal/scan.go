package journal

import (
	"encoding/binary"
	"fmt"
)

// A Segment is one file of the ring, as its header says.
type Segment struct {
	Header
	File        int         // the device's number for it
	Incarnation Incarnation // that wrote the header
}

// A Source reads segments. An error says nothing of the bytes that could have been read: the reader asks again, page
// by page, and takes for damaged what it cannot read.
type Source interface {
	ReadAt(file int, p []byte, offset int64) error
}

// A Piece is one that was read whole, in its place in the journal.
type Piece struct {
	At, End     Position // End is where the next piece begins, unless the segment ends with this one
	Kind        Kind
	Incarnation Incarnation
	Payload     []byte // valid until the next piece is read
	sum         uint32
	head        head
}

// A RotError says that something is missing or damaged that may have been acknowledged.
type RotError struct {
	At     Position
	File   int
	Offset int64
	Reason string
}

func (e *RotError) Error() string {
	return fmt.Sprintf("journal: file %d, byte %d (position %d): %s", e.File, e.Offset, e.At, e.Reason)
}

// An Ending says where a journal ends, by what Scan found.
type Ending struct {
	End    Position // nothing beyond was acknowledged
	Proven Position // what lies before had landed: it was written, synced, and may have been acknowledged
	Sum    uint32   // of the last piece
	// Incarnation is the highest in any sector from the first segment on. The next must be above it.
	Incarnation Incarnation
	// Rewrite are the pieces from Proven to End, and the headers of segments in which nothing is proven. They may be in
	// a cache alone: they are to be written again, and synced, before anybody is answered by what was read.
	Rewrite []Write
}

// A Write is a piece, or a header, for the device.
type Write struct {
	At, End Position
	Raw     []byte
	Kind    Kind     // 0: a header
	After   Position // it must not be written before the journal has landed up to here
}

// A scanner reads a journal from its oldest segment on.
type scanner struct {
	codec
	src      Source
	size     Position // of a segment
	segments []Segment
	buf      []byte // what was read last
	bufAt    Position
	payload  []byte
	highest  Incarnation
}

// readAhead is how much is read at once.
const readAhead = 1 << 20

// Scan reads the journal of a store from its oldest segment on, calls visit for each piece in order, and finds where
// it ends. segments are those from that one on, in the order of their bases, each of size bytes; none is missing
// between them. An error is a *RotError, or visit's.
//
// What a piece that is not whole means is the heart of it. The witness of a piece is the end of what had landed when it
// was composed; the highest witness of any whole piece, also beyond damage, is where the journal had landed at least.
//
//  1. A piece that is not whole below that is rot: it had landed.
//  2. Beyond it, a page that holds both frames of this place and damage is rot: a device that writes sectors whole
//     leaves new ones or old ones.
//  3. Anything else is a torn write, which nobody was told of. The journal ends there, and whole pieces beyond are
//     dropped: they are answered in order.
func Scan(store uint64, size Position, segments []Segment, src Source, visit func(*Piece) error) (Ending, error) {
	s := &scanner{codec: newCodec(store), src: src, size: size, segments: segments}
	for i, g := range segments {
		if i > 0 && g.Base != segments[i-1].Base+size {
			return Ending{}, s.rot(g.Base, "a segment before this one is missing")
		}
		s.highest = max(s.highest, g.Incarnation)
	}
	e := Ending{End: segments[0].Base + PageSize, Proven: segments[0].Base}
	current := segments[0].Incarnation // what is of an earlier one was left behind
	for known := false; ; known = true {
		p, whole := s.piece(e.End)
		if !whole || p.Incarnation < current {
			break
		}
		begins := p.Kind == Open || p.Kind == Turn
		switch {
		case known && p.Incarnation > current && !begins:
			return e, s.rot(p.At, "the opening of incarnation %d is missing", p.Incarnation)
		case known && p.head.before != e.Sum:
			return e, s.rot(p.At, "a piece that does not follow the one before")
		case p.head.witness > p.At:
			return e, s.rot(p.At, "a piece that is older than what it witnesses")
		}
		if err := visit(p); err != nil {
			return e, err
		}
		current, s.highest = p.Incarnation, max(s.highest, p.Incarnation)
		e.Proven, e.Sum, e.End = max(e.Proven, p.head.witness), p.sum, p.End
		if p.Kind == Turn {
			next := s.segment(p.At) + 1
			if next == len(s.segments) {
				return e, s.rot(p.At, "the segment after this one is missing")
			}
			e.End = s.segments[next].Base + PageSize
		}
	}
	if err := s.tail(&e, current); err != nil {
		return e, err
	}
	e.Incarnation = s.highest
	return e, s.unproven(&e)
}

// segment is the place in s.segments of the one that a position is in.
func (s *scanner) segment(at Position) int { return int((at - s.segments[0].Base) / s.size) }

func (s *scanner) rot(at Position, reason string, args ...any) error {
	g := s.segments[min(s.segment(at), len(s.segments)-1)]
	return &RotError{At: at, File: g.File, Offset: int64(at - g.Base), Reason: fmt.Sprintf(reason, args...)}
}

// piece reads the piece that begins at a page, if a whole one does.
func (s *scanner) piece(at Position) (*Piece, bool) {
	n := s.segment(at)
	if n >= len(s.segments) {
		return nil, false
	}
	end := s.segments[n].Base + s.size
	raw := s.read(at, PageSize)
	holds, flags, i := s.look(raw[:SectorSize], at)
	h, sum, ok := decodeHead(raw)
	if holds != here || flags != firstFlag || !ok {
		return nil, false
	}
	length := span(h.length)
	if length > maxPiece(s.size) || at+length > end {
		return nil, false
	}
	raw = s.read(at, int(length))
	for from := SectorSize; from < len(raw); from += SectorSize {
		if holds, flags, j := s.look(raw[from:from+SectorSize], at+Position(from)); holds != here || flags != 0 || j != i {
			return nil, false
		}
	}
	if sumOf(raw) != sum {
		return nil, false
	}
	s.payload = gather(s.payload[:0], raw, headSize, h.length)
	return &Piece{At: at, End: at + length, Kind: h.kind, Incarnation: i, Payload: s.payload, sum: sum, head: h}, true
}

// tail looks at everything beyond what was read whole.
func (s *scanner) tail(e *Ending, current Incarnation) error {
	landed, mixed := e.Proven, Position(0)
	for at := e.End; s.segment(at) < len(s.segments); at += PageSize {
		if (at-s.segments[0].Base)%s.size == 0 {
			continue // a header
		}
		page := s.read(at, PageSize)
		var now, bad, first bool
		for from := 0; from < PageSize; from += SectorSize {
			holds, flags, i := s.look(page[from:from+SectorSize], at+Position(from))
			s.highest = max(s.highest, i)
			now, bad = now || holds == here && i >= current, bad || holds == damaged
			first = first || from == 0 && now && flags == firstFlag
		}
		if now && bad && mixed == 0 {
			mixed = at
		}
		if first {
			if p, whole := s.piece(at); whole {
				landed = max(landed, p.head.witness)
			}
		}
	}
	switch {
	case landed > e.End:
		return s.rot(e.End, "damaged or missing, though the journal had landed up to position %d", landed)
	case mixed != 0:
		return s.rot(mixed, "a page is damaged in part, which no write that was cut short leaves")
	}
	return nil
}

// unproven gathers what is to be written again.
func (s *scanner) unproven(e *Ending) error {
	for _, g := range s.segments {
		if first := g.Base + PageSize; first >= e.Proven { // a piece comes after its segment's header is synced
			e.Rewrite = append(e.Rewrite, Write{At: g.Base, End: first, Raw: s.encodeHeader(g.Header, g.Incarnation)})
		}
	}
	for at := max(e.Proven, s.segments[0].Base+PageSize); at < e.End; {
		p, whole := s.piece(at)
		if !whole {
			return s.rot(at, "it was read whole a moment ago")
		}
		raw := append([]byte(nil), s.read(at, int(p.End-at))...)
		e.Rewrite = append(e.Rewrite, Write{At: at, End: p.End, Raw: raw, Kind: p.Kind})
		if at = p.End; p.Kind == Turn {
			at = s.segments[s.segment(p.At)+1].Base + PageSize
		}
	}
	return nil
}

// read returns n bytes of one segment. They are valid until the next call.
func (s *scanner) read(at Position, n int) []byte {
	if at >= s.bufAt && at+Position(n) <= s.bufAt+Position(len(s.buf)) {
		return s.buf[at-s.bufAt:][:n]
	}
	g := s.segments[s.segment(at)]
	want := min(max(n, readAhead), int(g.Base+s.size-at))
	if cap(s.buf) < want {
		s.buf = make([]byte, want)
	}
	s.buf, s.bufAt = s.buf[:want], at
	if s.src.ReadAt(g.File, s.buf, int64(at-g.Base)) != nil {
		for from := 0; from < want; from += PageSize {
			page := s.buf[from : from+PageSize]
			if s.src.ReadAt(g.File, page, int64(at-g.Base)+int64(from)) != nil {
				for i := 0; i < len(page); i += 8 {
					binary.LittleEndian.PutUint64(page[i:], 1<<64-1) // a position that is nowhere: no frame
				}
			}
		}
	}
	return s.buf[:n]
}
