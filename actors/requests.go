package actors

import (
	"fmt"
	"time"

	"github.com/troupe-raft/troupe/applier"
	"github.com/troupe-raft/troupe/entry"
	"github.com/troupe-raft/troupe/raft"
	"github.com/troupe-raft/troupe/snapshotter"
)

// fromActor turns a public message into a request that answers its sender; nil: it is not one.
func (r *replica) fromActor(message any) *request {
	q := &request{asker: r.ctx.Sender(), handle: r.handle}
	switch m := message.(type) {
	case *CloseSession:
		q.kind, q.session = closeSessionRequest, m.Session
	case *Propose:
		q.kind, q.data, q.session, q.seq = proposeRequest, m.Data, m.Session, m.Seq
	case *OpenSession:
		q.kind = openSessionRequest
	case *Read:
		q.kind = readRequest
		if m.Lease {
			q.kind = leaseReadRequest
		}
	case *ChangeMembers:
		q.kind, q.change = changeRequest, m.Change
	case *TransferLeadership:
		q.kind, q.to = transferRequest, m.To
	case *TakeSnapshot:
		q.kind = snapshotRequest
	case *StepDown:
		q.kind = stepDownRequest
	default:
		return nil
	}
	return q
}

// request takes up one request, or answers why not. A panic on the way leaves no caller waiting: the crash that follows knows only of
// those that were noted somewhere.
func (r *replica) request(q *request) {
	survived := false
	defer func() {
		if !survived {
			q.refuse(q.lost())
		}
	}()
	r.takeUp(q)
	survived = true
}

func (r *replica) takeUp(q *request) {
	if q.over() {
		return
	}
	if q.kind == restartRequest {
		r.restart(q)
		return
	}
	if r.phase >= failed {
		q.refuse(r.downError())
		return
	}
	if r.phase != running {
		q.refuse(&NotLeaderError{})
		return
	}
	if q.kind.needsCredit() && !r.mayBegin(q) {
		return
	}
	switch q.kind {
	case proposeRequest, openSessionRequest, closeSessionRequest:
		r.propose(q)
	case readRequest:
		r.reads[0] = append(r.reads[0], q)
	case leaseReadRequest:
		r.reads[1] = append(r.reads[1], q)
	case changeRequest:
		r.change.start(r, q)
	case transferRequest:
		r.transfer.start(r, q)
	case snapshotRequest:
		if q.take() {
			q.enter()
			r.ctx.Send(r.snapshotter, &snapshotter.Take{Waiter: q})
		}
	case stepDownRequest:
		r.stepDown(q)
	}
}

// mayBegin says whether a proposal or read can be worked on. Otherwise it is refused, or waits.
func (r *replica) mayBegin(q *request) bool {
	switch {
	case r.leader.Role != raft.Leader:
		q.refuse(&NotLeaderError{Leader: r.leader.Leader, Term: r.leader.Term})
	case len(q.data) > r.cfg.MaxEntryBytes:
		q.refuse(ErrTooLarge)
	case q.held.Load() == 0 && r.handle.credit.wanted() || !r.takeCredit(q):
		r.awaitCredit(q)
	default:
		return true
	}
	return false
}

// propose adds a proposal to the block being built. It is sealed when the mailbox runs empty or the block is full.
func (r *replica) propose(q *request) {
	if r.transfer.running() {
		r.transfer.hold(q)
		return
	}
	if !r.room.leaving && len(r.room.credited) > 0 || !r.leaveRoom() {
		r.awaitRoom(q)
		return
	}
	kind, data := raft.Command, q.data
	var stamp int64
	switch q.kind {
	case openSessionRequest:
		kind, data = raft.OpenSession, applier.EncodeOpen(r.cfg.sessionLimits())
	case closeSessionRequest:
		kind = raft.CloseSession
	}
	if kind != raft.Command || q.session != 0 {
		stamp = r.time.now(r.now())
	}
	if r.builder.Len() > 0 && r.builder.Size()+len(data) > r.cfg.MaxBlockBytes {
		r.flush()
	}
	if !q.take() { // from here to enter the caller's own goroutine would wait: nothing between may take long
		return
	}
	r.builder.Append(kind, q.session, q.seq, stamp, data)
	q.enter()
	if len(r.batch) == 0 {
		r.gathered = 0
	}
	if r.gathered == 0 {
		r.gathered = stamp
	}
	r.batch = append(r.batch, q)
	if r.builder.Size() >= r.cfg.MaxBlockBytes {
		r.flush()
	}
}

// flush seals what was proposed since the last flush into one block and appends it.
func (r *replica) flush() {
	if len(r.batch) == 0 {
		return
	}
	batch := r.batch
	r.batch = r.batch[:0]
	r.flushes++
	first := r.node.LastIndex() + 1
	for i, q := range batch {
		r.waiting = append(r.waiting, applier.Waiting{Index: first + raft.Index(i), Waiter: q})
	}
	// The rules place the run; the block is sealed for the place that they will give it, which only they can refuse.
	block := r.builder.Seal(r.leader.Term, first)
	fx := r.step(raft.Propose{Count: len(batch)}, []*entry.Block{block})
	if fx.Refused == nil {
		if fx.Proposed == nil || fx.Proposed.First != first || fx.Proposed.Term != block.Term() {
			panic(fmt.Errorf("actors: proposal placed at %+v, expected first %d", fx.Proposed, first))
		}
		if block.Last() > r.commit.Index {
			r.inFlight = append(r.inFlight, block.Last())
		}
		return
	}
	for _, w := range r.waiting[len(r.waiting)-len(batch):] {
		w.Waiter.Resolve(0, nil, fx.Refused)
	}
	r.waiting = r.waiting[:len(r.waiting)-len(batch)]
}

// drained is the mailbox's word that nothing waits: what was gathered goes out as one batch, unless enough blocks are in flight. Each
// block costs a sync on every node: with many clients, fewer and fuller ones are faster for all. One client alone never waits. Where commits
// are quicker than Tuning.GatherTime, each block takes what came since the one before; where they are slow, as between continents, blocks follow
// one another without waiting for them.
func (r *replica) drained() {
	if r.phase == running {
		r.admit()
		if len(r.inFlight) < r.cfg.MaxInflightBlocks {
			r.flush()
		} else if len(r.batch) > 0 && !r.gathering {
			r.gathering = true
			r.wakeAfter(r.cfg.Tuning.GatherTime, &wake{gathered: true, flushes: r.flushes})
		}
		r.flushReads()
	}
	if r.changed {
		r.publish()
	}
}

// flushReads asks for one read point for all reads that arrived together.
func (r *replica) flushReads() {
	for i := range r.reads {
		batch := r.reads[i]
		if len(batch) == 0 {
			continue
		}
		r.reads[i] = nil
		r.lastRead++
		r.rounds[r.lastRead] = batch
		if i == 0 {
			r.step(raft.Read{ID: r.lastRead}, nil)
		} else {
			r.readClocks()
			r.step(raft.LeaseRead{ID: r.lastRead}, nil)
		}
	}
}

// readClocks has the rules compare clock and calendar. Whatever asks for a lease after it was asked before the clocks were read.
func (r *replica) readClocks() {
	r.step(raft.Calendar{Wall: time.Duration(r.clock.Wall().UnixNano())}, nil)
}

// readDone sends a batch of reads to wait for the applier, or tells them that leadership was lost.
func (r *replica) readDone(done raft.ReadDone) {
	batch := r.rounds[done.ID]
	switch {
	case done.Err != nil:
		refuseAll(batch, done.Err)
	case len(batch) > 0:
		r.ctx.Send(r.applier, &applier.Barrier{Index: done.Index, Waiter: readers(batch)})
	}
	delete(r.rounds, done.ID) // last: should this handler panic, they are still known, and answered
}

// readers are reads that share one read point.
type readers []*request

func (rs readers) Resolve(index raft.Index, result []byte, err error) {
	for _, q := range rs {
		q.Resolve(index, result, err)
	}
}

func refuseAll(batch []*request, err error) {
	for _, q := range batch {
		q.refuse(err)
	}
}

func (r *replica) stepDown(q *request) {
	if r.leader.Role != raft.Leader {
		q.refuse(&NotLeaderError{Leader: r.leader.Leader, Term: r.leader.Term})
		return
	}
	r.flush()
	r.step(raft.StepDown{}, nil)
	q.Resolve(0, nil, nil)
}
