package raft

import (
	"errors"
	"fmt"
	"time"
)

// What a peer sends is looked at before the rules see it. A message that no correct server sends, be its sender broken, hostile or of another
// cluster, is impossible: it is dropped, and the caller ends the connection that it came on. So only a server's own state can break an
// invariant. Nothing here may refuse what a correct server may have sent, however late and out of order it comes, also one that has gone back
// (docs/decisions/0013): docs/decisions/0019 has the reasons.

// MaxTermJump is by how much the term of a message may be above the receiver's own. Each term takes an election, so that
// no server misses so many; and one message could otherwise bring the cluster to a term that has no next. A server that
// refuses such a message raises its own term by this much all the same (Node.approach), so that it comes to meet a peer
// whose term is really that high.
const MaxTermJump Term = 1 << 32

// maxTerm bounds the terms in messages: no cluster gets there, and from there it would not be far to the last one.
const maxTerm Term = 1 << 62

// smallTermJump is by how much a message may raise the term at any time. It may by more, too, but not again within
// ElectionMin. So nobody can drive a cluster to maxTerm: docs/decisions/0019 has the figures.
const smallTermJump Term = 1 << 16

// maxIndex bounds the indexes in messages: far beyond any log, and so far from the greatest that none overflows.
const maxIndex Index = 1 << 62

// greatestTerm and greatestIndex bound what a disk may hold. No server gets from the bounds of messages to these in a
// lifetime, by its own elections and proposals; and from these none gets to numbers that have no next.
const (
	greatestTerm  Term  = 1 << 63
	greatestIndex Index = 1 << 63
)

// longestPromise bounds what a follower may promise, as Config bounds ElectionMin.
const longestPromise = 1000 * time.Hour

// An Impossibility is why a message is one that no correct server sends.
type Impossibility uint8

// The impossibilities.
const (
	Malformed   Impossibility = iota // by itself: its fields contradict each other, or are out of bounds
	Impostor                         // it speaks for another server than its sender
	TermTooHigh                      // its term is above the receiver's by more than MaxTermJump
	TwoLeaders                       // its sender claims a term that the receiver or another server leads
	Contradicts                      // it contradicts what the receiver knows to be committed
	BeyondLog                        // it acknowledges what the receiver, who leads its term, never had
)

var impossibilities = [...]string{
	"is malformed", "speaks for another server", "has a term that is too high", "claims a term that another server leads", "contradicts what is committed",
	"acknowledges what does not exist",
}

func (i Impossibility) String() string {
	if int(i) < len(impossibilities) {
		return impossibilities[i]
	}
	return "is impossible"
}

// An ImpossibleMessageError says that a message was dropped because no correct server sends it.
type ImpossibleMessageError struct {
	From    NodeID
	Message Message
	Why     Impossibility
	Detail  string
}

func (e *ImpossibleMessageError) Error() string {
	return fmt.Sprintf("raft: impossible message: %T of server %d %v: %s", e.Message, e.From, e.Why, e.Detail)
}

// Validate looks at a message alone and returns an *ImpossibleMessageError when no correct server sends it, else nil.
func Validate(from NodeID, m Message) error {
	j := judge{from: from, message: m}
	switch m := m.(type) {
	case *RequestVote:
		j.speaks(m.Candidate)
		j.positive(m.Term)
		j.entry("the last entry", m.Last, m.Term)
	case *RequestVoteReply:
		j.demand(!m.Granted || m.PreVote || m.Asked == m.Term && m.Term > 0, "a vote for term %d is given in term %d", m.Asked, m.Term)
		j.demand(!m.Granted || !m.PreVote || m.Asked > m.Term, "a prevote for term %d is given in term %d", m.Asked, m.Term)
	case *AppendEntries:
		j.speaks(m.Leader)
		j.positive(m.Term)
		j.appends(m)
	case *AppendEntriesReply:
		j.positive(m.Term)
		j.indexes(m.Match, m.Prev)
		j.entry("the hint", m.Hint, m.Term)
		j.demand(!m.Success || m.Match >= m.Prev, "what follows entry %d matches through %d", m.Prev, m.Match)
		j.demand(m.Success || m.Hint.Index <= m.Prev, "entry %d is refused with the hint %d", m.Prev, m.Hint.Index)
	case *Heartbeat:
		j.speaks(m.Leader)
		j.positive(m.Term)
		j.entry("the commit", m.Commit, m.Term)
	case *HeartbeatReply:
		j.positive(m.Term)
		j.indexes(m.Applied, m.Wants)
		j.demand(m.Promise >= 0 && m.Promise <= longestPromise, "it promises %v", m.Promise)
	case *InstallSnapshot:
		j.speaks(m.Leader)
		j.positive(m.Term)
		j.entry("the snapshot", EntryID{Index: m.Snapshot.Index, Term: m.Snapshot.Term}, m.Term)
		j.demand(m.Snapshot.Index > 0, "the snapshot is of nothing")
		j.members(m.Snapshot.Index, m.Snapshot.Membership)
	case *InstallSnapshotReply:
		j.positive(m.Term)
		j.indexes(m.Match)
	case *TimeoutNow:
		j.speaks(m.Leader)
		j.positive(m.Term)
	case *Recall:
		j.speaks(m.Leader)
		j.positive(m.Term)
		j.indexes(m.Entry.Index)
		j.demand(m.Entry.Index > 0 && m.Entry.Term <= m.Term, "it recalls entry %d of term %d", m.Entry.Index, m.Entry.Term)
	case *Trust:
		j.speaks(m.Leader)
		j.positive(m.Term)
		j.indexes(m.Entry.Index)
		j.demand(m.Entry.Index > 0 && m.Entry.Term == m.Term, "it trusts by entry %d of term %d", m.Entry.Index, m.Entry.Term)
	case *Removed:
		j.indexes(m.Index)
		j.demand(m.Index > 0, "nobody is removed by nothing")
	default:
		j.demand(false, "no such message is known")
	}
	return j.verdict()
}

// Admit looks at a message with the eyes of this server, and returns an *ImpossibleMessageError when no correct server sends it, else nil. Step
// does so with all that it is given; others may ask before they act on a part of a message.
func (n *Node) Admit(from NodeID, m Message) error {
	if err := Validate(from, m); err != nil {
		return err
	}
	j := judge{from: from, message: m}
	term := m.MsgTerm()
	if term > maxTerm || term > n.hard.Term && term-n.hard.Term > MaxTermJump {
		j.blame(TermTooHigh, "%d, and this server's is %d", term, n.hard.Term)
	}
	if term < n.hard.Term { // it is answered, and changes nothing
		return j.verdict()
	}
	switch m := m.(type) {
	case *AppendEntries:
		n.rival(&j, term)
		n.disputes(&j, m.Prev)
		for _, r := range m.Runs {
			n.overrules(&j, r)
		}
	case *Heartbeat:
		n.rival(&j, term)
		n.disputes(&j, m.Commit)
	case *InstallSnapshot:
		n.rival(&j, term)
		n.disputes(&j, EntryID{Index: m.Snapshot.Index, Term: m.Snapshot.Term})
		if c := n.commitID(); m.Snapshot.Index > c.Index && m.Snapshot.Term < c.Term {
			j.blame(Contradicts, "entry %d of term %d is committed, and the snapshot ends at %d in term %d", c.Index, c.Term, m.Snapshot.Index, m.Snapshot.Term)
		}
	case *TimeoutNow, *Recall, *Trust:
		n.rival(&j, term)
	case *AppendEntriesReply:
		n.acknowledges(&j, term, m.Match)
	case *InstallSnapshotReply:
		n.acknowledges(&j, term, m.Match)
	}
	return j.verdict()
}

// approach raises the term of this server by MaxTermJump when m was refused for a term that is higher still. A term alone
// harms nobody (§5.1), and two servers whose terms are further apart could otherwise never again hear each other: two
// messages, each within what is believed, are enough to bring that about. Also a prevote that is asked for raises it here:
// a server that was just added and is needed for the election does not campaign, and would learn the term from nobody else.
func (n *Node) approach(m Message, err error) {
	why := (*ImpossibleMessageError)(nil)
	if !errors.As(err, &why) || why.Why != TermTooHigh || m.MsgTerm() > maxTerm {
		return
	}
	if v, asks := m.(*RequestVote); asks && n.heldOff(v) {
		return
	}
	if to := n.hard.Term + MaxTermJump; n.mayJump(to) {
		n.follow(to, None)
	}
}

// teaches reports whether this server takes over the term of m if that is higher than its own: it does, unless somebody
// asks for its prevote, or for its vote while it hears its leader.
func (n *Node) teaches(m Message) bool {
	v, asks := m.(*RequestVote)
	return !asks || !v.PreVote && !n.heldOff(v)
}

// heldOff reports whether a request for a vote is refused because this server hears its leader.
func (n *Node) heldOff(v *RequestVote) bool { return !v.Transfer && n.hearsLeader() }

// mayJump reports whether a message may raise the term to that one now, and notes that it does. One that may not is
// dropped, as if it had been lost on the way.
func (n *Node) mayJump(to Term) bool {
	if to <= n.hard.Term || to-n.hard.Term <= smallTermJump {
		return true
	}
	if n.jumped != never && n.now-n.jumped < n.cfg.ElectionMin {
		return false
	}
	n.jumped = n.now
	return true
}

// rival: a term has one leader (Election Safety), who sends nothing to itself.
func (n *Node) rival(j *judge, term Term) {
	switch {
	case term != n.hard.Term:
	case n.ledTerm == term:
		j.blame(TwoLeaders, "this server has led term %d", term)
	case n.leader != None && n.leader != j.from:
		j.blame(TwoLeaders, "server %d leads term %d", n.leader, term)
	}
}

// disputes: a leader has all that is committed (Leader Completeness).
func (n *Node) disputes(j *judge, id EntryID) {
	if id.Index > n.commit {
		return
	}
	if t, known := n.log.TermAt(id.Index); known && t != id.Term {
		j.blame(Contradicts, "entry %d of term %d is committed, and the leader has it with term %d", id.Index, t, id.Term)
	}
}

// overrules: a leader replaces nothing that is committed. What is compacted is, too, and of its last entry the term is known.
func (n *Node) overrules(j *judge, r Run) {
	lo, hi := max(r.First, n.log.Prev.Index), min(r.Last, n.commit)
	if lo > hi {
		return
	}
	n.disputes(j, EntryID{Index: lo, Term: r.Term})
	if at := n.log.firstMissing(r, max(lo, n.log.Prev.Index+1)); at <= hi {
		n.disputes(j, EntryID{Index: at, Term: r.Term})
	}
}

// acknowledges: nobody can have more of a leader's log than the leader, in its term.
func (n *Node) acknowledges(j *judge, term Term, match Index) {
	if n.role == Leader && term == n.hard.Term && match > n.log.Last() {
		j.blame(BeyondLog, "it matches through %d, and the log ends at %d", match, n.log.Last())
	}
}

// A judge gathers what is wrong with a message: the first that is.
type judge struct {
	from    NodeID
	message Message
	err     *ImpossibleMessageError
}

func (j *judge) verdict() error {
	if j.err == nil {
		return nil
	}
	return j.err
}

func (j *judge) blame(why Impossibility, format string, args ...any) {
	if j.err == nil {
		j.err = &ImpossibleMessageError{From: j.from, Message: j.message, Why: why, Detail: fmt.Sprintf(format, args...)}
	}
}

func (j *judge) demand(holds bool, format string, args ...any) {
	if !holds {
		j.blame(Malformed, format, args...)
	}
}

func (j *judge) speaks(who NodeID) {
	if who != j.from {
		j.blame(Impostor, "for server %d", who)
	}
}

func (j *judge) positive(t Term) { j.demand(t > 0, "its term is 0") }

func (j *judge) indexes(all ...Index) {
	for _, i := range all {
		j.demand(i <= maxIndex, "index %d", i)
	}
}

// entry looks at an entry that a server in term has, or that is none.
func (j *judge) entry(what string, id EntryID, term Term) {
	j.indexes(id.Index)
	j.demand((id.Index == 0) == (id.Term == 0) && id.Term <= term, "%s is %d of term %d, in term %d", what, id.Index, id.Term, term)
}

func (j *judge) members(at Index, m Membership) {
	if err := m.Validate(); err != nil {
		j.demand(false, "the membership at %d: %v", at, err)
	}
}

// appends: runs follow Prev without gaps, terms never fall, none is newer than the leader's own, and the changes lie within.
func (j *judge) appends(m *AppendEntries) {
	j.entry("the entry before", m.Prev, m.Term)
	j.indexes(m.Commit)
	at := m.Prev
	for _, r := range m.Runs {
		j.indexes(r.Last)
		j.demand(r.First == at.Index+1 && r.Last >= r.First && r.Term > 0 && r.Term >= at.Term && r.Term <= m.Term,
			"entries %d..%d of term %d follow entry %d of term %d, in term %d", r.First, r.Last, r.Term, at.Index, at.Term, m.Term)
		at = EntryID{Index: r.Last, Term: r.Term}
	}
	before := m.Prev.Index
	for _, c := range m.Changes {
		j.demand(c.Index > before && c.Index <= at.Index, "a membership at %d, in entries %d..%d", c.Index, m.Prev.Index+1, at.Index)
		j.members(c.Index, c.Membership)
		before = c.Index
	}
}
