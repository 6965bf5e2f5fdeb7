package sim

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"path"
	"slices"
	"time"

	"github.com/troupe-raft/troupe/actors"
	"github.com/troupe-raft/troupe/election"
	"github.com/troupe-raft/troupe/raft"
	"github.com/troupe-raft/troupe/remote"
)

// A setting is the cluster that a scenario begins with. Zero values are the defaults named.
type setting struct {
	Seed      uint64
	Nodes     int
	Heartbeat time.Duration    // default that of all simulations
	Election  election.Timeout // the same
	// SnapshotEvery and TrailingEntries as in actors.GroupConfig; default: no snapshots.
	SnapshotEvery, TrailingEntries uint64
}

// A scenario drives a cluster by hand, for tests that tell a story: nothing happens but what the story says. Times and retries are
// those of the test suites of MIT's 6.824 labs and of ruaft, which follows them. Every step is checked as in any other run.
type scenario struct {
	*Sim
	t    tester
	set  setting
	rand *rand.Rand

	offline map[raft.NodeID]bool
	severed map[Link]bool
	clerks  int
	turn    int // who is asked first for the next agreement

	unreliable bool // as set by setUnreliable
	// intercept, if set, decides about every message that the weather lets pass.
	intercept func(Link, any) fate
	held      []letter // for release
	delayed   int      // messages that a fate made late
	messages  map[string]int
	requests  int // what the other suites count as RPCs: messages that are no answers
}

// A tester is the part of *testing.T that scenarios need.
type tester interface {
	Helper()
	Fatalf(format string, args ...any)
}

// A fate is what becomes of one message: 0 it passes, positive: it is that late.
type fate time.Duration

const (
	lose fate = -1
	hold fate = -2 // until it is released
)

// A letter is a message that was held back.
type letter struct {
	Link
	Message any
	frame   []byte
}

// newScenario starts the cluster.
func newScenario(t tester, set setting) *scenario {
	set.Heartbeat = cmp.Or(set.Heartbeat, heartbeats)
	set.Election.Min = cmp.Or(set.Election.Min, electionMin)
	set.Election.Max = cmp.Or(set.Election.Max, electionMax)
	set.SnapshotEvery = cmp.Or(set.SnapshotEvery, actors.NoSnapshots)
	sc := &scenario{
		Sim: New(Config{Seed: set.Seed, Nodes: set.Nodes, Spares: -1, Clients: -1, Quiet: true}), t: t, set: set,
		offline: map[raft.NodeID]bool{}, severed: map[Link]bool{}, messages: map[string]int{},
	}
	sc.story = &sc.set
	sc.rand = sc.Sim.rand("scenario")
	for _, id := range sc.ids { // New started them with limits drawn from the seed: begin with the scenario's before anything happened
		sc.nodes[id].crash()
		sc.nodes[id].disk = newDisk(id, sc.Sim.rand(fmt.Sprintf("disk %d", id)), sc.check)
	}
	sc.net.hold = sc.take
	for _, id := range sc.ids {
		sc.boot(id)
	}
	return sc
}

// boot starts a node with what its disk kept. A node that runs crashes first.
func (sc *scenario) boot(id raft.NodeID) {
	n := sc.nodes[id]
	if n.life != nil {
		sc.crash(id)
	}
	n.start()
	sc.healthy()
}

// heartbeat is how often a node's leaders send one.
func (s *Sim) heartbeat(n *node) time.Duration {
	if s.story != nil {
		return s.story.Heartbeat
	}
	return n.heartbeat
}

// group is how replicas are.
func (s *Sim) group() actors.GroupConfig {
	if s.story == nil {
		return s.cfg.group()
	}
	return actors.GroupConfig{
		Group: groupID, ElectionTimeout: s.story.Election, SnapshotEvery: s.story.SnapshotEvery, TrailingEntries: s.story.TrailingEntries,
	}
}

// host is how hosts are.
func (s *Sim) host() actors.HostTuning {
	if s.story == nil {
		return s.cfg.host()
	}
	return actors.HostTuning{}
}

// crash takes a node down and off the network. What was not synced may be lost.
func (sc *scenario) crash(id raft.NodeID) {
	sc.disconnect(id)
	sc.count("crash")
	sc.nodes[id].crash()
}

// restart crashes a node and starts it again; it stays disconnected until connect.
func (sc *scenario) restart(id raft.NodeID) {
	sc.crash(id)
	sc.boot(id)
}

// life is that of a node whose group runs, or nil.
func (sc *scenario) life(id raft.NodeID) *life {
	if l := sc.nodes[id].life; l != nil && l.group != nil {
		return l
	}
	return nil
}

func (sc *scenario) alive(id raft.NodeID) bool { return sc.life(id) != nil }

// other is the node k places after id.
func (sc *scenario) other(id raft.NodeID, k int) raft.NodeID {
	return sc.ids[(int(id)-1+k)%len(sc.ids)]
}

// fatalf ends the test with what is needed to repeat it.
func (sc *scenario) fatalf(format string, args ...any) {
	sc.t.Helper()
	sc.t.Fatalf("seed %d at %v: %s\n%s", sc.set.Seed, sc.clock.Now(), fmt.Sprintf(format, args...), sc.roles())
}

// healthy ends the test if an invariant of Raft was broken.
func (sc *scenario) healthy() {
	sc.t.Helper()
	if v := sc.check.first; v != nil {
		sc.fatalf("%v", v)
	}
}

// sleep lets time pass.
func (sc *scenario) sleep(d time.Duration) {
	sc.t.Helper()
	sc.within(d, func() bool { return false })
}

// sleepElection is the suites' election timeout: 1s, much longer than any real one here.
func (sc *scenario) sleepElection() { sc.t.Helper(); sc.sleep(time.Second) }

// within lets time pass until the condition holds, at most d, and reports whether it does.
func (sc *scenario) within(d time.Duration, condition func() bool) bool {
	sc.t.Helper()
	met, over := false, false
	timer := sc.clock.AfterFunc(d, func() { over = true })
	sc.until(func() bool {
		met = condition()
		return met || over
	})
	timer.Stop()
	sc.healthy()
	return met
}

// await is within for what must come.
func (sc *scenario) await(d time.Duration, what string, condition func() bool) {
	sc.t.Helper()
	if !sc.within(d, condition) {
		sc.fatalf("not within %v: %s", d, what)
	}
}

// between draws a duration, evenly, from min up to max, exclusive.
func (sc *scenario) between(min, max time.Duration) time.Duration {
	return min + time.Duration(sc.rand.Int64N(int64(max-min)))
}

// chance is true with the probability of n in m.
func (sc *scenario) chance(n, m int) bool { return sc.rand.IntN(m) < n }

// logBytes is what the disk of a node holds of its log.
func (sc *scenario) logBytes(id raft.NodeID) (size int) {
	for _, b := range sc.nodes[id].disk.image(groupID).blocks {
		size += b.Size()
	}
	return size
}

// snapshotBytes is what all snapshot files of a node take, finished or not.
func (sc *scenario) snapshotBytes(id raft.NodeID) (size int64) {
	d := sc.nodes[id].disk
	dir := fmt.Sprintf("snapshots/%d-%d", groupID, d.image(groupID).life)
	names, _ := d.files.List(dir)
	for _, name := range names {
		if info, err := d.files.Stat(path.Join(dir, name)); err == nil {
			size += info.Size()
		}
	}
	return size
}

// take is the network's hold: it counts a message and decides about it.
func (sc *scenario) take(l Link, message any) (keep bool) {
	sc.messages[sc.trace.name(message)]++
	if !isReply(message) {
		sc.requests++
	}
	if sc.intercept == nil {
		return false
	}
	f := sc.intercept(l, message)
	switch {
	case f == 0:
		return false
	case f > 0:
		sc.delayed++
		frame := sc.net.frame(message)
		sc.clock.AfterFunc(time.Duration(f), func() { sc.net.push(l, frame) })
	case f == hold:
		sc.held = append(sc.held, letter{Link: l, Message: message, frame: sc.net.frame(message)})
	}
	return true
}

// isReply reports whether a message is an answer to another one.
func isReply(message any) bool {
	switch message.(type) {
	case *raft.RequestVoteReply, *raft.AppendEntriesReply, *raft.HeartbeatReply, *raft.InstallSnapshotReply, *remote.SnapshotChunkReply:
		return true
	}
	return false
}

// release delivers a letter that was held.
func (sc *scenario) release(l letter) {
	sc.held = slices.DeleteFunc(sc.held, func(o letter) bool { return &o.frame[0] == &l.frame[0] })
	sc.net.push(l.Link, l.frame)
}

// frame is a message as it travels.
func (n *network) frame(message any) []byte {
	e := remote.Envelope{Group: groupID, Message: message}
	if _, ok := message.(*remote.Pulse); ok {
		e.Group = 0
	}
	frame, err := n.wire.Encode(nil, []remote.Envelope{e})
	if err != nil {
		n.sim.check.fail("wire", "%T: %v", message, err)
	}
	return frame
}

// push hands a frame over at once, unless its link is cut.
func (n *network) push(l Link, frame []byte) {
	n.inFlight++
	n.inFlightBytes += len(frame)
	n.bytes += len(frame)
	n.arrive(l, frame, nil)
}
