package sim

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/troupe-raft/troupe/actors"
	"github.com/troupe-raft/troupe/persister"
	"github.com/troupe-raft/troupe/raft"
	"github.com/troupe-raft/troupe/remote"
)

// A forgery is what no correct replica says, writes or is, and the property that it breaks.
type forgery struct {
	property string
	forge    func(c *checker, l *life, at committed, top raft.Index)
}

// says has the leader's node send a message.
func says(message func(term raft.Term, id raft.NodeID, top raft.Index) any) func(*checker, *life, committed, raft.Index) {
	return func(c *checker, l *life, _ committed, top raft.Index) {
		c.spoken(l.node.id, l.node.id%3+1, remote.Envelope{Group: groupID, Message: message(l.view.term, l.node.id, top)})
	}
}

// writes has its disk given an op with a snapshot of the last committed entry, spoilt.
func writes(spoil func(*raft.SnapshotMeta)) func(*checker, *life, committed, raft.Index) {
	return func(c *checker, l *life, at committed, top raft.Index) {
		meta := raft.SnapshotMeta{Index: top, Term: at.term, Membership: *at.members}
		spoil(&meta)
		c.accepted(l.node.id, l.node.disk.image(groupID), &persister.Op{Group: groupID, Compact: &meta, Through: top})
	}
}

// traces has its log be another one before the step than it was.
func traces(other func(v *view)) func(*checker, *life, committed, raft.Index) {
	return func(c *checker, l *life, _ committed, _ raft.Index) {
		other(&l.view)
		l.view.last.Index = 0
		c.traced(l, l.view.node)
	}
}

var forgeries = map[string]forgery{
	"a follower that shows an old status": {"who has caught up has what was committed", func(c *checker, l *life, _ committed, _ raft.Index) {
		for _, id := range c.sim.ids {
			if f := c.sim.nodes[id].life; f != l {
				c.log = append(c.log, c.log[len(c.log)-1])
				for i := range c.log {
					c.log[i].at = -time.Hour
				}
				c.keepsUp(f)
				return
			}
		}
	}},
	"an acknowledgement beyond the disk": {"acknowledgements are durable before they are spoken", says(func(t raft.Term, _ raft.NodeID, top raft.Index) any {
		return &raft.AppendEntriesReply{Term: t, Success: true, Match: top + 100}
	})},
	"an acknowledgement of another entry": {"acknowledgements are durable before they are spoken", func(c *checker, l *life, _ committed, top raft.Index) {
		c.reigns[l.view.term] = raft.Shape{Runs: []raft.Run{{First: 1, Last: top, Term: 99}}}
		c.holds(l.node.id, l.node.disk.image(groupID), l.view.term, top)
	}},
	"an installed snapshot that is not there": {"acknowledgements are durable before they are spoken", says(func(t raft.Term, _ raft.NodeID, top raft.Index) any {
		return &raft.InstallSnapshotReply{Term: t, Match: top + 100}
	})},
	"a term that is not durable": {"terms are durable before they are spoken", says(func(t raft.Term, id raft.NodeID, _ raft.Index) any {
		return &raft.HeartbeatReply{Term: t + 1}
	})},
	"a chunk of another leader": {"election safety", says(func(t raft.Term, id raft.NodeID, _ raft.Index) any {
		return &remote.SnapshotChunk{Term: t, Leader: id + 1}
	})},
	"a chunk of what is not committed": {"snapshots are of committed entries", says(func(t raft.Term, id raft.NodeID, top raft.Index) any {
		return &remote.SnapshotChunk{Term: t, Leader: id, Meta: raft.SnapshotMeta{Index: top + 1, Term: t}}
	})},
	"a snapshot that has not arrived": {"snapshots are durable before they are acknowledged", says(func(t raft.Term, _ raft.NodeID, top raft.Index) any {
		return &remote.SnapshotChunkReply{Term: t, Index: top + 1, Done: true}
	})},
	"a word on somebody else": {"nodes speak of themselves and their leader", says(func(raft.Term, raft.NodeID, raft.Index) any {
		return &remote.Location{Node: 99, Addr: "elsewhere"}
	})},
	"a member told that it is none": {"who is told of its removal is removed", says(func(_ raft.Term, _ raft.NodeID, top raft.Index) any {
		return &raft.Removed{Index: top}
	})},
	"a removal that is not committed": {"who is told of its removal is removed", says(func(_ raft.Term, _ raft.NodeID, top raft.Index) any {
		return &raft.Removed{Index: top + 1}
	})},
	"entries that are not the leader's": {"leaders send their log", says(func(t raft.Term, id raft.NodeID, top raft.Index) any {
		return &remote.AppendBlocks{AppendEntries: raft.AppendEntries{Term: t, Leader: id, Prev: raft.EntryID{Index: top, Term: t + 1}}}
	})},
	"a commit index too high": {"only what is committed is said to be", says(func(t raft.Term, id raft.NodeID, top raft.Index) any {
		return &remote.AppendBlocks{AppendEntries: raft.AppendEntries{Term: t, Leader: id, Commit: top + 1}}
	})},
	"a heartbeat with another entry": {"only what is committed is said to be", says(func(t raft.Term, id raft.NodeID, top raft.Index) any {
		return &remote.Pulse{Beats: []remote.Beat{{Group: groupID, Heartbeat: raft.Heartbeat{Term: t, Leader: id, Commit: raft.EntryID{Index: top, Term: t + 1}}}}}
	})},
	"a wait within the state machine": {"what would wait for itself is refused", func(_ *checker, l *life, _ committed, _ raft.Index) {
		l.node.sim.finished = false
		for l.node.sim.cfg.Quiet = false; !l.node.sim.cfg.chatty(); l.node.sim.cfg.Seed++ {
		}
		l.asksInVain("a timer, from where calls are not refused")
	}},
	"an event on the turn of a group": {"subscribers have an actor of their own", func(_ *checker, l *life, _ committed, _ raft.Index) {
		l.node.sim.handling, l.node.sim.turning = true, actor.ReceiveFunc(func(actor.Context) {})
		l.node.sim.subscriber(&actors.RoleChanged{Group: groupID, Node: l.node.id})
	}},
	"a message nobody knows": {"every message is known", says(func(raft.Term, raft.NodeID, raft.Index) any { return 1 })},

	"a snapshot of another term":      {"snapshots are of committed entries", writes(func(m *raft.SnapshotMeta) { m.Term++ })},
	"a snapshot beyond the committed": {"snapshots are of committed entries", writes(func(m *raft.SnapshotMeta) { m.Index++ })},
	"a snapshot with other members":   {"snapshots carry the membership of their index", writes(func(m *raft.SnapshotMeta) { m.Membership.Learners = []raft.NodeID{9} })},
	"a snapshot without its file":     {"snapshots are durable before the log goes", writes(func(*raft.SnapshotMeta) {})},
	"a snapshot of another state": {"a snapshot equals the log it replaces", func(c *checker, l *life, _ committed, _ raft.Index) {
		meta := l.node.disk.image(groupID).snapshot
		c.states.kv[c.states.lastCommand(meta.Index)]++
		delete(c.states.files, meta.Index)
		c.filed(l.node.id, &meta)
	}},
	"a snapshot of another moment": {"a snapshot equals the log it replaces", func(c *checker, l *life, _ committed, _ raft.Index) {
		meta := l.node.disk.image(groupID).snapshot
		c.states.executed = []raft.Index{1}
		delete(c.states.files, meta.Index)
		c.filed(l.node.id, &meta)
	}},
	"a snapshot with other sessions": {"a snapshot equals the log it replaces", func(c *checker, l *life, _ committed, _ raft.Index) {
		meta := l.node.disk.image(groupID).snapshot
		c.states.files[meta.Index]++
		c.filed(l.node.id, &meta)
	}},
	"another map restored": {"the same commands make the same state", func(c *checker, l *life, _ committed, _ raft.Index) {
		var file bytes.Buffer
		write, err := l.machine.Snapshot()
		if err == nil {
			err = write(&file)
		}
		if err == nil {
			file.Bytes()[file.Len()-1] ^= 1 // within the last value
			err = l.machine.Restore(&file)
		}
		if err != nil {
			panic(err)
		}
	}},
	"a session's command twice": {"a session's command happens once", func(c *checker, l *life, _ committed, top raft.Index) {
		for i := raft.Index(1); i <= top; i++ {
			if k := c.log[i-1]; k.session != 0 {
				c.states.sessions[request{k.session, k.seq}] = i + 1
				c.executes(l.node.id, i)
			}
		}
	}},

	"a read of the past": {"reads see what was committed before", func(c *checker, l *life, _ committed, top raft.Index) {
		c.reads(l, top-1, top)
	}},
	"a read too early": {"reads wait for the state", func(c *checker, l *life, _ committed, top raft.Index) {
		l.machine.index = 0
		c.reads(l, top, top)
	}},

	"a suffix kept under a snapshot": {"a snapshot replaces a log that differs", traces(func(v *view) {
		v.log.shape, v.log.snapshot = raft.Shape{Runs: []raft.Run{{First: 1, Last: 2, Term: 1}}}, 0
	})},
	"a log lost": {"leader append-only", traces(func(v *view) {
		v.log.shape.Runs = []raft.Run{{First: v.log.shape.First(), Last: v.last.Index + 1, Term: v.term}}
	})},
	"a follower's committed entry lost": {"committed never truncated", traces(func(v *view) {
		v.role, v.commit = raft.Follower, v.last.Index+1
		v.log.shape.Runs = []raft.Run{{First: v.log.shape.First(), Last: v.last.Index + 1, Term: v.term}}
	})},
	"a follower's entry lost to nothing": {"only a conflict removes entries", traces(func(v *view) {
		v.role = raft.Follower
		v.log.shape.Runs = []raft.Run{{First: v.log.shape.First(), Last: v.last.Index + 1, Term: v.term}}
	})},
	"a membership that no entry holds": {"membership follows the log", func(c *checker, l *life, _ committed, _ raft.Index) {
		l.view.log.base, l.view.log.changes = raft.Membership{Voters: []raft.NodeID{1}}, nil
		c.traced(l, l.view.node)
	}},
	"a founding of others": {"membership follows the log", func(c *checker, l *life, _ committed, _ raft.Index) {
		c.accepted(l.node.id, &image{}, &persister.Op{Group: groupID, Found: &raft.Membership{Voters: []raft.NodeID{1}}})
	}},
	"a leader without votes": {"leaders are elected by a quorum", func(c *checker, l *life, at committed, _ raft.Index) {
		clear(c.votes)
		c.elected(l, l.view.node, *at.members)
	}},
	"a leader whose own vote is not stored": {"leaders are elected by a quorum", func(c *checker, l *life, _ committed, _ raft.Index) {
		l.node.disk.image(groupID).hard.Vote = raft.None
		c.elected(l, l.view.node, raft.Membership{Voters: []raft.NodeID{l.node.id}})
	}},
	"a commit beyond the log": {"commit within the log", func(c *checker, l *life, _ committed, top raft.Index) {
		c.commit(l, l.view.node, top+1, top+50, raft.Change{})
	}},
	"an election under a lease": {"no election under a lease", func(c *checker, l *life, _ committed, _ raft.Index) {
		l.view.lasts = func(raft.Clocks) bool { return true }
		c.exclusiveElection(c.sim.nodes[l.node.id%3+1].life, l.view.term+1)
	}},
	"a term forgotten by a restart": {"term monotone", func(c *checker, l *life, _ committed, _ raft.Index) {
		l.node.disk.image(groupID).hard.Term++
		c.stable(l, l.view.node)
	}},
	"a snapshot forgotten by a restart": {"snapshot monotone", func(c *checker, l *life, _ committed, top raft.Index) {
		l.node.disk.image(groupID).snapshot.Index = top + 1
		c.stable(l, l.view.node)
	}},
	"an entry taken for stored": {"what counts as durable is", func(c *checker, l *life, _ committed, _ raft.Index) {
		*l.node.disk.image(groupID) = image{hard: l.node.disk.image(groupID).hard}
		l.view.durable = raft.EntryID{}
		c.stable(l, l.view.node)
	}},
	"a rival that could be elected": {"leader completeness", func(c *checker, l *life, _ committed, _ raft.Index) {
		behind := c.sim.nodes[l.node.id%3+1].disk.image(groupID)
		*behind = image{snapshot: raft.SnapshotMeta{Membership: raft.Membership{Voters: []raft.NodeID{l.node.id%3 + 1}}}}
		c.electable()
	}},
	"an address missed that was given": {"an address is missing only where nobody gave it", func(c *checker, l *life, _ committed, _ raft.Index) {
		c.sim.missed(&actors.PeerTrouble{Node: l.node.id, Err: &actors.NoAddressError{Peer: l.node.id%3 + 1}})
	}},
	"an address that nobody named": {lookedFor, func(c *checker, l *life, _ committed, _ raft.Index) {
		l.transport.addrs = map[raft.NodeID]string{}
		l.host.SetPeer(l.node.id%3+1, moved(l.node.id%3+1))
	}},
	"an address that nobody heeds": {lookedFor, func(c *checker, l *life, _ committed, _ raft.Index) {
		l.transport.addrs = map[raft.NodeID]string{}
		l.view.members.Members = []raft.Member{{ID: l.node.id%3 + 1, Addr: moved(l.node.id%3 + 1)}}
		c.sim.found()
	}},
	"a message refused": {"no correct node sends the impossible", func(c *checker, l *life, _ committed, _ raft.Index) {
		(&transport{net: c.sim.net, life: l}).HangUp(2, errors.New("no reason"))
	}},
	"an error that nothing made": {"nothing fails unless something makes it", func(c *checker, l *life, _ committed, _ raft.Index) {
		l.log.Error("store failed", "reason", "no idea")
	}},
}

// TestEveryCheckCanFail commits one offence after the other at the end of runs in which all went well.
func TestEveryCheckCanFail(t *testing.T) {
	var seed uint64
	for cfg := (Config{}); cfg.group().SnapshotEvery != 10 || cfg.group().MaxSessions != 0; cfg.Seed = seed {
		seed++
	}
	for name, f := range forgeries {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := New(Config{Seed: seed - 1, Nodes: 3, Spares: -1, Quiet: true, Length: time.Second, Think: time.Millisecond})
			if r := s.Run(); r.Violation != nil || s.leader() == nil {
				t.Fatalf("the run itself: %v", r.Violation)
			}
			leader, top := s.leader().life, raft.Index(len(s.check.log))
			f.forge(s.check, leader, s.check.log[top-1], top)
			if v := s.check.first; v == nil || v.Property != f.property {
				t.Errorf("violated: %v, not %q", v, f.property)
			}
		})
	}
}

// TestInjectedErrorsAreExcused: what a fault says of itself in the log is no violation.
func TestInjectedErrorsAreExcused(t *testing.T) {
	s := New(Config{Seed: 1, Quiet: true, Length: time.Millisecond})
	for _, why := range excuses {
		slog.New(&ear{sim: s}).Error("snapshot failed", "err", fmt.Errorf("folder: %s", why))
	}
	if s.check.first != nil {
		t.Error(s.check.first)
	}
}
