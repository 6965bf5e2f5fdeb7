package main

import (
	"context"

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

// appendLoop makes entries and votes durable: all MsgStorageAppend that came during one sync share the next.
func (n *etcdNode) appendLoop() {
	var entries []*raftpb.Entry
	n.appends.each(n.ctx, func(batch []*raftpb.Message) {
		var state *raftpb.HardState
		for _, m := range batch {
			entries = append(entries, m.GetEntries()...)
			if m.Term != nil || m.Vote != nil || m.Commit != nil {
				state = &raftpb.HardState{Term: m.Term, Vote: m.Vote, Commit: m.Commit}
			}
			if !raft.IsEmptySnap(m.GetSnapshot()) {
				n.fail(errNoSnapshots)
				return
			}
		}
		if err := n.wal.Save(state, entries); err != nil {
			n.fail(err)
			return
		}
		clear(entries)
		entries = entries[:0]
		if state != nil {
			n.fail(n.store.SetHardState(state))
		}
		for _, m := range batch {
			if err := n.store.Append(m.GetEntries()); err != nil {
				n.fail(err)
				return
			}
		}
		for _, m := range batch {
			for _, r := range m.GetResponses() {
				n.send(r)
			}
		}
	})
}

// applyLoop applies committed entries and answers their proposals.
func (n *etcdNode) applyLoop(led func()) {
	var fresh, batches []etcdBatch
	n.applies.each(n.ctx, func(messages []*raftpb.Message) {
		fresh = n.waiting.take(fresh)
		batches = append(batches, fresh...)
		for _, m := range messages {
			for _, e := range m.GetEntries() {
				if len(e.GetData()) > 0 { // else a new leader's first entry
					n.machine.apply(e.GetData())
				}
				batches = answer(batches, e)
			}
			for _, r := range m.GetResponses() {
				n.send(r)
			}
		}
		if led != nil && n.leads.Load() {
			led()
			led = nil
		}
	})
	for _, b := range append(batches, n.waiting.take(nil)...) {
		refuse(b.proposals, errEtcdStopped)
	}
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
