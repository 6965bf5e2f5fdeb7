package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"go.etcd.io/etcd/server/v3/etcdserver/api/snap"
	"go.etcd.io/etcd/server/v3/storage/wal"
	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/raftpb"
	"go.uber.org/zap"
)

var (
	// errEtcdStopped refuses proposals of a voter that has ended.
	errEtcdStopped = errors.New("etcdraft: voter has stopped")
	// errEtcdLost says that another leader's entry took the place of a proposal.
	errEtcdLost = errors.New("etcdraft: proposal was overwritten by another leader")
)

// etcdNode is one voter: a goroutine around the RawNode, one that appends, one that applies, one for each
// connection.
type etcdNode struct {
	id       uint64
	settings settings
	fresh    bool // its folder was empty
	raw      *raft.RawNode
	store    *raft.MemoryStorage // what RawNode reads; the truth is in wal
	wal      *wal.WAL
	listener net.Listener
	links    map[uint64]*etcdLink
	members  *raftpb.ConfState // the founders, for ever
	snaps    *snap.Snapshotter
	machine  machine
	applied  atomic.Uint64 // the machine's index in the log
	applying sync.Mutex    // held while the machine changes

	wake      chan struct{} // something is in inbox or proposals
	inbox     queue[*raftpb.Message]
	proposals queue[*etcdProposal]
	appends   *etcdThread[*raftpb.Message]
	applies   *etcdThread[*raftpb.Message]
	waiting   queue[etcdBatch] // accepted proposals, on their way to the applying goroutine

	syncing  int             // MsgStorageAppend that the append thread has not answered; the loop's
	batches  atomic.Int64    // proposed, not applied
	accepted []*etcdProposal // stepped, but their Ready has not come yet
	entries  []*raftpb.Entry // reused for every MsgProp: a leader's Step copies them
	leading  atomic.Bool     // as the last Ready said
	led      atomic.Bool     // has applied an entry as leader
	reads    etcdReads
	ctx      context.Context // ends with the voter
	cancel   context.CancelFunc
	threads  sync.WaitGroup
	mu       sync.Mutex
	failures []error // of the goroutines
}

// etcdProposal waits for its entry to be applied.
type etcdProposal struct {
	data []byte
	done chan error // room for the one answer
}

// etcdBatch is a run of proposals with the log positions that they were given.
type etcdBatch struct {
	first     uint64 // index
	term      uint64
	proposals []*etcdProposal
}

var etcdProposals = sync.Pool{New: func() any { return &etcdProposal{done: make(chan error, 1)} }}

// openEtcd prepares a voter: its log, its listening socket and the RawNode.
func openEtcd(id uint64, dir, address string, s settings) (n *etcdNode, err error) {
	n = &etcdNode{id: id, settings: s, store: raft.NewMemoryStorage(), wake: make(chan struct{}, 1), links: map[uint64]*etcdLink{}}
	n.ctx, n.cancel = context.WithCancel(context.Background())
	n.machine.keep = s.keep
	n.appends, n.applies = newEtcdThread[*raftpb.Message](), newEtcdThread[*raftpb.Message]()
	n.inbox.wake, n.proposals.wake, n.reads.waiting.wake, n.reads.confirmed.wake = n.wake, n.wake, n.wake, n.applies.woken
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	n.snaps = snap.New(zap.NewNop(), dir)
	n.members = &raftpb.ConfState{}
	for id := uint64(1); id <= voters; id++ {
		n.members.Voters = append(n.members.Voters, id)
	}
	if err := n.store.ApplySnapshot(&raftpb.Snapshot{Metadata: &raftpb.SnapshotMetadata{ConfState: n.members}}); err != nil {
		return nil, fmt.Errorf("etcdraft: founding members: %w", err)
	}
	if err := n.openLog(filepath.Join(dir, "wal")); err != nil {
		return nil, fmt.Errorf("etcd wal: %w", err)
	}
	if n.raw, err = raft.NewRawNode(n.config()); err != nil {
		return nil, errors.Join(fmt.Errorf("etcdraft: %w", err), n.wal.Close())
	}
	if n.listener, err = net.Listen("tcp", address); err != nil {
		return nil, errors.Join(err, n.wal.Close())
	}
	return n, nil
}

func (n *etcdNode) config() *raft.Config {
	c := &raft.Config{
		ID:                        n.id,
		ElectionTick:              etcdElectionTicks,
		HeartbeatTick:             etcdHeartbeatTicks,
		Storage:                   n.store,
		Applied:                   n.applied.Load(),
		AsyncStorageWrites:        true,
		MaxSizePerMsg:             etcdMaxSizePerMsg,
		MaxCommittedSizePerReady:  etcdMaxCommitted,
		MaxInflightMsgs:           etcdMaxInflight,
		CheckQuorum:               true,
		PreVote:                   true,
		Logger:                    &raft.DefaultLogger{Logger: log.New(io.Discard, "", 0)},
		DisableProposalForwarding: true, // entries are reused as soon as Step returns
	}
	if n.settings.lease {
		c.ReadOnlyOption = raft.ReadOnlyLeaseBased
	}
	return c
}

// run starts the voter's goroutines. led is called once, when it first applies an entry as leader.
func (n *etcdNode) run(addresses map[uint64]string, campaign bool, led func()) {
	for id, address := range addresses {
		if id != n.id {
			n.links[id] = newEtcdLink(address)
		}
	}
	for _, l := range n.links {
		n.threads.Go(func() { l.run(n.ctx) })
	}
	n.threads.Go(n.accept)
	n.threads.Go(n.appendLoop)
	n.threads.Go(func() { n.applyLoop(led) })
	n.threads.Go(func() { n.loop(campaign) })
}

// propose hands data to the loop and waits for the applying goroutine's answer.
func (n *etcdNode) propose(data []byte) error {
	p := etcdProposals.Get().(*etcdProposal)
	p.data = data
	n.proposals.put(p)
	err := <-p.done
	p.data = nil
	etcdProposals.Put(p)
	return err
}

// loop owns the RawNode.
func (n *etcdNode) loop(campaign bool) {
	interval := etcdTick
	if d := n.settings.election; d > 0 {
		interval = d / etcdElectionTicks
	}
	tick := time.NewTicker(interval)
	defer tick.Stop()
	if campaign {
		n.fail(n.raw.Campaign())
	}
	var messages []*raftpb.Message
	var proposals []*etcdProposal
	for {
		for n.raw.HasReady() {
			n.route(n.raw.Ready())
		}
		select {
		case <-n.ctx.Done():
			refuse(n.proposals.take(nil), errEtcdStopped)
			refuseReads(append(n.reads.round, n.reads.waiting.take(nil)...), nil)
			return
		case <-tick.C:
			n.raw.Tick()
		case <-n.wake:
		}
		runtime.Gosched() // lets clients that are ready to propose get into this batch
		messages = n.inbox.take(messages)
		for _, m := range messages {
			if isAppendResp(m) {
				n.syncing--
			}
			_ = n.raw.Step(m) // one that is refused is as good as lost on the way
		}
		// Proposing whatever has come as soon as it comes keeps the batches small and costs half the throughput.
		if n.syncing < etcdMaxAppends && n.batches.Load() < etcdMaxBatches {
			proposals = n.proposals.take(proposals)
			n.step(proposals)
		}
		n.startRound()
	}
}

// step proposes all that waited as one message.
func (n *etcdNode) step(proposals []*etcdProposal) {
	if len(proposals) == 0 {
		return
	}
	for len(n.entries) < len(proposals) {
		n.entries = append(n.entries, &raftpb.Entry{})
	}
	entries := n.entries[:len(proposals)]
	for i, p := range proposals {
		entries[i].Data = p.data
	}
	err := n.raw.Step(&raftpb.Message{Type: raftpb.MsgProp.Enum(), From: &n.id, Entries: entries})
	for _, e := range entries {
		e.Data = nil
	}
	if err != nil {
		refuse(proposals, err)
		return
	}
	n.accepted = append(n.accepted, proposals...)
}

// route hands out what a Ready asks for.
func (n *etcdNode) route(rd raft.Ready) {
	if rd.SoftState != nil {
		n.leading.Store(rd.SoftState.RaftState == raft.StateLeader)
		if !n.leading.Load() {
			n.endRound(errEtcdNotLeader)
		}
	}
	n.confirm(rd.ReadStates)
	if k := len(n.accepted); k > 0 {
		// Nothing was stepped between the proposals and this Ready: they are its last entries.
		first := rd.Entries[len(rd.Entries)-k]
		n.batches.Add(1)
		n.waiting.put(etcdBatch{first: first.GetIndex(), term: first.GetTerm(), proposals: slices.Clone(n.accepted)})
		clear(n.accepted)
		n.accepted = n.accepted[:0]
	}
	for _, m := range rd.Messages {
		if m.GetTo() == raft.LocalAppendThread && slices.ContainsFunc(m.GetResponses(), isAppendResp) {
			n.syncing++
		}
		n.send(m)
	}
}

func isAppendResp(m *raftpb.Message) bool { return m.GetType() == raftpb.MsgStorageAppendResp }

// send hands a message to whom it is for.
func (n *etcdNode) send(m *raftpb.Message) {
	switch to := m.GetTo(); to {
	case raft.LocalAppendThread:
		n.appends.put(m)
	case raft.LocalApplyThread:
		n.applies.put(m)
	case n.id:
		n.inbox.put(m)
	default:
		n.links[to].put(m)
	}
}

// refuse answers proposals with an error.
func refuse(proposals []*etcdProposal, err error) {
	for _, p := range proposals {
		p.done <- err
	}
}

// fail records why the voter ends, and ends it. It does nothing without an error.
func (n *etcdNode) fail(err error) {
	if err == nil {
		return
	}
	n.mu.Lock()
	n.failures = append(n.failures, fmt.Errorf("etcdraft: voter %d: %w", n.id, err))
	n.mu.Unlock()
	n.halt()
}

// halt tells all goroutines to end.
func (n *etcdNode) halt() {
	n.cancel()
	_ = n.listener.Close() // twice at most; only what was lost by it would matter, and nothing is
}

// close waits for the goroutines and frees what they used.
func (n *etcdNode) close() error {
	n.threads.Wait()
	return errors.Join(append(n.failures, n.wal.Close())...)
}
