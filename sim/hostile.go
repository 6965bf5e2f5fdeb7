package sim

import (
	"math/rand/v2"
	"time"

	"github.com/troupe-raft/troupe/entry"
	"github.com/troupe-raft/troupe/raft"
	"github.com/troupe-raft/troupe/remote"
)

// Some runs have somebody who sends, in the name of nodes, what no correct node sends. None of it may change anything but, now and then, the term,
// and each end of a connection that it causes must be of a link that it was sent on.

// hostilePause is how far apart such messages are, at most.
const hostilePause = 200 * time.Millisecond

// hostile runs are those with such a sender.
func (c Config) hostile() bool {
	return rand.New(rand.NewPCG(c.Seed, 0x4057111e)).IntN(4) == 0 && !c.Quiet && c.Only == nil && len(c.Broken) == 0
}

// impossibleMessages make messages to a life in the name of another node, nil when there is nothing of the kind that stays impossible, or without
// an effect, until it arrives.
var impossibleMessages = []func(l *life, from raft.NodeID) any{
	func(l *life, from raft.NodeID) any {
		return &raft.RequestVote{Term: tooHigh, Candidate: from}
	},
	func(l *life, from raft.NodeID) any { return &raft.RequestVote{Term: l.view.term, Candidate: from + 1} },
	func(l *life, from raft.NodeID) any { return &raft.HeartbeatReply{Term: l.view.term, Promise: -1} },
	func(l *life, from raft.NodeID) any {
		return &raft.InstallSnapshotReply{Term: l.view.term, Match: 1 << 63}
	},
	func(l *life, from raft.NodeID) any { return &raft.AppendEntriesReply{Term: l.view.term, Prev: 1 << 63} },
	func(l *life, from raft.NodeID) any {
		if l.view.role != raft.Leader {
			return nil
		}
		return &raft.AppendEntriesReply{Term: l.view.term, Success: true, Match: l.view.last.Index + 1_000_000}
	},
	func(l *life, from raft.NodeID) any {
		if l.view.role != raft.Leader {
			return nil
		}
		return &raft.TimeoutNow{Term: l.view.term, Leader: from}
	},
	func(l *life, from raft.NodeID) any {
		t, known := l.view.node.TermAt(l.view.commit)
		if !known || l.view.commit == 0 || t == l.view.term {
			return nil
		}
		return beatOf(raft.Heartbeat{Term: l.view.term, Leader: from, Commit: raft.EntryID{Index: l.view.commit, Term: t + 1}})
	},
	func(l *life, from raft.NodeID) any {
		meta := raft.SnapshotMeta{Index: l.view.commit + 5, Term: l.view.term, Membership: raft.Membership{Voters: []raft.NodeID{2, 2}}}
		return &remote.SnapshotChunk{Term: l.view.term, Leader: from, Meta: meta, Size: 9, Data: []byte("snapshot!")}
	},
	func(l *life, from raft.NodeID) any { // another entry in the place of a committed one
		at, term := l.view.commit, l.view.term
		before, known := l.view.node.TermAt(at - 1)
		if t, has := l.view.node.TermAt(at); at < 2 || !known || !has || t == term || before == 0 {
			return nil
		}
		var b entry.Builder
		b.Append(raft.Command, 0, 0, 0, []byte("forged"))
		return &remote.AppendBlocks{
			AppendEntries: raft.AppendEntries{
				Term: term, Leader: from, Prev: raft.EntryID{Index: at - 1, Term: before}, Runs: []raft.Run{{First: at, Last: at, Term: term}},
			},
			Blocks: []*entry.Block{b.Seal(term, at)},
		}
	},
	func(l *life, from raft.NodeID) any { // of a leader whose time is over
		return &raft.Recall{Term: l.view.term - 1, Leader: from, Entry: raft.EntryID{Index: 1, Term: 1}}
	},
	func(l *life, from raft.NodeID) any {
		return &raft.Trust{Term: l.view.term - 1, Leader: from, Entry: raft.EntryID{Index: 1, Term: l.view.term - 1}}
	},
	func(l *life, from raft.NodeID) any {
		meta := raft.SnapshotMeta{Index: 1, Term: 1, Membership: raft.Membership{Voters: []raft.NodeID{2}}}
		return &remote.SnapshotChunk{Term: l.view.term - 1, Leader: from, Meta: meta, Size: 9, Data: []byte("snapshot!")}
	},
	func(l *life, from raft.NodeID) any {
		t, known := l.view.node.TermAt(l.view.commit)
		if !known || t < 2 {
			return nil
		}
		meta := raft.SnapshotMeta{Index: l.view.commit + 5, Term: t - 1, Membership: raft.Membership{Voters: []raft.NodeID{2}}}
		return &remote.SnapshotChunk{Term: l.view.term, Leader: from, Meta: meta, Size: 9, Data: []byte("snapshot!")}
	},
	func(l *life, from raft.NodeID) any {
		return &remote.SnapshotChunkReply{Term: tooHigh, Index: l.view.commit}
	},
	func(l *life, from raft.NodeID) any {
		return &remote.AppendBlocks{AppendEntries: raft.AppendEntries{Term: l.view.term, Leader: from, Prev: raft.EntryID{Index: 1, Term: l.view.term + 1}}}
	},
}

// tooHigh is a term that nobody comes nearer to.
const tooHigh raft.Term = 1<<62 + 1

// jumpEvery is of how many such messages one has a term that is too high, and not out of reach: its receiver comes nearer to it, and the others have to
// follow. From then on correct nodes may be further apart than what they believe.
const jumpEvery = 30

const jumpsTerm = "a term far beyond the others' is forged"

// jumps make such messages.
var jumps = []func(term raft.Term, from raft.NodeID) any{
	func(term raft.Term, from raft.NodeID) any { return &raft.HeartbeatReply{Term: term} },
	func(term raft.Term, from raft.NodeID) any { return &raft.AppendEntriesReply{Term: term} },
	func(term raft.Term, from raft.NodeID) any { return &raft.RequestVoteReply{Term: term, PreVote: true} },
	func(term raft.Term, from raft.NodeID) any { return &remote.SnapshotChunkReply{Term: term, Index: 1} },
	func(term raft.Term, from raft.NodeID) any { return beatOf(raft.Heartbeat{Term: term, Leader: from}) },
	func(term raft.Term, from raft.NodeID) any {
		meta := raft.SnapshotMeta{Index: 9, Term: term, Membership: raft.Membership{Voters: []raft.NodeID{from}}}
		return &remote.SnapshotChunk{Term: term, Leader: from, Meta: meta, Size: 9, Data: []byte("snapshot!")}
	},
}

func beatOf(h raft.Heartbeat) any {
	return &remote.Pulse{Beats: []remote.Beat{{Group: groupID, Heartbeat: h}}}
}

// harass sends one such message after another, as long as there are faults.
func (s *Sim) harass() {
	r := s.rand("hostile")
	var next func()
	next = func() {
		s.after(time.Millisecond+time.Duration(r.Int64N(int64(hostilePause))), func() {
			n := s.nodes[s.ids[r.IntN(len(s.ids))]]
			from := s.ids[r.IntN(len(s.ids))]
			what := impossibleMessages[r.IntN(len(impossibleMessages))]
			if r.IntN(jumpEvery) == 0 {
				jump, far := jumps[r.IntN(len(jumps))], raft.MaxTermJump+1000+raft.Term(r.Uint64N(uint64(3*raft.MaxTermJump)))
				what = func(l *life, from raft.NodeID) any {
					s.jumped = true
					s.count(jumpsTerm)
					return jump(l.view.term+far, from)
				}
			}
			s.forge(n, from, what)
			next()
		})
	}
	next()
}

// forge has a message arrive that its sender did not send. What was led is forgotten by a replica that begins again, and what is impossible to a leader
// is not to others, so that nothing that could make it do so before the message is handled may be under way.
func (s *Sim) forge(n *node, from raft.NodeID, what func(*life, raft.NodeID) any) {
	l := n.life
	if l == nil || l.deliver == nil || l.view.node == nil || l.view.term == 0 || from == n.id || len(s.bombs) > 0 || l.trap != "" || l.slow(handful) ||
		!l.running() || s.turnedTo(n) || l.group.Status().Commit < l.view.commit { // it has begun again since it was looked at
		return
	}
	message := what(l, from)
	if message == nil {
		return
	}
	e := remote.Envelope{Group: groupID, Message: message}
	if _, pulse := message.(*remote.Pulse); pulse {
		e.Group = 0
	}
	if l.forged == nil {
		l.forged = map[raft.NodeID]bool{}
	}
	l.forged[from] = true
	s.count("a message that no node sends")
	s.trace.note("node %d gets a forged %T of node %d", n.id, message, from)
	l.deliver(from, []remote.Envelope{e})
}

// turnedTo reports whether a node was put back, or its disk is to fail it, so that it may begin again at any moment.
func (s *Sim) turnedTo(n *node) bool {
	return s.returned != nil && s.returned.node == n || n.disk.crashIn > 0
}
