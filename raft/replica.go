package raft

import (
	"errors"
	"fmt"
	"math"
	"time"
)

// A ReplicaConfig fixes a Replica's constants. ID, ElectionMin and Rand are required.
type ReplicaConfig struct {
	ID NodeID
	// Membership is the founding one, in any order, the same at every founding member, with at most MaxVoters voters; leave it empty at a
	// server that is to be added later. It is ignored when State holds a snapshot.
	Membership Membership
	// State is what Replica.Durable returned before the server stopped or crashed; nil at first.
	State *ReplicaState

	ElectionMin       time.Duration // the shortest patience with a silent leader
	ElectionMax       time.Duration // the longest, exclusive; default twice ElectionMin
	HeartbeatInterval time.Duration // default a fifth of ElectionMin
	LeaseDrift        time.Duration // see Config
	Pace              Pace          // defaults: 64 messages, 1 MiB, HeartbeatInterval, ElectionMin
	MaxMessageBytes   int           // payload of one AppendEntries; one entry always fits. Default 64 KiB

	// Rand returns a number in [0, n). Everything else is determined by the calls to the Replica.
	Rand func(n int64) int64
	// HoldSync keeps what the rules write from being durable until Sync is called.
	HoldSync bool
}

// A Packet is a Message with the payload that travels beside it. All of it is read-only.
type Packet struct {
	From, To NodeID
	Message  Message
	Data     [][]byte // AppendEntries: the payload of each entry in its runs
	Kinds    []Kind   // and its kind
	Snapshot []byte   // InstallSnapshot: the snapshot
}

// A CommittedEntry is an entry of the log with its payload. With Snapshot, it is instead the whole state
// as of Index, to be put in place of whatever the entries before made.
type CommittedEntry struct {
	Index      Index
	Term       Term
	Kind       Kind
	Data       []byte
	Membership *Membership // Reconfigure only
	Snapshot   bool
}

// A Replica is a complete server without an actor, a clock, a disk or a socket: a Node, a Progress per follower, the
// payloads in memory. The caller carries its packets, lets its time pass and applies what it commits. For tests,
// simulators and programs with a runtime of their own. It is not safe for concurrent use.
type Replica struct {
	cfg  ReplicaConfig
	node *Node
	now  time.Duration

	mem  *memoryLog // as the node sees it
	disk *memoryLog // what a crash leaves; mem itself unless HoldSync

	unsynced []unsynced
	staged   []byte // the snapshot that came with the message being stepped
	packets  []Packet
	reads    []ReadDone
	transfer *TransferDone
	taken    Index // TakeCommitted returned everything through here
	lost     bool  // LoseState was called and no snapshot has come since
	restore  bool  // one has: it is taken next

	patience  alarm
	heartbeat alarm
	followers []*follower // ascending by id; leader only
}

// An alarm is a moment that something waits for.
type alarm struct {
	at  time.Duration
	set bool
}

// An unsynced write waits for Sync, and with it what may be said only afterwards.
type unsynced struct {
	write   write
	ack     *Persisted
	packets []Packet
}

// NewReplica starts a server at time zero. Errors are *InvalidConfigError and *InvalidStateError.
func NewReplica(cfg ReplicaConfig) (*Replica, error) {
	if err := cfg.complete(); err != nil {
		return nil, err
	}
	disk := &memoryLog{snapshot: SnapshotMeta{Membership: cfg.Membership}}
	if s := cfg.State; s != nil {
		disk = s.log()
		if s.Snapshot.Index == 0 {
			disk.snapshot.Membership = cfg.Membership
		}
	}
	node, err := New(Config{
		ID: cfg.ID, ElectionMin: cfg.ElectionMin, ElectionMax: cfg.ElectionMax, LeaseDrift: cfg.LeaseDrift,
		Life: 1 + uint64(cfg.Rand(math.MaxInt64)),
	}, disk.state(), 0)
	if err != nil {
		return nil, err
	}
	r := &Replica{cfg: cfg, node: node, mem: disk, disk: disk}
	if cfg.HoldSync {
		r.mem = disk.clone()
	}
	if node.LastIndex() != r.mem.last() || node.FirstIndex() != r.mem.prev.Index+1 {
		r.mem.reset(r.mem.snapshot, r.mem.data)
	}
	if node.Role() != Learner {
		r.wait()
	}
	return r, nil
}

func (c *ReplicaConfig) complete() error {
	if c.Rand == nil {
		return &InvalidConfigError{Reason: "Rand is missing"}
	}
	c.Membership = c.Membership.sorted(nil)
	if m := c.Membership; !m.IsZero() && (c.State == nil || c.State.Snapshot.Index == 0) {
		err := m.Validate()
		if m.Joint() {
			err = errors.New("nobody founds a cluster in joint consensus")
		}
		if err != nil {
			return &InvalidConfigError{Reason: fmt.Sprintf("the founding membership: %v", err)}
		}
	}
	if c.ElectionMax == 0 {
		c.ElectionMax = 2 * c.ElectionMin
	}
	if c.ElectionMax <= c.ElectionMin {
		return &InvalidConfigError{Reason: fmt.Sprintf("ElectionMax %v is not above ElectionMin %v", c.ElectionMax, c.ElectionMin)}
	}
	if c.HeartbeatInterval <= 0 {
		c.HeartbeatInterval = max(c.ElectionMin/5, 1)
	}
	if c.Pace == (Pace{}) {
		c.Pace = Pace{MaxBytes: 1 << 20, MaxMessages: 64, RetryFirst: c.HeartbeatInterval, RetryMax: c.ElectionMin}
	}
	if c.MaxMessageBytes <= 0 {
		c.MaxMessageBytes = 64 << 10
	}
	return nil
}

// Propose appends data, which the Replica keeps, to the leader's log. The entry is committed when it comes out of
// TakeCommitted with the term that Status shows now; another entry at its index means that it never will be.
// Errors: *NotLeaderError, ErrTransferring.
func (r *Replica) Propose(data []byte) (Index, error) {
	eff := r.step(Propose{Count: 1}, payload{data: [][]byte{data}, kinds: []Kind{Command}})
	if eff.Refused != nil {
		return 0, eff.Refused
	}
	return eff.Proposed.First, nil
}

// ChangeMembers asks the leader for another membership; see ChangeMembership. Errors: *NotLeaderError, ErrTransferring,
// ErrTermNotCommitted, ErrChangeInProgress, *InvalidChangeError, *UnsafeChangeError.
func (r *Replica) ChangeMembers(target Membership) (Index, error) {
	return r.change(ChangeMembership{Target: target})
}

// ForceMembers is ChangeMembers without a look at whether the new voters are alive and have caught up.
func (r *Replica) ForceMembers(target Membership) (Index, error) {
	return r.change(ChangeMembership{Target: target, Force: true})
}

func (r *Replica) change(e ChangeMembership) (Index, error) {
	eff := r.step(e, payload{})
	if eff.Refused != nil {
		return 0, eff.Refused
	}
	return eff.Proposed.First, nil
}

// Transfer asks the leader to hand leadership to another voter. TakeTransfer tells how it ended; nothing
// bounds it but AbortTransfer. Errors: *NotLeaderError, ErrTransferring, *InvalidTransferError.
func (r *Replica) Transfer(to NodeID) error { return r.step(Transfer{To: to}, payload{}).Refused }

// AbortTransfer gives up a running transfer.
func (r *Replica) AbortTransfer() { r.step(AbortTransfer{}, payload{}) }

// StepDown makes a leader a follower.
func (r *Replica) StepDown() { r.step(StepDown{}, payload{}) }

// Campaign starts an election without waiting for the timeout.
func (r *Replica) Campaign() { r.step(Campaign{}, payload{}) }

// Read asks for a linearizable read point; TakeReads answers under the same id, which is not to be used again.
func (r *Replica) Read(id uint64) { r.step(Read{ID: id}, payload{}) }

// LeaseRead is Read under the leader's lease: answered at once while that lasts.
func (r *Replica) LeaseRead(id uint64) { r.step(LeaseRead{ID: id}, payload{}) }

// Advance lets d pass, with everything that is due on the way.
func (r *Replica) Advance(d time.Duration) {
	end := r.now + d
	for {
		at, due := r.nextAlarm()
		if !due || at > end {
			break
		}
		r.now = max(r.now, at)
		r.ring()
	}
	r.now = end
}

// Now returns how much time has passed since NewReplica.
func (r *Replica) Now() time.Duration { return r.now }

// TakePackets returns what is to be sent since the last call. Packets may be lost, repeated and reordered.
func (r *Replica) TakePackets() []Packet {
	p := r.packets
	r.packets = nil
	return p
}

// TakeReads returns the reads that ended since the last call. One with an Index may be served by a state to which
// every entry through Index is applied.
func (r *Replica) TakeReads() []ReadDone {
	d := r.reads
	r.reads = nil
	return d
}

// TakeTransfer returns the end of a transfer, once.
func (r *Replica) TakeTransfer() (TransferDone, bool) {
	t := r.transfer
	r.transfer = nil
	if t == nil {
		return TransferDone{}, false
	}
	return *t, true
}

// TakeCommitted returns what is newly committed, in order and without gaps: the caller's commands and the
// rules' own entries. After a start or a long absence it begins with a snapshot. After LoseState there is nothing until a snapshot has come.
func (r *Replica) TakeCommitted() []CommittedEntry {
	var out []CommittedEntry
	if r.lost {
		return nil
	}
	if r.restore || r.taken < r.mem.prev.Index {
		s := r.mem.snapshot
		out = append(out, CommittedEntry{Index: s.Index, Term: s.Term, Data: r.mem.data, Snapshot: true})
		r.taken, r.restore = s.Index, false
	}
	if commit := r.node.CommitIndex(); commit > r.taken {
		out = append(out, r.mem.slice(r.taken+1, commit)...)
		r.taken = commit
	}
	return out
}

// LoseState says that the snapshot cannot be used which TakeCommitted returned, or is to return. The server leads no more until its leader
// has sent another one, of the same index or later; a leader whose own is older sends it once Compact was given one. Without a snapshot
// it does nothing.
func (r *Replica) LoseState() {
	if r.mem.snapshot.Index == 0 {
		return
	}
	r.lost, r.restore = true, false
	r.step(StateLost{Wants: r.mem.snapshot.Index}, payload{})
}

// ErrNotTaken refuses to compact entries that TakeCommitted has not returned yet.
var ErrNotTaken = errors.New("raft: a snapshot cannot hold entries that were not taken yet")

// Compact replaces the log through index by snapshot, which is durable at once. It leaves keep entries before index, for
// followers that are a little behind. An index at or before the present snapshot changes nothing.
// Errors: ErrNotTaken, ErrMembershipUnknown.
func (r *Replica) Compact(index Index, snapshot []byte, keep Index) error {
	if index > r.taken || r.lost {
		return ErrNotTaken
	}
	if index <= r.mem.snapshot.Index {
		return nil
	}
	term, _ := r.node.TermAt(index)
	meta := SnapshotMeta{Index: index, Term: term, Membership: r.node.MembershipAt(index)}
	if meta.Membership.IsZero() {
		return ErrMembershipUnknown
	}
	r.compact(meta, snapshot, index-min(keep, index))
	return nil
}

func (r *Replica) compact(meta SnapshotMeta, snapshot []byte, through Index) {
	for _, l := range []*memoryLog{r.mem, r.disk} {
		l.snapshot, l.data = meta, snapshot
		if l.has(EntryID{Index: meta.Index, Term: meta.Term}) {
			l.compact(through)
		}
	}
	r.step(Compacted{Meta: meta, Through: through}, payload{})
}

// regain takes a leader's snapshot for the one that cannot be used. The log stays.
func (r *Replica) regain(s SnapshotMeta, data []byte) {
	if term, _ := r.node.TermAt(s.Index); s.Index < r.mem.snapshot.Index || s.Index > r.node.CommitIndex() || term != s.Term {
		return
	}
	r.compact(s, data, 0)
	r.lost, r.restore = false, true
	r.step(StateRestored{}, payload{})
}

// Sync makes durable what was written so far and releases what waited for it. Without HoldSync there is never anything.
func (r *Replica) Sync() {
	batch := r.unsynced
	r.unsynced = nil
	var ack *Persisted
	for _, u := range batch {
		r.disk.apply(u.write)
		r.packets = append(r.packets, u.packets...)
		if u.ack != nil {
			ack = u.ack
		}
	}
	if ack != nil {
		r.step(*ack, payload{})
	}
}

// Durable returns what a crash now would leave, for ReplicaConfig.State.
func (r *Replica) Durable() *ReplicaState { return r.disk.export() }

// Status returns an immutable picture of the rules' state.
func (r *Replica) Status() Status { return r.node.Status() }

// Check returns the *BrokenInvariant that the state shows, or what is wrong with the Progress of a follower, or nil.
func (r *Replica) Check() error {
	for _, f := range r.followers {
		if err := f.progress.Check(); err != nil {
			return fmt.Errorf("%w, of server %d", err, f.id)
		}
	}
	return r.node.Check()
}

// Progress tells how a leader feeds a member. False when this server does not lead or the member is not fed.
func (r *Replica) Progress(id NodeID) (ProgressStatus, bool) {
	for _, f := range r.followers {
		if f.id == id {
			return f.progress.Status(), true
		}
	}
	return ProgressStatus{}, false
}
