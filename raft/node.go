package raft

import (
	"cmp"
	"slices"
	"time"
)

// A Node is one server's share of the rules. Make one with New, feed it with Step, do what the Effects say.
// It is not safe for concurrent use.
type Node struct {
	cfg Config
	now time.Duration

	hard    HardState // Figure 2: currentTerm, votedFor
	onDisk  HardState // what of hard is known to be durable
	log     Shape
	durable Index // the log is on disk through here: only a leader relies on it
	// Within one term, acknowledgements at cut..cutLast are ambiguous: entries there were replaced since some write.
	cut, cutLast Index

	snapshot SnapshotMeta
	changes  []Change // the membership entries in log, ascending
	members  Change   // the effective membership
	commit   Index
	applied  Index // by the caller's word
	lost     bool  // so is its state machine: see stateless.go
	wants    Index

	role    Role
	leader  NodeID
	contact time.Duration // when a leader was last heard; never
	jumped  time.Duration // when a message last raised the term by more than smallTermJump; never
	promise promise
	ballots []ballot // candidates: the votes that came in

	// What only a leader has.
	peers     []peer
	termFirst Index    // the no-op of its term: until that is committed, it knows too little (§8)
	removed   Index    // a membership that is committed at this index does not have this server; 0: nobody has said so
	ledTerm   Term     // the latest term it led
	backers   []NodeID // whose votes made it the leader of its term, its own included
	transfer  NodeID
	noLease   bool // a transfer was begun in this term: its target may win in spite of a lease
	steady    steadiness
	reads     []pendingRead
	round     uint64

	trusted uint64 // doubts of this start that have ended

	from NodeID // sender of the message being stepped
	told told
	out  Effects
}

// told is what the caller knows already: Effects name the differences.
type told struct {
	hard   HardState
	commit Index
	role   RoleState
}

// New builds the Node that a server with this state on disk is. The caller arms the election timer unless
// Role is Learner. Errors are *InvalidConfigError and *InvalidStateError.
//
// A snapshot that the log does not contain replaces the log: it is durable while the entries below it need not
// have been. The first Step then has Effects.Reset, so that the disk follows.
//
// A server that has ever had a term counts as having heard a leader at now, because the one it forgot may hold a
// lease; until it has kept what it may have promised it refuses to vote, itself included. Only the sole voter of a membership that
// is committed has nobody to wait for.
func New(cfg Config, st State, now time.Duration) (*Node, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	if err := st.validate(); err != nil {
		return nil, err
	}
	cfg.ElectionMax = cmp.Or(cfg.ElectionMax, 2*cfg.ElectionMin)
	n := &Node{
		cfg: cfg, now: now, hard: st.Hard, onDisk: st.Hard, snapshot: st.Snapshot,
		contact: never, jumped: never, commit: st.Snapshot.Index,
	}
	n.hard.Promise, n.onDisk.Promise = 0, 0
	n.told = told{hard: n.hard, commit: n.commit}
	if st.Snapshot.Term > n.hard.Term { // the write of the term was lost, hence never spoken
		n.hard = HardState{Term: st.Snapshot.Term, Doubt: st.Hard.Doubt}
	}
	n.log = Shape{Prev: st.Prev}
	for _, r := range st.Runs {
		n.log.extend(r)
	}
	n.changes = slices.Clone(st.Changes)
	if id := (EntryID{Index: st.Snapshot.Index, Term: st.Snapshot.Term}); !n.log.has(id) {
		n.log, n.changes = Shape{Prev: id}, nil
		meta := st.Snapshot
		n.out.Reset = &meta
	}
	n.durable = n.log.Last()
	n.refreshMembers()
	n.promise = promise{kept: st.Hard.Promise, written: st.Hard.Promise, binds: never}
	if st.Hard.Term > 0 && !n.alone() {
		n.contact = now
		if st.Hard.Promise > cfg.ElectionMin {
			n.promise.binds = now + st.Hard.Promise
		}
	}
	n.out.Membership = nil // the caller reads it from Membership
	n.settleRole()
	n.out.Patience = KeepWaiting
	n.told.role = n.roleState()
	return n, n.Check()
}

// alone reports whether nobody but this server can lead or have led lately: it is the only voter, by a
// membership that the snapshot or the founding made certain.
func (n *Node) alone() bool {
	m := n.members.Membership
	return n.members.Index <= n.snapshot.Index && !m.Joint() && len(m.Voters) == 1 && m.Voters[0] == n.cfg.ID
}

// Step lets ev happen at now, on a clock that never goes back, and says what to do about it.
// It panics with *BrokenInvariant when going on could break a property of Figure 3. No message of a peer's makes it do so: an impossible one is
// dropped, and Effects.Impossible says why.
func (n *Node) Step(now time.Duration, ev Event) Effects {
	n.now = max(n.now, now)
	switch e := ev.(type) {
	case Received:
		n.receive(e.From, e.Message)
	case Elapsed:
		n.elapsed()
	case Campaign:
		n.campaign()
	case Propose:
		n.propose(e.Count)
	case ChangeMembership:
		n.changeMembership(e)
	case Persisted:
		n.persisted(e)
	case Matched:
		n.from = e.From
		n.onMatched(e.From, e.Term, e.Index, e.Doubt)
	case Read:
		n.read(e.ID)
	case LeaseRead:
		n.leaseRead(e.ID)
	case Calendar:
		n.calendar(e.Wall)
	case Transfer:
		n.startTransfer(e.To)
	case AbortTransfer:
		n.endTransfer(ErrTransferAborted)
	case StepDown:
		if n.role == Leader {
			n.follow(n.hard.Term, None)
		}
	case GoneBack:
		n.goneBack()
	case Compacted:
		n.compacted(e)
	case Applied:
		n.applied = max(n.applied, e.Index)
	case StateLost:
		n.stateLost(e.Wants)
	case StateRestored:
		n.lost, n.wants = false, 0
	}
	return n.finish()
}

// receive handles one message. Those from nobody or from the server itself are dropped.
func (n *Node) receive(from NodeID, m Message) {
	if from == None || from == n.cfg.ID {
		return
	}
	if n.strange(m) {
		n.out.Stranger = from
		return
	}
	n.from = from
	if err := n.Admit(from, m); err != nil {
		n.out.Impossible = err
		n.approach(m, err)
		return
	}
	if n.teaches(m) && !n.mayJump(m.MsgTerm()) {
		return
	}
	switch m := m.(type) {
	case *AppendEntries:
		n.onAppend(m)
	case *AppendEntriesReply:
		if m.Success {
			n.onMatched(from, m.Term, m.Match, m.Doubt)
		} else {
			n.onRefused(m)
		}
	case *Heartbeat:
		n.onHeartbeat(m)
	case *HeartbeatReply:
		n.onHeartbeatReply(m)
	case *RequestVote:
		n.onRequestVote(m)
	case *RequestVoteReply:
		n.onVoteReply(m)
	case *InstallSnapshot:
		n.onInstall(m)
	case *InstallSnapshotReply:
		n.onMatched(from, m.Term, m.Match, m.Doubt)
	case *Recall:
		n.onRecall(m)
	case *Trust:
		n.onTrust(m)
	case *TimeoutNow:
		n.onTimeoutNow(m)
	case *Removed:
		n.onRemoved(m)
	}
}

// finish turns what changed into Effects.
func (n *Node) finish() Effects {
	n.settleRole()
	n.verify()
	out := n.out
	n.out, n.from = Effects{}, None
	if n.hard != n.told.hard || n.promise.written != n.promises() && (out.Reset != nil || len(out.Append) > 0) {
		if n.hard.Doubt != n.told.hard.Doubt {
			out.Doubts = append(out.Doubts, DoubtChange{Server: n.cfg.ID, InDoubt: n.hard.Doubt})
		}
		n.told.hard = n.hard
		n.promise.written = n.promises()
		h := n.stored()
		out.Hard = &h
	}
	if out.Hard != nil || out.Reset != nil || len(out.Append) > 0 {
		out.Ack = &Persisted{Term: n.hard.Term, Last: n.log.Last(), Hard: n.stored()}
	}
	if n.commit != n.told.commit {
		n.told.commit = n.commit
		out.Commit = n.commitID()
	}
	if r := n.roleState(); r != n.told.role {
		n.told.role = r
		out.Role = &r
	}
	if n.hard.Term != n.onDisk.Term { // a term is durable before it is spoken
		for i := range out.Send {
			out.Send[i].AfterSync = true
		}
	}
	return out
}

// settleRole keeps Follower and Learner apart, and the timer off where there is no vote.
func (n *Node) settleRole() {
	voter := n.mayLead()
	switch {
	case n.role == Follower && !voter:
		n.role = Learner
		n.out.Patience = StopWaiting
	case n.role == Learner && voter:
		n.role = Follower
		n.out.Patience = WaitAfresh
	case n.role == Learner && n.out.Patience == WaitAfresh:
		n.out.Patience = KeepWaiting
	}
}

// mayLead reports whether this server campaigns: it has a vote by its latest membership, or by any that may still be in force while later
// changes are not known to be committed, which after a restart are many. Otherwise a server that holds the change that removes it, and
// that the remaining ones need to have for their leader to get it, would wait for ever (thesis §4.2.2). A server in doubt has no vote, and one
// without a state machine is of no use as a leader.
func (n *Node) mayLead() bool {
	id := n.cfg.ID
	if n.hard.Doubt || n.lost || n.Removed() > 0 {
		return false
	}
	for k := len(n.changes) - 1; k >= 0 && n.changes[k].Index > n.commit; k-- {
		if n.changes[k].Membership.IsVoter(id) {
			return true
		}
	}
	return n.members.Membership.IsVoter(id) || n.members.Index > n.commit && n.MembershipAt(n.commit).IsVoter(id)
}

// follow makes this server a follower in term of leader, which may be unknown. A newer term starts without a vote.
func (n *Node) follow(term Term, leader NodeID) {
	if n.role == Leader {
		n.endLeadership(max(term, n.hard.Term), leader)
	}
	if term > n.hard.Term {
		n.enterTerm(term, None)
	}
	if n.role != Follower && n.role != Learner {
		n.role = Follower
		n.out.Patience = WaitAfresh
		n.ballots = n.ballots[:0]
	}
	n.leader = leader
}

// enterTerm starts a term. Only writes issued from here on can confirm log in it.
func (n *Node) enterTerm(term Term, vote NodeID) {
	n.hard = HardState{Term: term, Vote: vote, Doubt: n.hard.Doubt}
	n.leader = None
	n.cut, n.cutLast = 0, 0
}

// endLeadership answers everybody who waits for this leader.
func (n *Node) endLeadership(term Term, leader NodeID) {
	lost := &NotLeaderError{Leader: leader, Term: term}
	n.failReads(lost)
	if leader != None || n.transfer == n.from {
		n.endTransfer(nil)
	} else {
		n.endTransfer(lost)
	}
	n.peers, n.backers = nil, nil
}

// answered notes a reply from a peer and reports whether it counts: this server leads the reply's term, and
// the sender is a member. A newer term ends the leadership (§5.1).
func (n *Node) answered(from NodeID, term Term) *peer {
	if term > n.hard.Term {
		n.follow(term, None)
		return nil
	}
	if n.role != Leader || term < n.hard.Term {
		return nil
	}
	p := n.peer(from)
	if p != nil {
		p.heard = n.now
		n.noteLife(p)
	}
	return p
}

func (n *Node) send(to NodeID, m Message, afterSync bool) {
	n.out.Send = append(n.out.Send, Outgoing{To: to, Message: m, AfterSync: afterSync})
}

func (n *Node) notLeader() error { return &NotLeaderError{Leader: n.leader, Term: n.hard.Term} }

func (n *Node) roleState() RoleState {
	return RoleState{Role: n.role, Term: n.hard.Term, Leader: n.leader}
}

func (n *Node) commitID() EntryID {
	t, _ := n.log.TermAt(n.commit)
	return EntryID{Index: n.commit, Term: t}
}
