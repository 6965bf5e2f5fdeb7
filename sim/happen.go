package sim

import (
	"errors"
	"time"

	"github.com/troupe-raft/troupe/actors"
	"github.com/troupe-raft/troupe/applier"
	"github.com/troupe-raft/troupe/raft"
	"github.com/troupe-raft/troupe/remote"
	"github.com/troupe-raft/troupe/stage"
)

// Rare states that are counted by name, so that a set of runs that never has one is noticed.
const (
	spansTurns   = "a read of the log spans turns of the applier"
	readGap      = "a gap before committed blocks in memory is read from the disk"
	severalReads = "a follower is fed from the disk across several reads"
	resumes      = "a transfer of a snapshot resumes"
	leaseSoon    = "a lease read right after a transfer"
	byCredit     = "a proposal is refused by credit"
	crashJoint   = "a crash within a joint membership"
	crashLeading = "a crash of a leader with entries uncommitted"
	crashWriting = "a crash with writes on their way to the disk"
	crashSending = "a crash while a snapshot arrives"
	nobodySends  = "a message that no node sends was refused"
	waitsTurn    = "an applier waits for its turn"
	handsOver    = "a leader whose state machine is stuck hands over"
	votesInVain  = "a node that went back, and does not know it, votes"
	votesAgain   = "a node that had gone back votes again"
	renewed      = "a folder becomes another one"
	lateGreeting = "a greeting is found to be of a start that has ended"
	regains      = "a replica that lost its snapshot is given another"
)

var rare = []string{spansTurns, readGap, severalReads, resumes, leaseSoon, byCredit, crashJoint, crashLeading, crashWriting, crashSending, nobodySends, handsOver, waitsTurn, regains, votesAgain, renewed, lateGreeting, unaddressed, toldAddress, takenBack}

// A rarity is what a life remembers to tell them by.
type rarity struct {
	readTo, fedTo     raft.Index    // the last entries that the applier, and the syncer, read from the disk
	ordered, tookOver time.Duration // when it was told to campaign, and came to lead
	chunks            raft.Index    // of which snapshot pieces arrive
	got               int64         // and bytes of them, those that came twice included
}

// wasRead notes a read of the log.
func (s *Sim) wasRead(id raft.NodeID, from, to, last raft.Index) {
	l := s.nodes[id].life
	if l == nil {
		return
	}
	if s.reader() == "the syncer" {
		if l.fedTo > 0 && from == l.fedTo+1 {
			s.count(severalReads)
		}
		l.fedTo = last
		return
	}
	l.readTo = last
	if m, ok := s.handled.(*applier.Committed); ok && len(m.Blocks) > 0 && to+1 == m.Blocks[0].First() {
		s.count(readGap)
	}
}

// goesOn notes that an applier takes another turn.
func (s *Sim) goesOn(d stage.Delivery) {
	for _, id := range s.ids {
		if l := s.nodes[id].life; l != nil && l.stage.Name() == d.Node && l.machine != nil && l.machine.index < l.readTo {
			s.count(spansTurns)
		}
	}
}

// posted notes what a node sends: whoever wants more of a snapshot than it has got in this life, less what it got, has a part from before.
func (s *Sim) posted(l Link, message any) {
	from := s.nodes[l.From].life
	if m, ok := message.(*remote.SnapshotChunkReply); ok && from != nil && !m.Done && m.Index == from.chunks && m.Offset > from.got {
		s.count(resumes)
	}
	if _, ok := message.(*raft.TimeoutNow); ok && from != nil && from.group != nil && !from.group.Status().StalledSince.IsZero() {
		s.count(handsOver)
	}
}

// arrived notes what a node gets.
func (l *life) arrived(message any) {
	switch m := message.(type) {
	case *raft.TimeoutNow:
		l.ordered = l.node.sim.clock.Now()
	case *remote.SnapshotChunk:
		if l.chunks != m.Meta.Index {
			l.chunks, l.got = m.Meta.Index, 0
		}
		l.got += int64(len(m.Data))
	}
}

// leads notes that a life came to lead.
func (l *life) leads() {
	if now := l.node.sim.clock.Now(); l.ordered > 0 && now-l.ordered < electionMin {
		l.tookOver = now
	}
}

// readAt notes that a read was answered.
func (l *life) readAt(lease bool) {
	if s := l.node.sim; lease && l.tookOver > 0 && s.clock.Now()-l.tookOver < electionMin {
		s.count(leaseSoon)
	}
}

// turnedAway notes that a proposal was refused: by credit, when as many requests as there may be have no answer.
func (l *life) turnedAway(answer any) {
	if r, ok := answer.(*actors.Refused); ok && errors.Is(r.Err, actors.ErrBusy) && len(l.open) >= l.node.sim.limits.entries {
		l.node.sim.count(byCredit)
	}
}

// dies notes what a crash comes amid.
func (l *life) dies() {
	s, v := l.node.sim, &l.view
	if v.members.Joint() {
		s.count(crashJoint)
	}
	if v.role == raft.Leader && v.last.Index > v.commit {
		s.count(crashLeading)
	}
	if d := l.node.disk.life; d != nil && len(d.flights) > 0 {
		s.count(crashWriting)
	}
	if l.chunks > v.commit {
		s.count(crashSending)
	}
}
