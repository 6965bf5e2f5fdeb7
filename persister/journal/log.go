package journal

import (
	"errors"
	"fmt"
	"slices"
)

// A Log composes pieces and knows what has landed. One caller at a time.
//
// Segments are in one of four states, in the order of their bases: released, whose bytes are kept elsewhere and which
// are used again; filled; the current one, to which pieces are added; and ready ones, whose headers are synced. A
// caller keeps one ready, so that writing goes on while a file is made.
type Log struct {
	codec
	size        Position
	segments    []Segment // from the oldest that is not released to the last ready one
	current     int       // in segments
	released    []Segment
	incarnation Incarnation
	end         Position // of what was composed
	landed      Position
	sum         uint32 // of the last piece
	barrier     Position
	open        builder // the piece that is being filled, which is to be at end
	flights     []Write // composed and not landed
	rests       bool    // the last piece only says what had landed
	buffers     Buffers
}

// Buffers are where pieces are composed. A device that writes around the page cache needs aligned ones.
type Buffers interface {
	// Get returns n bytes, of any content, n a multiple of PageSize.
	Get(n int) []byte
}

// plain buffers are as they come.
type plain struct{}

func (plain) Get(n int) []byte { return make([]byte, n) }

// ErrNoRoom says that no segment is ready for what does not fit in the current one.
var ErrNoRoom = errors.New("journal: no segment is ready")

// NewLog goes on with a journal where Scan found its end, or begins a new one at its first segment. segments are those
// that Scan was given; released are those before. The first piece is to be composed with Begin.
//
// The bytes of a piece are in a buffer of buffers, nil for any, until it has landed; then they are the caller's.
func NewLog(store uint64, size Position, segments, released []Segment, e Ending, buffers Buffers) *Log {
	if buffers == nil {
		buffers = plain{}
	}
	l := &Log{
		buffers: buffers,
		codec:   newCodec(store), size: size, segments: slices.Clone(segments), released: slices.Clone(released),
		incarnation: e.Incarnation + 1, end: e.End, landed: e.End, sum: e.Sum,
	}
	l.current = int((e.End - segments[0].Base) / size)
	l.open.buffer = buffers.Get
	return l
}

// Incarnation is that of what is written now.
func (l *Log) Incarnation() Incarnation { return l.incarnation }

// End is where the next piece begins.
func (l *Log) End() Position { return l.end }

// Landed is the end of what is written and synced, and all before it.
func (l *Log) Landed() Position { return l.landed }

// Oldest is where the oldest segment begins that is not released.
func (l *Log) Oldest() Position { return l.segments[0].Base }

// MaxPayload is the largest payload of one piece.
func (l *Log) MaxPayload() int { return MaxPayload(l.size) }

// MaxPayload is the largest payload of one piece in a journal with segments of this size.
func MaxPayload(segment Position) int { return room(maxPiece(segment)) }

// Filled is the segment that is to be moved next: the oldest, if the journal has landed beyond it.
func (l *Log) Filled() (Segment, bool) {
	return l.segments[0], l.current > 0 && l.landed >= l.segments[1].Base
}

// Release says that all before a segment's base is kept elsewhere, durably: the segments before it are used again.
func (l *Log) Release(through Position) {
	for len(l.segments) > 0 && l.current > 0 && l.segments[0].Base+l.size <= through && l.landed >= through {
		l.released = append(l.released, l.segments[0])
		l.segments = l.segments[1:]
		l.current--
	}
}

// Ready is how many segments wait to be used.
func (l *Log) Ready() int { return len(l.segments) - 1 - l.current }

// Reuse takes a released segment for the next stretch, and returns its header's page, which is to be written and
// synced before Add. False: none is released.
func (l *Log) Reuse() (s Segment, page []byte, ok bool) {
	if len(l.released) == 0 {
		return s, nil, false
	}
	s = l.released[0]
	l.released = l.released[1:]
	s, page = l.Prepare(s.File)
	return s, page, true
}

// Prepare is Reuse for a file that is new. One is prepared at a time: Add comes before the next.
func (l *Log) Prepare(file int) (Segment, []byte) {
	h := Header{Base: l.segments[len(l.segments)-1].Base + l.size, Needed: l.segments[0].Base}
	return Segment{Header: h, File: file, Incarnation: l.incarnation}, l.encodeHeader(h, l.incarnation)
}

// Add makes a segment ready whose header is synced.
func (l *Log) Add(s Segment) error {
	if want := l.segments[len(l.segments)-1].Base + l.size; s.Base != want {
		return fmt.Errorf("journal: segment at %d is added, want %d", s.Base, want)
	}
	l.segments = append(l.segments, s)
	return nil
}

// Begin composes the piece that begins this incarnation. It must have landed before anybody is answered.
func (l *Log) Begin() ([]Write, error) {
	if l.open.length == 0 && l.mustTurn(0) {
		if l.Ready() == 0 {
			return nil, ErrNoRoom
		}
		turn := l.turn()
		return []Write{turn, l.seal(Open)}, nil
	}
	return []Write{l.seal(Open)}, nil
}

// Room is how many bytes the piece that is open has room for. It never turns the segment.
func (l *Log) Room() int {
	left := l.segments[l.current].Base + l.size - PageSize - l.end // a page is left for turning
	return room(min(left, maxPiece(l.size))) - l.open.length
}

// Empty reports whether the open piece has no payload.
func (l *Log) Empty() bool { return l.open.length == 0 }

// Put appends to the payload of the open piece, which must have Room for it, and returns where it is.
func (l *Log) Put(part []byte) Span {
	at := Within(l.end, l.open.length, len(part))
	l.open.put(l.codec, l.end, l.incarnation, part)
	return at
}

// Seal ends the open piece. What is put next is in another.
func (l *Log) Seal(kind Kind) Write { return l.seal(kind) }

// Turn ends the current segment, when the open piece is empty. What comes after it waits until it has landed: the first
// piece of a segment is never there while one before it is not. Errors: ErrNoRoom, after which nothing has changed.
func (l *Log) Turn() (Write, error) {
	if !l.Empty() {
		return Write{}, errors.New("journal: a piece is open")
	}
	if l.Ready() == 0 {
		return Write{}, ErrNoRoom
	}
	return l.turn(), nil
}

// mustTurn reports whether an empty open piece has no room for so many bytes in this segment.
func (l *Log) mustTurn(length int) bool {
	return l.end+span(length)+PageSize > l.segments[l.current].Base+l.size
}

func (l *Log) turn() Write {
	w := l.seal(Turn)
	l.current++
	w.End = l.segments[l.current].Base + PageSize
	l.end, l.barrier = w.End, w.End
	l.flights[len(l.flights)-1].End = w.End
	return w
}

// seal ends the open piece and begins another one behind it.
func (l *Log) seal(kind Kind) Write {
	w := Write{At: l.end, Kind: kind, After: l.barrier}
	w.Raw, l.sum = l.open.finish(l.codec, l.end, l.incarnation, head{kind: kind, before: l.sum, witness: l.landed})
	w.End = w.At + Position(len(w.Raw))
	l.open = builder{buffer: l.buffers.Get}
	l.end, l.rests = w.End, kind == Idle || kind == Close
	flight := w
	flight.Raw = nil
	l.flights = append(l.flights, flight)
	return w
}

// Append composes a piece of its own, after one that turns to the next segment where it does not fit in this one.
// Errors: ErrNoRoom, after which nothing has changed.
func (l *Log) Append(kind Kind, payload [][]byte) (writes []Write, err error) {
	length := 0
	for _, part := range payload {
		length += len(part)
	}
	if length > l.MaxPayload() {
		return nil, fmt.Errorf("journal: a piece of %d bytes, at most %d fit", length, l.MaxPayload())
	}
	if !l.Empty() {
		return nil, errors.New("journal: another piece is open")
	}
	if l.mustTurn(length) {
		turn, err := l.Turn()
		if err != nil {
			return nil, err
		}
		writes = append(writes, turn)
	}
	for _, part := range payload {
		l.Put(part)
	}
	return append(writes, l.seal(kind)), nil
}

// Land says that the oldest piece that has not landed is written and synced, and returns where it was.
func (l *Log) Land() (Write, error) {
	if len(l.flights) == 0 {
		return Write{}, errors.New("journal: nothing is on its way")
	}
	w := l.flights[0]
	l.flights = l.flights[1:]
	l.landed = w.End
	return w, nil
}

// Unproven reports whether the last piece is witnessed by none: an idle one would be.
func (l *Log) Unproven() bool { return !l.rests && len(l.flights) == 0 }

// Place is the file and the offset of a position, of a segment that is neither released nor to come.
func (l *Log) Place(at Position) (file int, offset int64, ok bool) {
	if at < l.segments[0].Base || at >= l.segments[len(l.segments)-1].Base+l.size {
		return 0, 0, false
	}
	s := l.segments[(at-l.segments[0].Base)/l.size]
	return s.File, int64(at - s.Base), true
}

// Upto are the segments before a position, in order, of those that are not released.
func (l *Log) Upto(through Position) []Segment {
	n := 0
	for n < len(l.segments) && l.segments[n].Base < through {
		n++
	}
	return slices.Clone(l.segments[:n])
}
