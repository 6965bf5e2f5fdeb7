package sim

import (
	"fmt"
	"hash/crc32"
	"time"

	"github.com/troupe-raft/troupe/entry"
	"github.com/troupe-raft/troupe/persister"
	"github.com/troupe-raft/troupe/raft"
)

// A Violation is a property that did not hold.
type Violation struct {
	Property string
	Detail   string
	Step     uint64
	At       time.Duration
	Stack    string // of a panic
}

func (v *Violation) Error() string {
	s := fmt.Sprintf("%s: %s (step %d, %v)", v.Property, v.Detail, v.Step, v.At)
	if v.Stack != "" {
		s += "\n" + v.Stack
	}
	return s
}

// A checker sees all nodes at once and knows everything that ever happened. It keeps the first violation.
type checker struct {
	sim   *Sim
	first *Violation

	entries   map[raft.EntryID]known            // every entry that any disk was ever given
	changed   map[raft.EntryID]*raft.Membership // those of them that hold one
	claims    map[raft.EntryID]*raft.Membership // what replicas said of entries that no disk was given yet
	blocks    map[blockID]bool                  // the very blocks that were looked at already
	log       []committed                       // log[i-1] is the committed entry i
	founding  raft.Membership
	settled   raft.Membership // the newest committed one
	settledAt raft.Index
	leaders   map[raft.Term]raft.NodeID
	reigns    map[raft.Term]raft.Shape // the log that each began with
	votes     map[ballot]raft.NodeID

	chains  map[raft.Index]applied
	states  states
	refused map[uint64]string // hashes of commands whose client was told that they never happen

	stamps []stamped // of the calm, once all has settled

	elections, commits, changes, restores, leases int
}

// A known is what must be the same wherever an entry is found (Log Matching, §5.3).
type known struct {
	hash uint64 // of kind, session, sequence number and data
	data uint64 // hash of the data alone
	size int    // of the data
	kind raft.Kind
	prev raft.Term

	session, seq uint64
	stamp        int64 // the log's time at it
}

type blockID struct {
	run raft.Run
	sum uint32
}

type committed struct {
	term    raft.Term
	by      raft.Term        // of the leader that committed it
	members *raft.Membership // in force at it
	at      time.Duration    // when it was committed
	known
}

type ballot struct {
	voter raft.NodeID
	lost  int // how often its disk had lost something
	term  raft.Term
}

// An applied is what every replica must have after it applied a command.
type applied struct {
	chain  uint64
	result uint64
}

func newChecker(s *Sim) *checker {
	return &checker{
		sim: s, entries: map[raft.EntryID]known{}, blocks: map[blockID]bool{}, leaders: map[raft.Term]raft.NodeID{},
		changed: map[raft.EntryID]*raft.Membership{}, claims: map[raft.EntryID]*raft.Membership{},
		reigns: map[raft.Term]raft.Shape{}, votes: map[ballot]raft.NodeID{},
		chains: map[raft.Index]applied{}, states: newStates(), refused: map[uint64]string{},
	}
}

// fail notes a violation; the run ends after this step.
func (c *checker) fail(property, format string, args ...any) {
	if c.first != nil {
		return
	}
	c.first = &Violation{Property: property, Detail: fmt.Sprintf(format, args...), Step: c.sim.stage.Steps(), At: c.sim.clock.Now()}
	c.sim.trace.note("VIOLATION %s", c.first)
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// hashOf is the same in every process: it becomes a part of snapshots, and so of traces.
func hashOf(b []byte) uint64 {
	h := uint64(14695981039346656037)
	for _, c := range b {
		h = (h ^ uint64(c)) * 1099511628211
	}
	return h
}

// accepted looks at an op before it changes a node's view of its log.
func (c *checker) accepted(node raft.NodeID, m *image, o *persister.Op) {
	c.snapshots(node, m, o)
	if len(o.Blocks) == 0 {
		return
	}
	c.truncated(node, m, o)
	prev := m.prev
	if o.Reset != nil {
		prev = raft.EntryID{Index: o.Reset.Index, Term: o.Reset.Term}
	} else if t, ok := m.termAt(o.Blocks[0].First() - 1); ok {
		prev = raft.EntryID{Index: o.Blocks[0].First() - 1, Term: t}
	}
	for _, b := range o.Blocks {
		c.matching(node, b, prev)
		prev = raft.EntryID{Index: b.Last(), Term: b.Term()}
	}
}

// truncated: what is committed is never removed from a log that holds it.
func (c *checker) truncated(node raft.NodeID, m *image, o *persister.Op) {
	first, last := o.Blocks[0].First(), m.last().Index
	if o.Reset != nil || first > last {
		return
	}
	for i := first; i <= min(last, raft.Index(len(c.log))); i++ {
		t, ok := m.termAt(i)
		if ok && t == c.log[i-1].term {
			if next := termOf(o.Blocks, i); next != t {
				c.fail("committed never truncated", "node %d replaces committed entry %d of term %d by term %d", node, i, t, next)
				return
			}
		}
	}
}

func termOf(blocks []*entry.Block, i raft.Index) raft.Term {
	for _, b := range blocks {
		if i >= b.First() && i <= b.Last() {
			return b.Term()
		}
	}
	return 0
}

// matching: entries of the same index and term are the same and follow the same (Log Matching).
func (c *checker) matching(node raft.NodeID, b *entry.Block, prev raft.EntryID) {
	id := blockID{run: b.Run(), sum: crc32.Checksum(b.Bytes(), castagnoli)}
	if c.blocks[id] {
		if k := c.entries[raft.EntryID{Index: b.First(), Term: b.Term()}]; k.prev != prev.Term {
			c.fail("log matching", "entry %d of term %d follows term %d on node %d, and term %d elsewhere", b.First(), b.Term(), prev.Term, node, k.prev)
		}
		return
	}
	c.blocks[id] = true
	i, before := b.First(), prev.Term
	stamp := c.entries[prev].stamp
	for e := range b.All() {
		stamp = c.timed(node, &e, stamp)
		k := known{hash: hashEntry(&e), data: hashOf(e.Data), size: len(e.Data), kind: e.Kind, prev: before, session: e.Session, seq: e.Seq, stamp: stamp}
		id := raft.EntryID{Index: i, Term: b.Term()}
		if had, ok := c.entries[id]; ok && had != k {
			c.fail("log matching", "two entries %d of term %d differ: on node %d it is a %v after term %d, elsewhere a %v after term %d", i, b.Term(), node, k.kind, k.prev, had.kind, had.prev)
			return
		} else if !ok {
			c.claimed(id, &e)
			c.marks(&e)
		}
		c.entries[id] = k
		i, before = i+1, b.Term()
	}
}

func hashEntry(e *entry.Entry) uint64 {
	h := hashOf(e.Data)
	for _, v := range [...]uint64{uint64(e.Kind), e.Session, e.Seq, uint64(e.Stamp)} {
		h = mix(h, v)
	}
	return h
}

// rejected: no correct group asks its disk for what would leave a gap or go back.
func (c *checker) rejected(node raft.NodeID, o *persister.Op) {
	c.fail("well-formed log", "node %d: %v", node, o.Err)
}

// stored looks at an op that becomes durable.
func (c *checker) stored(node raft.NodeID, m *image, o *persister.Op) {
	if o.Hard == nil {
		return
	}
	switch h := *o.Hard; {
	case h.Term < m.hard.Term:
		c.fail("term monotone", "node %d goes back from term %d to %d", node, m.hard.Term, h.Term)
	case h.Term == m.hard.Term && m.hard.Vote != raft.None && h.Vote != m.hard.Vote:
		c.fail("one vote per term", "node %d changes its vote of term %d from %d to %d", node, h.Term, m.hard.Vote, h.Vote)
	}
}
