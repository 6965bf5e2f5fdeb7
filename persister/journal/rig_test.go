package journal

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/troupe-raft/troupe/internal/sectors"
)

const (
	testStore = 0x1234_5678_9abc
	testSize  = MinSegment
)

// A rig runs a journal on a disk, and knows what it must find after a crash.
type rig struct {
	t     testing.TB
	disk  *sectors.Disk
	log   *Log
	kept  Position   // up to here it is kept elsewhere
	limit int        // files
	wrote [][]byte   // the payloads in the journal, from kept on
	ends  []Position // of each
	acked int        // of them: they have landed
	queue []Write    // composed, not written
	depth int        // writes that are written before the first of them is synced
}

func newRig(t testing.TB) *rig {
	r := &rig{t: t, disk: sectors.New(), limit: 4, depth: 1}
	r.disk.Make(0, testSize)
	r.disk.Write(0, 0, newCodec(testStore).encodeHeader(Header{}, 1))
	r.disk.Sync(0)
	r.disk.List(0)
	return r
}

// open reads the journal and checks what it found. It must not fail after a crash.
func (r *rig) open() {
	r.t.Helper()
	if err := r.tryOpen(); err != nil {
		r.t.Fatal(err)
	}
}

// read is what the journal has, without going on with it.
func (r *rig) read() (found [][]byte, segments, released []Segment, e Ending, err error) {
	heads := map[int][]byte{}
	for _, file := range r.disk.Ring {
		heads[file] = make([]byte, SectorSize)
		if err := r.disk.ReadAt(file, heads[file], 0); err != nil {
			return nil, nil, nil, e, err
		}
	}
	if segments, released, err = Arrange(testStore, testSize, r.kept, heads); err != nil {
		return nil, nil, nil, e, err
	}
	e, err = Scan(testStore, testSize, segments, r.disk, func(p *Piece) error {
		if p.Kind == Flight {
			found = append(found, bytes.Clone(p.Payload))
		}
		return nil
	})
	return found, segments, released, e, err
}

// lost says how what was found differs from what must be there: all that was acknowledged, and nothing that was not
// written, in order.
func (r *rig) lost(found [][]byte) error {
	if len(found) < r.acked {
		return fmt.Errorf("found %d pieces, %d were acknowledged", len(found), r.acked)
	}
	for i, b := range found {
		if i >= len(r.wrote) || !bytes.Equal(b, r.wrote[i]) {
			return fmt.Errorf("piece %d is another one than was written", i)
		}
	}
	return nil
}

func (r *rig) tryOpen() error {
	found, segments, released, e, err := r.read()
	if err != nil {
		return err
	}
	if err := r.lost(found); err != nil {
		return err
	}
	r.wrote, r.ends, r.queue = r.wrote[:len(found)], r.ends[:len(found)], nil
	r.log = NewLog(testStore, testSize, segments, released, e, nil)
	for _, w := range e.Rewrite {
		r.put(w)
	}
	for _, file := range r.disk.Ring {
		r.disk.Sync(file)
	}
	r.grow()
	writes, err := r.log.Begin()
	if err != nil {
		return err
	}
	r.queue = append(r.queue, writes...)
	r.settle()
	r.acked = len(r.wrote) // from now on anybody may be answered by what was read
	return nil
}

// grow keeps a segment ready.
func (r *rig) grow() {
	for r.log.Ready() == 0 {
		fresh := false
		s, page, ok := r.log.Reuse()
		if !ok {
			for filled, ok := r.log.Filled(); ok && len(r.disk.Ring) >= r.limit; filled, ok = r.log.Filled() {
				r.move(filled)
			}
			if s, page, ok = r.log.Reuse(); !ok {
				file := len(r.disk.Ring)
				r.disk.Make(file, testSize)
				s, page = r.log.Prepare(file)
				fresh = true
			}
		}
		r.disk.Write(s.File, 0, page)
		r.disk.Sync(s.File)
		if fresh {
			r.disk.List(s.File)
		}
		if err := r.log.Add(s); err != nil {
			r.t.Fatal(err)
		}
	}
}

// move keeps a segment elsewhere.
func (r *rig) move(s Segment) {
	r.kept = s.Base + testSize
	n := 0
	for n < len(r.ends) && r.ends[n] <= r.kept {
		n++
	}
	r.wrote, r.ends, r.acked = r.wrote[n:], r.ends[n:], r.acked-n
	r.log.Release(r.kept)
}

func (r *rig) put(w Write) {
	file, at, ok := r.log.Place(w.At)
	if !ok {
		r.t.Fatalf("a write at %d is nowhere", w.At)
	}
	r.disk.Write(file, at, w.Raw)
}

// append composes a piece.
func (r *rig) append(payload ...[]byte) {
	r.t.Helper()
	r.grow()
	writes, err := r.log.Append(Flight, payload)
	if err != nil {
		r.t.Fatal(err)
	}
	r.queue = append(r.queue, writes...)
	r.wrote, r.ends = append(r.wrote, bytes.Join(payload, nil)), append(r.ends, writes[len(writes)-1].End)
}

// idle composes a piece that is not the caller's.
func (r *rig) idle(k Kind) {
	r.grow()
	writes, err := r.log.Append(k, nil)
	if err != nil {
		r.t.Fatal(err)
	}
	r.queue = append(r.queue, writes...)
	r.settle()
}

// write has the device write as many of what was composed as it may.
func (r *rig) write(n int) (written []Write) {
	for len(written) < n && len(r.queue) > 0 && r.queue[0].After <= r.log.Landed() {
		r.put(r.queue[0])
		written, r.queue = append(written, r.queue[0]), r.queue[1:]
	}
	return written
}

// settle has everything land.
func (r *rig) settle() {
	for len(r.queue) > 0 {
		written := r.write(r.depth)
		for _, file := range r.disk.Ring {
			r.disk.Sync(file)
		}
		for range written {
			w, err := r.log.Land()
			if err != nil {
				r.t.Fatal(err)
			}
			if w.Kind == Flight {
				r.acked++
			}
		}
	}
}

// fork is another rig in the same state, to try a crash on.
func (r *rig) fork() *rig {
	c := *r
	c.disk, c.wrote, c.ends, c.log, c.queue = r.disk.Clone(), slices.Clone(r.wrote), slices.Clone(r.ends), nil, nil
	return &c
}

func words(r *rand.Rand, most int) []byte {
	b := make([]byte, r.IntN(most))
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

// compose makes a piece in place.
func compose(c codec, out []byte, at Position, i Incarnation, h head, payload []byte) {
	b := builder{buffer: plain{}.Get}
	for len(payload) > 0 { // in parts of any size
		n := min(len(payload), 1+len(payload)*2/3)
		b.put(c, at, i, payload[:n])
		payload = payload[n:]
	}
	raw, _ := b.finish(c, at, i, h)
	copy(out, raw)
}
