package main

import (
	"context"
	"errors"

	"go.etcd.io/etcd/server/v3/etcdserver/api/snap"
	"go.etcd.io/etcd/server/v3/storage/wal"
	"go.etcd.io/etcd/server/v3/storage/wal/walpb"
	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/raftpb"
)

// etcdThread is the queue of a storage thread in the sense of raft.Config.AsyncStorageWrites.
type etcdThread[T any] struct {
	queue[T]
	woken chan struct{}
}

func newEtcdThread[T any]() *etcdThread[T] {
	t := &etcdThread[T]{woken: make(chan struct{}, 1)}
	t.wake = t.woken
	return t
}

// each calls do with all that waits, over and over, until the context ends. do must not keep the slice.
func (t *etcdThread[T]) each(ctx context.Context, do func([]T)) {
	var batch []T
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.woken:
		}
		batch = t.take(batch)
		do(batch)
	}
}

// openLog makes the voter's log, or takes over what its folder holds, as etcd does: the newest snapshot that a leader sent, and the entries behind it.
func (n *etcdNode) openLog(dir string) (err error) {
	if n.fresh = !wal.Exist(dir); n.fresh {
		n.wal, err = wal.Create(nil, dir, nil)
		return err
	}
	known, err := wal.ValidSnapshotEntries(nil, dir)
	if err != nil {
		return err
	}
	from := &walpb.Snapshot{}
	s, err := n.snaps.LoadNewestAvailable(known)
	if err == nil {
		meta := s.GetMetadata()
		from.Index, from.Term = meta.Index, meta.Term
		err = errors.Join(n.store.ApplySnapshot(s), n.machine.load(s.GetData()))
		n.applied.Store(meta.GetIndex())
	}
	if err != nil && !errors.Is(err, snap.ErrNoSnapshot) {
		return err
	}
	if n.wal, err = wal.Open(nil, dir, from); err != nil {
		return err
	}
	_, state, entries, err := n.wal.ReadAll()
	if err != nil {
		return errors.Join(err, n.wal.Close())
	}
	return errors.Join(n.store.SetHardState(state), n.store.Append(entries))
}

// appendLoop makes entries and votes durable: all MsgStorageAppend that came during one sync share the next.
func (n *etcdNode) appendLoop() {
	var entries []*raftpb.Entry
	n.appends.each(n.ctx, func(batch []*raftpb.Message) {
		var state *raftpb.HardState
		for _, m := range batch {
			if !raft.IsEmptySnap(m.GetSnapshot()) {
				if err := errors.Join(n.wal.Save(state, entries), n.saveSnapshot(m.GetSnapshot())); err != nil {
					n.fail(err)
					return
				}
				state, entries = nil, entries[:0]
			}
			entries = append(entries, m.GetEntries()...)
			if m.Term != nil || m.Vote != nil || m.Commit != nil {
				state = &raftpb.HardState{Term: m.Term, Vote: m.Vote, Commit: m.Commit}
				n.fail(n.store.SetHardState(state))
			}
		}
		if err := n.wal.Save(state, entries); err != nil {
			n.fail(err)
			return
		}
		clear(entries)
		entries = entries[:0]
		for _, m := range batch {
			if err := n.appended(m); err != nil {
				n.fail(err)
				return
			}
		}
	})
}

// saveSnapshot makes a leader's snapshot durable, as etcd does: the file first, then the record of it.
func (n *etcdNode) saveSnapshot(s *raftpb.Snapshot) error {
	if err := n.snaps.SaveSnap(s); err != nil {
		return err
	}
	meta := s.GetMetadata()
	return n.wal.SaveSnapshot(&walpb.Snapshot{Index: meta.Index, Term: meta.Term, ConfState: meta.GetConfState()})
}

// appended lets raft read what a MsgStorageAppend brought, now that it is durable, and says so to those who wait.
func (n *etcdNode) appended(m *raftpb.Message) error {
	if s := m.GetSnapshot(); !raft.IsEmptySnap(s) {
		if err := n.store.ApplySnapshot(s); err != nil {
			return err
		}
		n.applies.put(m) // the machine is the applying goroutine's, which answers
		return n.store.Append(m.GetEntries())
	}
	if err := n.store.Append(m.GetEntries()); err != nil {
		return err
	}
	for _, r := range m.GetResponses() {
		n.send(r)
	}
	return nil
}

// applyLoop applies committed entries, and answers their proposals and the reads that waited for them.
func (n *etcdNode) applyLoop(led func()) {
	var fresh, batches []etcdBatch
	var confirmed, rounds []etcdRound
	n.applies.each(n.ctx, func(messages []*raftpb.Message) {
		n.applying.Lock()
		defer n.applying.Unlock()
		fresh = n.waiting.take(fresh)
		batches = append(batches, fresh...)
		for _, m := range messages {
			if s := m.GetSnapshot(); s != nil {
				n.fail(n.machine.load(s.GetData()))
				n.applied.Store(s.GetMetadata().GetIndex())
			} else {
				batches = n.apply(m.GetEntries(), batches)
			}
			for _, r := range m.GetResponses() {
				n.send(r)
			}
		}
		confirmed = n.reads.confirmed.take(confirmed)
		rounds = answerRounds(append(rounds, confirmed...), n.applied.Load())
		if led != nil && n.leading.Load() {
			led()
			led = nil
		}
	})
	for _, b := range append(batches, n.waiting.take(nil)...) {
		refuse(b.proposals, errEtcdStopped)
	}
	refuseReads(nil, append(rounds, n.reads.confirmed.take(nil)...))
}

// apply applies entries, answers who waits for them and returns who still waits.
func (n *etcdNode) apply(entries []*raftpb.Entry, batches []etcdBatch) []etcdBatch {
	for _, e := range entries {
		if len(e.GetData()) > 0 { // else a new leader's first entry
			n.machine.apply(e.GetData())
		}
		waiting := len(batches)
		batches = answer(batches, e)
		if len(batches) < waiting {
			n.batches.Add(-1)
			nudge(n.wake)
		}
	}
	last := entries[len(entries)-1].GetIndex()
	n.applied.Store(last)
	n.fail(n.trim(last))
	return batches
}

// trim lets go of applied entries in memory, which the log files keep; a follower that still needs them is sent the machine.
func (n *etcdNode) trim(applied uint64) error {
	first, err := n.store.FirstIndex()
	if err != nil || n.settings.keep || n.settings.replay || applied < first+2*etcdKeepLog {
		return err
	}
	if _, err := n.store.CreateSnapshot(applied, n.members, n.machine.save()); err != nil {
		return err
	}
	return n.store.Compact(applied - etcdKeepLog)
}

// snapshot has followers that need anything below what is applied sent the machine.
func (n *etcdNode) snapshot() error {
	n.applying.Lock()
	defer n.applying.Unlock()
	applied := n.applied.Load()
	if _, err := n.store.CreateSnapshot(applied, n.members, n.machine.save()); err != nil {
		return err
	}
	return n.store.Compact(applied)
}

// answer tells the proposal that waits for the entry's position what became of it, and returns the batches that still wait.
func answer(batches []etcdBatch, e *raftpb.Entry) []etcdBatch {
	if len(batches) == 0 || e.GetIndex() < batches[0].first {
		return batches
	}
	b := &batches[0]
	var err error
	if e.GetTerm() != b.term {
		err = errEtcdLost
	}
	b.proposals[0].done <- err
	b.proposals[0] = nil
	b.proposals = b.proposals[1:]
	b.first++
	if len(b.proposals) == 0 {
		batches[0] = etcdBatch{}
		batches = batches[1:]
	}
	return batches
}
