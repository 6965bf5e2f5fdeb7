package sim

import (
	"fmt"
	"time"

	"github.com/troupe-raft/troupe/applier"
	"github.com/troupe-raft/troupe/raft"
	"github.com/troupe-raft/troupe/stage"
)

// Heights are the most that there was, of each thing that may pile up, whenever it was looked at.
type Heights struct {
	Waiting  int // messages in all mailboxes
	Queue    int // messages in one mailbox
	Handed   int // of them, orders to one applier: each holds the blocks that it is to apply
	InFlight int // messages on the network
	Link     int // of them, from one node to one other
	Bytes    int // on the network
	Entries  int // proposals in a leader's log that are not committed
	Data     int // their bytes
	Lag      int // entries of a leader that are not on its own disk
	Flights  int // syncs that one disk has before it, of batches that are not full
	Writes   int // in them, those of groups
	Unsynced int // and the bytes of their blocks
	Read     int // bytes that one read of a log may bring into memory
}

func (h Heights) String() string {
	return fmt.Sprintf("%d messages waited, %d for one actor, %d orders for one applier; %d messages with %d bytes were in flight, %d on one link; "+
		"a leader had %d proposals with %d bytes uncommitted, and %d entries not on disk; a disk had %d syncs of %d writes with %d bytes before it; a read was of %d bytes",
		h.Waiting, h.Queue, h.Handed, h.InFlight, h.Bytes, h.Link, h.Entries, h.Data, h.Lag, h.Flights, h.Writes, h.Unsynced, h.Read)
}

// What comes on top.
const (
	// Each node has a dozen actors, and none gets more than a few messages at once that no client and no peer sent.
	perNode = 32
	// Votes, heartbeats, chunks of snapshots, repeated appends and the answers to all of these: of the most that are on their way for half a second, the
	// longest that a link takes, heartbeats, there are ten.
	perLink = 64
	// A disk stalls for up to a second, in which each snapshot that a follower is sent, of ten entries, is three writes.
	perStall = 2 * perLink
	// A follower that answers late is sent what the others commit meanwhile, and so is a disk that is slow: half a second of what these
	// clients write is less, with a snapshot of what they have written on top.
	lateBytes = 1 << 20
	// Of a pace that a message out of order has ended, the rest is on its way while the next is filled: on a slow link that reorders, of several.
	mostPaces = 8
	// While appends overtake each other by several round trips, which no connection lets them, each that comes too early ends a pace and each that
	// comes in time begins one (docs/bugs.md, "Open").
	mostPacesAmidDisorder = 16 * mostPaces
	// An actor whose handler does not return is told of everything that its node goes on with, for as long as a handler hangs at most.
	whileHung = 5_000
	// Whoever loads, stops or crashes has its writes synced out of turn; nobody does so more often than this while a disk stalls.
	outOfTurn = 12
)

// backsOff reports whether a daemon has panicked so often that it is restarted after a long pause only: it is told of everything meanwhile.
func (l *life) backsOff() bool {
	for _, panics := range l.panics {
		if panics > 2 {
			return true
		}
	}
	return false
}

// bounded: nothing piles up.
func (s *Sim) bounded() {
	s.boundMailboxes()
	s.boundNetwork()
	for _, id := range s.ids {
		if l := s.nodes[id].life; l != nil {
			s.boundLog(l)
			s.boundDisk(l)
			s.check.keepsUp(l)
		}
	}
}

// reaches notes a height and fails the run when it is above its limit.
func (s *Sim) reaches(height *int, n, limit int, what string, where raft.NodeID) {
	if *height = max(*height, n); n > limit {
		if where != raft.None {
			what = fmt.Sprintf("%s of node %d", what, where)
		}
		s.check.fail("bounded memory", "%s: %d, the limit is %d", what, n, limit)
	}
}

// boundMailboxes: an actor may be suspended, stopping or slow, and its node may be paused; others go on sending to it. What clients and operators ask
// is all in the mailboxes of groups then, asked once a client's timeout and node. Else one node at most has all that a leader's pace allows.
func (s *Sim) boundMailboxes() {
	groups := 1 + len(s.neighbours)
	usual := groups * (s.limits.messages + 2*perLink) // senders, the persister and the heartbeat serve all groups of a host
	total, longest, mostHanded := 0, 0, 0
	queue, handed, last := 0, 0, ""
	piled := map[string]bool{} // nodes with an actor that has more before it than is usual
	s.stage.EachWaiting(func(d stage.Delivery) {
		if total++; d.Actor != last {
			queue, handed, last = 0, 0, d.Actor
		}
		if queue++; queue > usual {
			piled[d.Node] = true
		}
		longest = max(longest, queue)
		if _, ok := d.Message.(*applier.Committed); ok {
			handed++
			mostHanded = max(mostHanded, handed)
		}
	})
	asked := 0
	for _, id := range s.ids {
		l := s.nodes[id].life
		if l == nil {
			continue
		}
		asked += len(l.open)
		l.behind = l.hung && l.slow(handful) || l.behind && piled[l.stage.Name()]
		if l.behind || l.backsOff() {
			asked += whileHung
		}
		if l.hang.now > 0 || l.hang.until > 0 && s.clock.Now()-l.hang.until < handful { // nobody stops heartbeats and repeated appends to who is stuck
			asked += int(longestHang/(time.Second/2)) * perLink
		}
	}
	s.reaches(&s.most.Handed, mostHanded, s.limits.orders, "orders wait for one applier", raft.None)
	for _, g := range s.neighbours {
		asked += 2 * g.crowd
	}
	s.reaches(&s.most.Queue, longest, asked+usual, "messages wait for one actor", raft.None)
	s.reaches(&s.most.Waiting, total, asked+groups*(s.limits.messages+2*perLink+perNode*len(s.ids)), "messages wait in mailboxes", raft.None)
}

// boundNetwork: what is late, as a few messages are by seconds, is late by the network's fault. One leader at a time fills the pace of its followers. Others,
// deposed and not knowing it yet, send little.
func (s *Sim) boundNetwork() {
	const doubled = 2 // as a storm has many
	groups, paces := 1+len(s.neighbours), mostPaces
	if s.clock.Now() < s.net.disorder {
		paces = mostPacesAmidDisorder
	}
	s.reaches(&s.most.InFlight, s.net.inFlight-s.net.late, groups*doubled*(paces*s.limits.messages+perLink+8*len(s.ids)*len(s.ids)), "messages on the network", raft.None)
	s.reaches(&s.most.Bytes, s.net.inFlightBytes, lateBytes, "bytes on the network", raft.None)
	link := 0
	for _, n := range s.net.onLink {
		link = max(link, n)
	}
	s.reaches(&s.most.Link, link, groups*(paces*s.limits.messages+perLink), "messages on one link", raft.None)
}

// compacted is up to where each group's log is not needed any more once what is before the disk is on it: snapshots, whose files a disk that stalls does
// not hold up, have that on the disk already, so that whoever takes one goes on.
func (s *store) compacted() map[raft.GroupID]raft.Index {
	through := map[raft.GroupID]raft.Index{}
	for _, f := range s.flights {
		for i := range f.ops {
			if o := &f.ops[i]; o.Compact != nil {
				through[o.Group] = max(through[o.Group], o.Through)
			}
		}
	}
	return through
}

// boundLog: what a leader has taken and cannot commit, and what it has committed without its own disk, stays within its limits. A no-op for each term
// and the changes of the membership come on top: they are few, and no client makes them. A single proposal may be larger than all
// that the limit allows.
func (s *Sim) boundLog(l *life) {
	v := &l.view
	if v.node == nil || v.role != raft.Leader {
		return
	}
	mostEntries, mostBytes := s.limits.entries, s.limits.bytes
	for _, id := range s.ids {
		if v.node.InDoubt(id) {
			mostEntries++ // a no-op that the disk was not given yet
		}
	}
	// Whoever leads has a vote of its own on disk, and all that was in its log before.
	durable := v.node.Durable()
	s.reaches(&s.most.Lag, int(v.last.Index-durable)-len(v.node.ChangesIn(durable+1, v.last.Index)), mostEntries+1, "entries not on the disk", l.node.id)
	entries, commands, data := s.uncommitted(v)
	s.reaches(&s.most.Entries, entries, mostEntries, "uncommitted proposals in the log", l.node.id)
	if commands > 1 {
		s.reaches(&s.most.Data, data, mostBytes, "bytes of uncommitted proposals", l.node.id)
	}
}

// uncommitted counts the proposals beyond all that is committed, and, of what the disk was given, commands and their bytes.
func (s *Sim) uncommitted(v *view) (entries, commands, data int) {
	from := raft.Index(len(s.check.log)) + 1
	entries = -len(v.node.ChangesIn(from, v.last.Index))
	before, _ := v.node.TermAt(from - 1)
	for i := from; i <= v.last.Index; i++ {
		term, _ := v.node.TermAt(i)
		k, given := s.check.entries[raft.EntryID{Index: i, Term: term}]
		if term == before && !(given && k.kind == raft.NoOp) { // the first entry of a term is its no-op
			entries++
		}
		before = term
		if given && k.kind == raft.Command {
			commands++
			data += k.size
		}
	}
	return entries, commands, data
}

// boundDisk: a follower writes no more at once than the pace of its leader allows, and a leader no more blocks than proposals. However much is answered
// meanwhile is one write between two that store something. One that was suspended works off what came meanwhile, at once.
func (s *Sim) boundDisk(l *life) {
	d := l.node.disk.life
	if d == nil {
		return
	}
	writes, bytes, full, covered := 0, 0, 0, d.compacted()
	for _, f := range d.flights {
		for i := range f.ops {
			if o := &f.ops[i]; o.Compact == nil && (len(o.Blocks) == 0 || o.Blocks[len(o.Blocks)-1].Last() > covered[o.Group]) {
				writes++
			}
		}
		before := bytes
		for i := range f.ops {
			for _, b := range f.ops[i].Blocks {
				bytes += b.Size()
			}
		}
		if bytes-before >= s.limits.write {
			full++
		}
	}
	// What is full waits for its turn, until somebody has all that was gathered synced: it is bounded as writes.
	s.reaches(&s.most.Flights, len(d.flights)-full, s.limits.flights+outOfTurn, "syncs before the disk", l.node.id)
	s.reaches(&s.most.Writes, writes, (1+len(s.neighbours))*(s.limits.messages+perStall+s.limits.entries)+l.backlog, "writes before the disk", l.node.id)
	s.reaches(&s.most.Unsynced, bytes, lateBytes, "bytes before the disk", l.node.id)
}

// boundRead: whoever reads a log says how much of it may come into memory at once. What one log holds here is far less, so that it is the question
// that shows whether a long one would be read in pieces.
func (c *checker) boundRead(node raft.NodeID, bytes int) {
	c.sim.reaches(&c.sim.most.Read, bytes, c.sim.limits.read, "bytes asked of the log at once", node)
}
