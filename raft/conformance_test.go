package raft_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/troupe-raft/troupe/raft"
)

// The setting of simple_raft's suites: T=10 ticks, a heartbeat every 9, chunks of 1024 bytes, at most 100,000 ticks.
const (
	tick           = 10 * time.Millisecond
	electionTicks  = 10
	heartbeatTicks = 9
	chunkBytes     = 1024
	maxTicks       = 100_000
	manySeeds      = 20 // each scenario is played with so many
)

// A weather says what becomes of packets. None in a link stands for everybody.
type weather struct {
	cut             map[[2]raft.NodeID]bool
	down            map[raft.NodeID]bool // nothing in, nothing out, and its time stands still
	drop, dup, late float64              // probabilities per packet; a late one arrives up to T ticks later
}

func fair() weather {
	return weather{cut: map[[2]raft.NodeID]bool{}, down: map[raft.NodeID]bool{}}
}

// rough loses, repeats and reorders.
func rough() weather {
	w := fair()
	w.drop, w.dup, w.late = 0.1, 0.1, 0.2
	return w
}

func (w weather) isolate(ids ...raft.NodeID) weather {
	for _, id := range ids {
		w.cut[[2]raft.NodeID{id, raft.None}], w.cut[[2]raft.NodeID{raft.None, id}] = true, true
	}
	return w
}

func (w weather) dropBetween(a, b raft.NodeID) weather {
	w.cut[[2]raft.NodeID{a, b}], w.cut[[2]raft.NodeID{b, a}] = true, true
	return w
}

func (w weather) dropTo(id raft.NodeID) weather {
	w.cut[[2]raft.NodeID{raft.None, id}] = true
	return w
}

func (w weather) nodeDown(ids ...raft.NodeID) weather {
	for _, id := range ids {
		w.down[id] = true
	}
	return w
}

func (w weather) loses(from, to raft.NodeID) bool {
	return w.cut[[2]raft.NodeID{from, to}] || w.cut[[2]raft.NodeID{from, raft.None}] || w.cut[[2]raft.NodeID{raft.None, to}] ||
		w.down[from] || w.down[to]
}

// A cluster is servers 1..n that live by ticks; what is sent within a tick arrives within it, unless the weather is bad.
type cluster struct {
	t       *testing.T
	seed    uint64
	rand    *rand.Rand
	ids     []raft.NodeID
	nodes   map[raft.NodeID]*raft.Replica
	weather weather
	ticks   int
	wire    []letter
	watch   func(raft.Packet) // sees every packet that is sent; may be nil

	log      map[raft.Index]raft.CommittedEntry    // what anybody said is committed
	applied  map[raft.NodeID][]raft.CommittedEntry // by each server; snapshots as they came
	happened map[string]int
}

type letter struct {
	at int
	p  raft.Packet
}

// config is that of one server of a suite.
func config(id raft.NodeID, size int, random func(int64) int64) raft.ReplicaConfig {
	return raft.ReplicaConfig{
		ID: id, Membership: raft.Membership{Voters: idsTo(size)}, Rand: random,
		ElectionMin: electionTicks * tick, ElectionMax: 2 * electionTicks * tick, HeartbeatInterval: heartbeatTicks * tick,
		MaxMessageBytes: chunkBytes,
		Pace:            raft.Pace{MaxBytes: chunkBytes, MaxMessages: 1, RetryFirst: heartbeatTicks * tick, RetryMax: electionTicks * tick},
	}
}

func idsTo(n int) (ids []raft.NodeID) {
	for i := range n {
		ids = append(ids, raft.NodeID(i+1))
	}
	return ids
}

func newReplica(t testing.TB, cfg raft.ReplicaConfig) *raft.Replica {
	t.Helper()
	r, err := raft.NewReplica(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func newCluster(t *testing.T, seed uint64, size int, w weather) *cluster {
	t.Helper()
	c := &cluster{
		t: t, seed: seed, rand: rand.New(rand.NewPCG(seed, 7)), ids: idsTo(size), nodes: map[raft.NodeID]*raft.Replica{},
		weather: w, log: map[raft.Index]raft.CommittedEntry{}, applied: map[raft.NodeID][]raft.CommittedEntry{}, happened: map[string]int{},
	}
	for _, id := range c.ids {
		c.nodes[id] = newReplica(t, config(id, size, c.rand.Int64N))
	}
	return c
}

// restart replaces a server by one that finds state on its disk.
func (c *cluster) restart(id raft.NodeID, state *raft.ReplicaState) {
	c.t.Helper()
	cfg := config(id, len(c.ids), c.rand.Int64N)
	cfg.State = state
	c.nodes[id], c.applied[id] = newReplica(c.t, cfg), nil
}

func (c *cluster) fatalf(format string, args ...any) {
	c.t.Helper()
	for _, id := range c.ids {
		c.t.Logf("server %d: %+v", id, c.nodes[id].Status())
	}
	c.t.Fatalf("seed %d, tick %d: %s", c.seed, c.ticks, fmt.Sprintf(format, args...))
}

// step lets one tick pass, and everything in it happen.
func (c *cluster) step() {
	c.t.Helper()
	c.ticks++
	for _, id := range c.ids {
		if !c.weather.down[id] {
			c.nodes[id].Advance(tick)
		}
	}
	c.settle()
}

// settle delivers until nothing is left that arrives in this tick.
func (c *cluster) settle() {
	c.t.Helper()
	for _, id := range c.ids {
		c.collect(id)
	}
	for rounds := 0; ; rounds++ {
		if rounds == 10_000 {
			c.fatalf("the servers talk without end within one tick")
		}
		due, later := []letter(nil), []letter(nil)
		for _, l := range c.wire {
			if l.at <= c.ticks {
				due = append(due, l)
			} else {
				later = append(later, l)
			}
		}
		if len(due) == 0 {
			return
		}
		c.wire = later
		for _, l := range due {
			if c.weather.loses(l.p.From, l.p.To) {
				c.happened["lost"]++
				continue
			}
			c.nodes[l.p.To].Receive(l.p.From, l.p)
			c.collect(l.p.To)
		}
	}
}

// collect takes what a server says: packets for the wire, and what it holds for committed, which it must say once, in order and
// as everybody else does.
func (c *cluster) collect(id raft.NodeID) {
	c.t.Helper()
	for _, p := range c.nodes[id].TakePackets() {
		if c.watch != nil {
			c.watch(p)
		}
		copies, at := 1, c.ticks
		switch w := c.weather; {
		case w.drop > 0 && c.rand.Float64() < w.drop:
			copies = 0
			c.happened["drop"]++
		case w.dup > 0 && c.rand.Float64() < w.dup:
			copies = 2
			c.happened["dup"]++
		case w.late > 0 && c.rand.Float64() < w.late:
			at += 1 + c.rand.IntN(electionTicks)
			c.happened["late"]++
		}
		for range copies {
			c.wire = append(c.wire, letter{at, p})
		}
	}
	for _, e := range c.nodes[id].TakeCommitted() {
		last := raft.Index(0)
		if all := c.applied[id]; len(all) > 0 {
			last = all[len(all)-1].Index
		}
		c.applied[id] = append(c.applied[id], e)
		if e.Snapshot {
			continue
		}
		if e.Index != last+1 {
			c.fatalf("server %d: entry %d after %d", id, e.Index, last)
		}
		if _, known := c.log[e.Index]; !known {
			c.log[e.Index] = e
		}
		if known := c.log[e.Index]; known.Term != e.Term || known.Kind != e.Kind || !bytes.Equal(known.Data, e.Data) {
			c.fatalf("server %d: entry %d is %+v, elsewhere %+v", id, e.Index, e, known)
		}
	}
}

// runOn does something to one server and delivers what follows from it, without letting time pass.
func (c *cluster) runOn(id raft.NodeID, do func(*raft.Replica)) *cluster {
	c.t.Helper()
	do(c.nodes[id])
	c.settle()
	return c
}

func (c *cluster) runUntil(what string, done func() bool) *cluster {
	c.t.Helper()
	for left := maxTicks; !done(); left-- {
		if left == 0 {
			c.fatalf("never %s", what)
		}
		c.step()
	}
	return c
}

// runFor lets ticks pass and demands that must holds after each.
func (c *cluster) runFor(ticks int, what string, must func() bool) *cluster {
	c.t.Helper()
	for range ticks {
		if c.step(); !must() {
			c.fatalf("not %s", what)
		}
	}
	return c
}

func (c *cluster) leads(id raft.NodeID) bool { return c.nodes[id].Status().Role == raft.Leader }

// leader is that of the newest term, None without any.
func (c *cluster) leader() (leader raft.NodeID) {
	term := raft.Term(0)
	for _, id := range c.ids {
		if s := c.nodes[id].Status(); s.Role == raft.Leader && s.Term > term {
			leader, term = id, s.Term
		}
	}
	return leader
}

func (c *cluster) hasLeader() bool { return c.leader() != raft.None }

// campaignUntilElected makes a server ask for votes at every tick.
func (c *cluster) campaignUntilElected(id raft.NodeID) {
	c.t.Helper()
	c.runUntil("elected", func() bool {
		if !c.leads(id) {
			c.nodes[id].Campaign()
		}
		return c.leads(id)
	})
}

// propose asks the leader, and returns false without one or when it refuses.
func (c *cluster) propose(data string) bool {
	id := c.leader()
	if id == raft.None {
		return false
	}
	_, err := c.nodes[id].Propose([]byte(data))
	return err == nil
}

// has reports whether a server has applied a command with this data, or for None any server.
func (c *cluster) has(id raft.NodeID, data string) bool {
	for server, entries := range c.applied {
		for _, e := range entries {
			if (id == raft.None || id == server) && e.Kind == raft.Command && !e.Snapshot && string(e.Data) == data {
				return true
			}
		}
	}
	return false
}

// must demands that these faults happened: otherwise the test tests nothing.
func (c *cluster) must(faults ...string) {
	c.t.Helper()
	for _, f := range faults {
		if c.happened[f] == 0 {
			c.fatalf("%q never happened: %v", f, c.happened)
		}
	}
}

// everySeed plays a scenario with many seeds.
func everySeed(t *testing.T, play func(t *testing.T, seed uint64)) {
	t.Helper()
	for seed := range uint64(manySeeds) {
		if play(t, seed); t.Failed() {
			return
		}
	}
}

// grant answers a candidate's request for votes, or for prevotes, of the election that it is in.
func grant(r *raft.Replica, from raft.NodeID, granted bool) {
	s := r.Status()
	reply := &raft.RequestVoteReply{Term: s.Term, Asked: s.Term, Granted: granted}
	if s.Role == raft.PreCandidate {
		reply.Asked, reply.PreVote = s.Term+1, true
	}
	r.Receive(from, raft.Packet{From: from, Message: reply})
}
