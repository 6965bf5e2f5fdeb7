package journal

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/troupe-raft/troupe/internal/sectors"
)

// full is a journal of several segments, the oldest of which are kept elsewhere, all of it landed and witnessed.
func full(t *testing.T) *rig {
	r := newRig(t)
	r.open()
	for i := range 120 {
		r.append(bytes.Repeat([]byte{byte(i)}, 1500))
		r.settle()
	}
	r.idle(Idle)
	if len(r.disk.Ring) != r.limit || r.kept == 0 || len(r.log.segments) < 3 {
		t.Fatalf("%d files, kept up to %d, %d segments", len(r.disk.Ring), r.kept, len(r.log.segments))
	}
	return r
}

// unlist takes a file out of the ring, as if it had been removed.
func unlist(d *sectors.Disk, file int) {
	d.Ring = slices.DeleteFunc(slices.Clone(d.Ring), func(f int) bool { return f == file })
}

// TestMissingAndForeignSegments: a segment that is gone, older than the others, or another store's is missed.
func TestMissingAndForeignSegments(t *testing.T) {
	refused := func(name string, r *rig, want string) {
		t.Helper()
		_, _, _, _, err := r.read()
		ring, rot := (*RingError)(nil), (*RotError)(nil)
		if !errors.As(err, &ring) && !errors.As(err, &rot) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", name, err, want)
		}
	}
	for i := range 2 { // the oldest, and one in the middle: both hold what nobody keeps elsewhere
		r := full(t)
		unlist(r.disk, r.log.segments[i].File)
		refused(fmt.Sprint("segment ", i, " is gone"), r, "missing")
	}
	r := full(t)
	unlist(r.disk, r.log.segments[r.log.current].File)
	refused("the current segment is gone", r, "missing")

	r = full(t)
	before := r.disk.Clone()
	for range 120 {
		r.append(make([]byte, 1500))
		r.settle()
	}
	r.idle(Idle)
	for i, g := range r.log.segments[:r.log.current+1] {
		now := r.disk.Files[g.File]
		r.disk.Files[g.File] = before.Files[g.File]
		refused(fmt.Sprint("segment ", i, " is put back to what it was a lap before"), r, "missing")
		r.disk.Files[g.File] = now
	}

	r = full(t)
	r.kept -= testSize
	refused("what was kept elsewhere is older", r, "is missing")
	r.kept += testSize
	unlist(r.disk, r.log.segments[0].File)
	r.kept = 0
	refused("what was kept elsewhere is lost", r, "is used again")

	r = full(t)
	first := r.log.segments[0]
	copy(r.disk.Files[first.File], newCodec(testStore+1).encodeHeader(first.Header, 1))
	refused("a header of another store", r, "another store")
	copy(r.disk.Files[first.File], newCodec(testStore).encodeHeader(r.log.segments[1].Header, 1))
	refused("two segments at one place", r, "missing")
	copy(r.disk.Files[r.log.segments[2].File], newCodec(testStore).encodeHeader(r.log.segments[1].Header, 1))
	copy(r.disk.Files[first.File], newCodec(testStore).encodeHeader(first.Header, 1))
	refused("two segments at one place, and none before", r, "as file")
	h := first.Header
	h.Base += PageSize
	copy(r.disk.Files[first.File], newCodec(testStore).encodeHeader(h, 1))
	refused("a segment between two places", r, "which no segment")
	later := newCodec(testStore).encodeHeader(first.Header, 1)
	later[len(magic)-1]++
	newCodec(testStore).seal(later[:SectorSize], first.Base|headerFlag, 1)
	copy(r.disk.Files[first.File], later)
	refused("a header of a later release", r, "format 2, known is 1")
}

// TestPartsOfAnotherStore: a piece that another store wrote at the same place is no piece of this one.
func TestPartsOfAnotherStore(t *testing.T) {
	r := full(t)
	e := r.log.End()
	page := make([]byte, PageSize)
	compose(newCodec(testStore+1), page, e, r.log.Incarnation(), head{kind: Flight, before: r.log.sum}, nil)
	file, at, _ := r.log.Place(e)
	copy(r.disk.Files[file][at:], page)
	found, _, _, ending, err := r.read()
	if err != nil || ending.End != e || r.lost(found) != nil {
		t.Errorf("ends at %d, want %d: %v, %v", ending.End, e, err, r.lost(found))
	}
}

// TestUnreadableSectors: what cannot be read is damage. It is missed where something had landed, and in nobody's way
// elsewhere.
func TestUnreadableSectors(t *testing.T) {
	r := full(t)
	current := r.log.segments[r.log.current]
	end := int64(r.log.End() - current.Base)
	refused := 0
	for _, s := range []Segment{r.log.segments[0], current} {
		for at := int64(0); at < testSize; at += SectorSize {
			r.disk.Bad[s.File][at] = true
			found, _, _, _, err := r.read()
			switch {
			case err == nil && r.lost(found) != nil:
				t.Errorf("file %d, byte %d: %v", s.File, at, r.lost(found))
			case err != nil && s == current && at >= end:
				t.Errorf("file %d, byte %d, where nothing is: %v", s.File, at, err)
			case err != nil:
				refused++
			}
			delete(r.disk.Bad[s.File], at)
		}
	}
	if refused == 0 {
		t.Error("no damage was noticed")
	}
}

// TestDeadSpaceMayBeDamaged: beyond the end, and after the piece that ends a segment, nothing counts.
func TestDeadSpaceMayBeDamaged(t *testing.T) {
	r := full(t)
	s := r.log.segments[r.log.current]
	for at := int(r.log.End() - s.Base); at < testSize; at++ {
		r.disk.Files[s.File][at] ^= 0xff
	}
	found, _, _, _, err := r.read()
	if err != nil || r.lost(found) != nil {
		t.Errorf("%v, %v", err, r.lost(found))
	}
	r.open()
	r.append([]byte("on dead space"))
	r.settle()
	r.open()
}
