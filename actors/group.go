package actors

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/troupe-raft/troupe/applier"
	"github.com/troupe-raft/troupe/entry"
	"github.com/troupe-raft/troupe/persister"
	"github.com/troupe-raft/troupe/raft"
)

// A Group is the facade of one replica for plain goroutines. Its methods are safe for concurrent use, and every
// call ends: with its answer, with its context, or with the replica. A call from within the group's own state machine would wait for itself:
// it is refused with ErrWithinApply. Status and Log never are.
type Group struct {
	host   *Host
	id     raft.GroupID
	system *actor.ActorSystem
	pid    atomic.Pointer[actor.PID]
	credit *credit
	line   line
	status atomic.Pointer[Status]
	ended  chan struct{} // closed when the actor has stopped
	limit  int           // MaxEntryBytes

	logBytes int            // Tuning.LogBytes
	inside   applier.Inside // where the state machine is being called
}

// A Result is the outcome of an applied proposal.
type Result struct {
	Index raft.Index
	Data  []byte // what Apply returned on this node
}

// ID is the group's number.
func (g *Group) ID() raft.GroupID { return g.id }

// PID is the RaftGroup actor, to send messages to.
func (g *Group) PID() *actor.PID { return g.pid.Load() }

// Status is the last published picture of the replica; it never waits.
func (g *Group) Status() Status {
	s := *g.status.Load()
	if s.caughtUpUntil != 0 && g.host.stage.Clock().Now() > s.caughtUpUntil { // nothing wakes who only waits for a leader
		s.CaughtUp = false
	}
	return s
}

// Propose replicates data and returns once this node's state machine has applied it. Errors: *NotLeaderError,
// ErrBusy, ErrTooLarge, ErrStopped, the context's error (it did not and will not happen); ErrIndeterminate (it may).
// While too much is in flight the call waits for room, up to GroupConfig.BusyWait. The data is copied; it may be reused when Propose returns.
func (g *Group) Propose(ctx context.Context, data []byte) (Result, error) {
	return g.ProposeIn(ctx, 0, 0, data)
}

// ProposeIn is Propose within a client session (thesis §6.3): however often the same seq is sent, it is applied
// once and answered alike. seq counts 1, 2, 3…; errors further ErrSessionOrder (it did not happen), ErrSessionExpired (this attempt did not,
// earlier ones may have) and ErrSessionForgotten (it was applied, its answer is gone). Session 0 is none.
func (g *Group) ProposeIn(ctx context.Context, session, seq uint64, data []byte) (Result, error) {
	if len(data) > g.limit {
		return Result{}, ErrTooLarge
	}
	r := &request{kind: proposeRequest, data: data, session: session, seq: seq}
	if err := g.ask(ctx, r); err != nil {
		return Result{}, err
	}
	return Result{Index: r.index, Data: r.result}, nil
}

// OpenSession registers a client session in the log and returns its id. Errors as for Propose.
func (g *Group) OpenSession(ctx context.Context) (uint64, error) {
	r := &request{kind: openSessionRequest}
	if err := g.ask(ctx, r); err != nil {
		return 0, err
	}
	return sessionID(r.result), nil
}

// CloseSession ends a session. Errors as for Propose.
func (g *Group) CloseSession(ctx context.Context, session uint64) error {
	return g.ask(ctx, &request{kind: closeSessionRequest, session: session})
}

// Read waits until the local state machine reflects every write acknowledged before the call: what is read from it
// afterwards is linearizable (thesis §6.4). A quorum confirms the leader after the call began. Only the leader answers;
// errors: *NotLeaderError, ErrBusy, ErrStopped, the context's error.
func (g *Group) Read(ctx context.Context) (raft.Index, error) {
	return g.read(ctx, readRequest)
}

// LeaseRead is Read without the round trip while the leader holds a lease (thesis §6.4.1): it trusts clock rates to
// differ by less than a tenth. Without a lease it is Read.
func (g *Group) LeaseRead(ctx context.Context) (raft.Index, error) {
	return g.read(ctx, leaseReadRequest)
}

func (g *Group) read(ctx context.Context, kind requestKind) (raft.Index, error) {
	r := &request{kind: kind}
	err := g.ask(ctx, r)
	if err != nil {
		return 0, err
	}
	return r.index, nil
}

// ChangeMembers changes the membership (§6) and returns the final one once it is committed. Errors: *NotLeaderError,
// ErrChangeInProgress, ErrTransferring, raft.ErrTermNotCommitted (retry soon), *raft.InvalidChangeError, *raft.UnsafeChangeError (who is
// missing or behind; see Change.Force), *raft.MovedOnError, ErrIndeterminate.
func (g *Group) ChangeMembers(ctx context.Context, change Change) (raft.Membership, error) {
	r := &request{kind: changeRequest, change: change}
	if err := g.ask(ctx, r); err != nil {
		return raft.Membership{}, err
	}
	return r.membership, nil
}

// Transfer hands leadership to another voter (thesis §3.10) and returns once it leads. Errors: *NotLeaderError,
// ErrTransferring, *raft.InvalidTransferError, *raft.SilentTargetError (the target was not heard within ElectionTimeout.Min: nothing was begun), ErrTransferFailed.
func (g *Group) Transfer(ctx context.Context, to raft.NodeID) error {
	return g.ask(ctx, &request{kind: transferRequest, to: to})
}

// StepDown makes this replica, if it leads, a follower in the same term. Errors: *NotLeaderError.
func (g *Group) StepDown(ctx context.Context) error {
	return g.ask(ctx, &request{kind: stepDownRequest})
}

// Snapshot takes a snapshot now and returns the index it covers. Errors: what the user's callback or the disk said.
func (g *Group) Snapshot(ctx context.Context) (raft.Index, error) {
	r := &request{kind: snapshotRequest}
	if err := g.ask(ctx, r); err != nil {
		return 0, err
	}
	return r.index, nil
}

// Restart starts a failed replica again. It does nothing to one that runs.
func (g *Group) Restart(ctx context.Context) error {
	return g.ask(ctx, &request{kind: restartRequest})
}

// A LogRange is a stretch of a replica's log.
type LogRange struct {
	First, Last raft.Index // of Entries; Last < First: none
	Entries     []entry.Entry
}

// Log returns the durable entries from..to, both included, clamped to what the replica's log holds. Entries
// above Status().Commit may still be replaced. A long range is cut short (Tuning.LogBytes). Errors: a corrupt store.
func (g *Group) Log(ctx context.Context, from, to raft.Index) (LogRange, error) {
	s := g.Status()
	from, to = max(from, s.First, 1), min(to, s.Durable)
	out := LogRange{First: from, Last: from - 1}
	for size := 0; from <= to && size < g.logBytes && ctx.Err() == nil; {
		blocks, err := g.host.reader.Blocks(g.id, from, to, g.logBytes-size)
		if errors.Is(err, persister.ErrCompacted) || errors.Is(err, persister.ErrMissing) {
			break // compacted or truncated since the status was published
		}
		if err != nil {
			return out, err
		}
		for _, b := range blocks {
			for e := range b.All() {
				if e.Index >= from && e.Index <= to {
					out.Entries = append(out.Entries, e)
					out.Last = e.Index
				}
			}
			size += b.Size()
			from = b.Last() + 1
		}
	}
	return out, ctx.Err()
}

// Stop stops the replica: what is not in the log is refused, what is and has no outcome yet is unknown. It returns when
// the actor and its daemons have stopped, or with the context's error. A replica that had failed before is stopped all the same, and its
// failure told. ErrWithinApply: nothing was stopped.
func (g *Group) Stop(ctx context.Context) error {
	if g.inside.Here() {
		return ErrWithinApply
	}
	g.system.Root.Stop(g.pid.Load())
	select {
	case <-g.ended:
		if err := g.Status().Err; err != nil {
			return fmt.Errorf("stopped; the replica had failed before: %w", err)
		}
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// end lets the group go from its host, and wakes whoever still waits for this replica.
func (g *Group) end() {
	g.host.groups.CompareAndDelete(g.id, g)
	select {
	case <-g.ended:
	default:
		close(g.ended)
	}
}

// sessionID reads the answer of an OpenSession entry.
func sessionID(b []byte) uint64 {
	if len(b) != 8 {
		return 0
	}
	return binary.BigEndian.Uint64(b)
}
