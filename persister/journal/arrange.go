package journal

import (
	"cmp"
	"fmt"
	"slices"
)

// A RingError says that the files of a journal do not belong together.
type RingError struct {
	File   int
	Reason string
	Err    error // may be nil
}

func (e *RingError) Error() string {
	if e.Err != nil {
		return fmt.Sprintf("journal: file %d: %s: %v", e.File, e.Reason, e.Err)
	}
	return fmt.Sprintf("journal: file %d: %s", e.File, e.Reason)
}

func (e *RingError) Unwrap() error { return e.Err }

// Arrange puts the files of a ring in order by their headers' sectors, of which heads has one for each file, by its
// number. kept is up to where the journal is kept elsewhere. It returns the segments from there on, which Scan is to
// read, and those before, which may be used again. The error is a *RingError.
func Arrange(store uint64, size, kept Position, heads map[int][]byte) (segments, released []Segment, err error) {
	c := newCodec(store)
	all := make([]Segment, 0, len(heads))
	for file, sector := range heads {
		h, i, err := c.decodeHeader(sector)
		if err != nil {
			return nil, nil, &RingError{file, "damaged, or of another store", err}
		}
		all = append(all, Segment{Header: h, File: file, Incarnation: i})
	}
	slices.SortFunc(all, func(a, b Segment) int { return cmp.Compare(a.Base, b.Base) })
	for i, s := range all {
		switch {
		case s.Base%size != 0:
			return nil, nil, &RingError{s.File, fmt.Sprintf("begins at position %d, which no segment of %d bytes does", s.Base, size), nil}
		case s.Needed > kept:
			return nil, nil, &RingError{s.File, fmt.Sprintf("what was before position %d is used again, and is kept elsewhere up to %d only", s.Needed, kept), nil}
		case i > 0 && s.Base == all[i-1].Base:
			return nil, nil, &RingError{s.File, fmt.Sprintf("begins at position %d, as file %d does", s.Base, all[i-1].File), nil}
		case s.Base+size <= kept:
			released = append(released, s)
			continue
		case len(segments) == 0 && s.Base != kept:
			return nil, nil, &RingError{s.File, fmt.Sprintf("begins at position %d, and the segment at %d is missing", s.Base, kept), nil}
		case len(segments) > 0 && s.Base != segments[len(segments)-1].Base+size:
			return nil, nil, &RingError{s.File, fmt.Sprintf("begins at position %d, and the segment before it is missing", s.Base), nil}
		}
		segments = append(segments, s)
	}
	if len(segments) == 0 {
		return nil, nil, &RingError{-1, fmt.Sprintf("no segment begins at position %d", kept), nil}
	}
	return segments, released, nil
}
