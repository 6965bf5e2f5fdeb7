package main

import (
	"encoding/binary"
	"errors"
	"sync"

	"go.etcd.io/raft/v3"
)

// errEtcdNotLeader refuses reads at a voter that does not lead, or stopped to while they waited.
var errEtcdNotLeader = errors.New("etcdraft: not the leader")

// etcdReads are the reads of one voter. Those that wait while a ReadIndex round is under way share the next. All but waiting and
// confirmed belong to the loop.
type etcdReads struct {
	waiting   queue[chan error]
	round     []chan error // under way
	number    uint64       // of that round
	confirmed queue[etcdRound]
}

// An etcdRound is reads whose index is known but not applied yet.
type etcdRound struct {
	index uint64
	reads []chan error
}

var etcdAnswers = sync.Pool{New: func() any { return make(chan error, 1) }}

// read waits for a round that begins after it came, and until what that found committed is applied.
func (n *etcdNode) read(lease bool) (count uint64, err error) {
	if lease && !n.settings.lease {
		return 0, errNotOffered
	}
	answer := etcdAnswers.Get().(chan error)
	n.reads.waiting.put(answer)
	err = <-answer
	etcdAnswers.Put(answer)
	return n.machine.count.Load(), err
}

// startRound asks the quorum, or with lease reads the clock, for all that wait.
func (n *etcdNode) startRound() {
	if len(n.reads.round) > 0 {
		return
	}
	if n.reads.round = n.reads.waiting.take(n.reads.round); len(n.reads.round) == 0 {
		return
	}
	if !n.leading.Load() {
		n.endRound(errEtcdNotLeader)
		return
	}
	n.reads.number++
	n.raw.ReadIndex(binary.LittleEndian.AppendUint64(nil, n.reads.number))
}

// confirm takes what raft says of rounds. Heartbeats repeat one that was lost on the way.
func (n *etcdNode) confirm(states []raft.ReadState) {
	for _, s := range states {
		if len(n.reads.round) == 0 || binary.LittleEndian.Uint64(s.RequestCtx) != n.reads.number {
			continue // refused already
		}
		if n.applied.Load() >= s.Index {
			n.endRound(nil)
		} else {
			n.reads.confirmed.put(etcdRound{index: s.Index, reads: n.reads.round})
			n.reads.round = nil
		}
		nudge(n.wake) // what waited meanwhile has used its own up
	}
}

func (n *etcdNode) endRound(err error) {
	for _, answer := range n.reads.round {
		answer <- err
	}
	clear(n.reads.round)
	n.reads.round = n.reads.round[:0]
}

// answerRounds answers those rounds that the applying goroutine has come to, and returns the others.
func answerRounds(rounds []etcdRound, applied uint64) []etcdRound {
	for len(rounds) > 0 && rounds[0].index <= applied { // their indexes never fall
		for _, answer := range rounds[0].reads {
			answer <- nil
		}
		rounds[0] = etcdRound{}
		rounds = rounds[1:]
	}
	return rounds
}

// refuseReads answers all that still wait when the voter ends.
func refuseReads(reads []chan error, rounds []etcdRound) {
	for _, r := range rounds {
		reads = append(reads, r.reads...)
	}
	for _, answer := range reads {
		answer <- errEtcdStopped
	}
}
