package applier

import (
	"io"
	"testing"
	"time"

	"github.com/troupe-raft/troupe/entry"
	"github.com/troupe-raft/troupe/persister"
	"github.com/troupe-raft/troupe/raft"
)

// A longLog is a log that nobody has in memory: it makes blocks as they are read, as many as the caller allows.
type longLog struct {
	last    raft.Index
	entry   []byte
	reads   int
	largest int // bytes that one read returned
}

func (l *longLog) Blocks(_ raft.GroupID, from, to raft.Index, maxBytes int) (out []*entry.Block, err error) {
	const enough = 64 << 20 // a reader that asks for more has failed the test already
	l.reads++
	size := 0
	for i := from; i <= min(to, l.last); i++ {
		b := block(1, i, string(l.entry))
		if len(out) > 0 && size+b.Size() > min(maxBytes, enough) {
			break
		}
		out, size = append(out, b), size+b.Size()
	}
	l.largest = max(l.largest, size)
	if len(out) == 0 {
		return nil, persister.ErrMissing
	}
	return out, nil
}

// A committed backlog of a quarter of a gigabyte, as after a restart, is never in memory at once (cockroach issue 27804).
func TestBacklogIsReadInPieces(t *testing.T) {
	const entries, size = 256, 1 << 20
	log := &longLog{last: entries, entry: make([]byte, size)}
	applied := 0
	a := &applier{
		Config:  Config{Group: 1, Reader: log}.withDefaults(),
		machine: counter(func() { applied++ }), sessions: newSessions(), begun: true,
	}
	now := func() time.Duration { return 0 }
	m := &batch{Committed: &Committed{Through: raft.EntryID{Index: entries, Term: 1}}}
	for done := false; !done; {
		var err error
		turn := a.newTurn(now, nil)
		if done, err = a.some(m, &turn); err != nil {
			t.Fatal(err)
		}
		held := 0
		for _, b := range m.read {
			held += b.Size()
		}
		if held > 2*DefaultReadBytes {
			t.Fatalf("%d bytes wait in memory after entry %d", held, a.applied.Index)
		}
	}
	if applied != entries {
		t.Fatalf("applied %d of %d", applied, entries)
	}
	if log.largest > 2*DefaultReadBytes || log.reads < entries*size/(2*DefaultReadBytes) {
		t.Errorf("%d reads, the largest of %d bytes", log.reads, log.largest)
	}
}

// A counter is a state machine that counts.
type counter func()

func (c counter) Apply(Command) []byte                   { c(); return nil }
func (counter) Snapshot() (func(io.Writer) error, error) { return nil, nil }
func (counter) Restore(io.Reader) error                  { return nil }
