package raft

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

const (
	testElection = 100 * time.Millisecond
	testDrift    = 12 * time.Millisecond // covers clocks that run 0.95 to 1.05 times as fast as time
	testTick     = 2 * time.Millisecond
)

// A world is a cluster of Replicas on a network that misbehaves, watched from above. Everything in it follows from its seed.
type world struct {
	t    testing.TB
	seed uint64
	rand *rand.Rand
	now  time.Duration

	servers map[NodeID]*server
	ids     []NodeID
	wire    []letter
	cut     map[[2]NodeID]bool // links, in one direction, that lose everything
	faults  faults

	leaders   map[Term]NodeID
	committed []CommittedEntry // by everybody who said so; index i is at i-1
	reads     map[uint64]*openRead
	nextRead  uint64
	proposals int
	happened  map[string]int
}

// faults are probabilities; those of network faults per packet, the others per tick.
type faults struct {
	drop, dup, late                                          float64
	crash, partition, heal, hold, sync                       float64
	propose, read, lease, compact, change, transfer, disturb float64
	back, lose                                               float64
}

type server struct {
	*Replica
	id      NodeID
	rate    float64
	state   *ReplicaState // while down
	down    bool
	applied Index
	seen    RoleState
	commit  Index
	starts  int
	images  []*ReplicaState // of its disk, some time ago
	doubt   bool

	stateless bool // it lost its snapshot
}

type letter struct {
	at time.Duration
	p  Packet
}

type openRead struct {
	server NodeID
	start  int
	floor  Index // what was committed when it was asked
}

func newWorld(t testing.TB, seed uint64, size, spare int, f faults) *world {
	w := &world{
		t: t, seed: seed, rand: rand.New(rand.NewPCG(seed, 0)), faults: f,
		servers: map[NodeID]*server{}, cut: map[[2]NodeID]bool{}, leaders: map[Term]NodeID{},
		reads: map[uint64]*openRead{}, happened: map[string]int{},
	}
	for id := NodeID(1); id <= NodeID(size+spare); id++ {
		w.ids = append(w.ids, id)
	}
	founders := Membership{Voters: slices.Clone(w.ids[:size])}
	for i, id := range w.ids {
		s := &server{id: id, rate: 0.95 + 0.1*w.rand.Float64()}
		w.servers[id] = s
		m := founders
		if i >= size {
			m = Membership{}
		}
		w.start(s, m)
	}
	return w
}

func (w *world) start(s *server, founders Membership) {
	if s.state != nil {
		founders = s.state.Snapshot.Membership
	}
	r, err := NewReplica(ReplicaConfig{
		ID: s.id, Membership: founders, State: s.state, ElectionMin: testElection, LeaseDrift: testDrift,
		HoldSync: w.faults.hold > 0, MaxMessageBytes: 40, Rand: w.rand.Int64N,
		Pace: Pace{MaxBytes: 200, MaxMessages: 4, RetryFirst: 20 * time.Millisecond, RetryMax: 80 * time.Millisecond},
	})
	if err != nil {
		w.fatalf("server %d does not start: %v", s.id, err)
	}
	s.Replica, s.down, s.state, s.applied, s.commit, s.seen = r, false, nil, 0, 0, RoleState{}
	if s.stateless { // the file is as bad as it was before
		w.lose(s)
	}
	s.starts++
}

func (w *world) fatalf(format string, args ...any) {
	w.t.Helper()
	w.t.Fatalf("seed %d at %v: %s", w.seed, w.now, fmt.Sprintf(format, args...))
}

func (w *world) chance(p float64) bool { return p > 0 && w.rand.Float64() < p }

// tick lets a little time pass: faults strike, clients ask, packets arrive, timers ring.
func (w *world) tick() {
	w.now += testTick
	w.strike()
	for _, id := range w.ids {
		s := w.servers[id]
		if s.down {
			continue
		}
		s.Advance(time.Duration(float64(testTick) * s.rate))
		w.collect(s)
		if w.faults.hold == 0 || w.chance(w.faults.sync) {
			s.Sync()
			w.collect(s)
		}
		w.ask(s)
	}
	w.deliver()
}

func (w *world) run(d time.Duration) {
	for end := w.now + d; w.now < end; {
		w.tick()
	}
}

func (w *world) deliver() {
	for round := 0; round < 4; round++ {
		var due, later []letter
		for _, l := range w.wire {
			if l.at <= w.now {
				due = append(due, l)
			} else {
				later = append(later, l)
			}
		}
		w.wire = later
		w.rand.Shuffle(len(due), func(i, j int) {
			if w.faults.late > 0 {
				due[i], due[j] = due[j], due[i]
			}
		})
		for _, l := range due {
			to := w.servers[l.p.To]
			if to == nil || to.down || w.cut[[2]NodeID{l.p.From, l.p.To}] {
				w.happened["lost"]++
				continue
			}
			w.guard(to, func() { to.Receive(l.p.From, l.p) })
			w.collect(to)
		}
	}
}

// guard fails the test with the seed when a rule stops the server.
func (w *world) guard(s *server, f func()) {
	defer func() {
		if r := recover(); r != nil {
			w.fatalf("server %d: %v", s.id, r)
		}
	}()
	f()
}

// collect puts a server's packets on the wire and checks everything it says.
func (w *world) collect(s *server) {
	for _, p := range s.TakePackets() {
		w.checkPacket(s, p)
		if w.chance(w.faults.drop) {
			w.happened["drop"]++
			continue
		}
		copies := 1
		if w.chance(w.faults.dup) {
			w.happened["dup"]++
			copies = 2
		}
		for ; copies > 0; copies-- {
			at := w.now
			if w.chance(w.faults.late) {
				w.happened["late"]++
				at += time.Duration(w.rand.Int64N(int64(2 * testElection)))
			}
			w.wire = append(w.wire, letter{at: at, p: p})
		}
	}
	w.checkRole(s)
	w.checkCommitted(s)
	w.checkReads(s)
	if now := s.node.InDoubt(s.id); now != s.doubt {
		if s.doubt {
			w.happened["trusted again"]++
		}
		s.doubt = now
	}
	if done, ok := s.TakeTransfer(); ok && done.Err == nil {
		w.happened["transferred"]++
	}
}

// checkPacket: a term, a vote and an acknowledged entry are on disk before they are spoken of (Figure 2).
func (w *world) checkPacket(s *server, p Packet) {
	disk := s.disk
	term := p.Message.MsgTerm()
	switch m := p.Message.(type) {
	case *RequestVote:
		if m.PreVote {
			term--
		} else if m.Term == disk.hard.Term && disk.hard.Vote != s.id {
			w.fatalf("server %d asks for votes in term %d without its own on disk", s.id, m.Term)
		}
	case *RequestVoteReply:
		if m.Granted && !m.PreVote && m.Term == disk.hard.Term && disk.hard.Vote != p.To {
			w.fatalf("server %d grants a vote to %d in term %d, on disk is %v", s.id, p.To, m.Term, disk.hard)
		}
	case *AppendEntriesReply:
		if last := max(disk.last(), disk.snapshot.Index); m.Success && m.Match > last {
			w.fatalf("server %d acknowledges %d, on disk is %d", s.id, m.Match, last)
		}
	}
	if term > disk.hard.Term {
		w.fatalf("server %d speaks of term %d, on disk is %d: %T", s.id, term, disk.hard.Term, p.Message)
	}
}

// checkRole: Election Safety and Leader Completeness of Figure 3, and the node's own invariants.
func (w *world) checkRole(s *server) {
	n := s.node
	seen := n.roleState()
	if s.stateless && (seen.Role == Leader || seen.Role == Candidate || seen.Role == PreCandidate) {
		w.fatalf("server %d is %v without a state", s.id, seen.Role)
	}
	if seen == s.seen {
		return
	}
	if err := s.Check(); err != nil {
		w.fatalf("server %d: %v", s.id, err)
	}
	if seen.Role == Leader && (s.seen.Role != Leader || s.seen.Term != seen.Term) {
		if other, ok := w.leaders[seen.Term]; ok && other != s.id {
			w.fatalf("both %d and %d lead term %d", other, s.id, seen.Term)
		}
		w.leaders[seen.Term] = s.id
		for i := n.FirstIndex() - 1; i <= Index(len(w.committed)); i++ {
			if t, ok := n.TermAt(i); i > 0 && (!ok || t != w.committed[i-1].Term) {
				w.fatalf("server %d leads term %d without committed entry %d of term %d", s.id, seen.Term, i, w.committed[i-1].Term)
			}
		}
	}
	s.seen = seen
}

// checkCommitted: State Machine Safety, and that nobody commits while another leader's lease lasts.
func (w *world) checkCommitted(s *server) {
	if c := s.node.CommitIndex(); c < s.commit {
		w.fatalf("server %d: commit fell from %d to %d", s.id, s.commit, c)
	} else {
		s.commit = c
	}
	for _, e := range s.TakeCommitted() {
		if e.Snapshot {
			if e.Index <= s.applied && !s.stateless || e.Index > Index(len(w.committed)) || w.committed[e.Index-1].Term != e.Term {
				w.fatalf("server %d: snapshot at %d of term %d after %d", s.id, e.Index, e.Term, s.applied)
			}
			if want := digest(w.committed[:e.Index]); !bytes.Equal(want, e.Data) {
				w.fatalf("server %d: snapshot at %d holds %x, want %x", s.id, e.Index, e.Data, want)
			}
			s.applied = e.Index
			w.happened["restored"]++
			if s.stateless {
				w.happened["regained"]++
				s.stateless = false
			}
			continue
		}
		if e.Index != s.applied+1 {
			w.fatalf("server %d: entry %d after %d", s.id, e.Index, s.applied)
		}
		s.applied = e.Index
		if e.Index > Index(len(w.committed)) {
			w.committed = append(w.committed, e)
			w.checkLeases(s)
		}
		if c := w.committed[e.Index-1]; c.Term != e.Term || c.Kind != e.Kind || !bytes.Equal(c.Data, e.Data) {
			w.fatalf("server %d: entry %d is %v, elsewhere %v", s.id, e.Index, e, c)
		}
	}
}

func (w *world) checkLeases(by *server) {
	for _, id := range w.ids {
		s := w.servers[id]
		if s.down || s == by || s.node.Term() == by.node.Term() {
			continue
		}
		if until, ok := s.node.LeaseUntil(); ok && s.Now() < until {
			w.fatalf("server %d commits %d in term %d while server %d of term %d holds a lease",
				by.id, len(w.committed), by.node.Term(), id, s.node.Term())
		}
	}
}

// checkReads: a read sees everything that was committed when it was asked (thesis §6.4).
func (w *world) checkReads(s *server) {
	for _, d := range s.TakeReads() {
		r := w.reads[d.ID]
		if r == nil || r.server != s.id || r.start != s.starts {
			w.fatalf("server %d answers read %d, which nobody asked or which is answered", s.id, d.ID)
		}
		delete(w.reads, d.ID)
		if d.Err != nil {
			w.happened["read lost"]++
			continue
		}
		w.happened["read"]++
		if d.Index < r.floor {
			w.fatalf("server %d: read at %d, but %d was committed when it was asked", s.id, d.Index, r.floor)
		}
	}
}

// checkLogs: Log Matching of Figure 3 over all pairs.
func (w *world) checkLogs() {
	for _, a := range w.ids {
		for _, b := range w.ids {
			if a < b && !w.servers[a].down && !w.servers[b].down {
				w.matchLogs(w.servers[a], w.servers[b])
			}
		}
	}
}

func (w *world) matchLogs(a, b *server) {
	la, lb := a.mem, b.mem
	same := false
	for i := min(la.last(), lb.last()); i > max(la.prev.Index, lb.prev.Index); i-- {
		ea, eb := la.slice(i, i)[0], lb.slice(i, i)[0]
		same = same || ea.Term == eb.Term
		if same && (ea.Term != eb.Term || ea.Kind != eb.Kind || !bytes.Equal(ea.Data, eb.Data)) {
			w.fatalf("logs of %d and %d agree later but not at %d: %v, %v", a.id, b.id, i, ea, eb)
		}
	}
}

// digest is the state that the test's state machine has after these entries.
func digest(entries []CommittedEntry) []byte {
	h := uint64(14695981039346656037)
	for _, e := range entries {
		for _, b := range e.Data {
			h = (h ^ uint64(b)) * 1099511628211
		}
		h = (h ^ uint64(e.Term)<<8 ^ uint64(e.Kind)) * 1099511628211
	}
	return fmt.Appendf(nil, "%016x", h)
}
