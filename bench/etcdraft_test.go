package main

import (
	"bytes"
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"sync"
	"testing"

	"go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"
)

// TestEtcdFollowerGetsSnapshot starts the third voter when the others have trimmed what it would need.
func TestEtcdFollowerGetsSnapshot(t *testing.T) {
	dir := t.TempDir()
	c := &etcdCluster{}
	addresses := map[uint64]string{}
	for id := uint64(1); id <= voters; id++ {
		n, err := openEtcd(id, filepath.Join(dir, strconv.FormatUint(id, 10)), anyPort, settings{})
		if err != nil {
			t.Fatal(err)
		}
		c.nodes = append(c.nodes, n)
		addresses[id] = n.listener.Addr().String()
	}
	led := make(chan struct{})
	c.nodes[0].run(addresses, true, func() { close(led) })
	c.nodes[1].run(addresses, false, func() {})
	<-led

	const proposers, each = 256, 3 * etcdKeepLog / 256
	var group sync.WaitGroup
	for i := range proposers {
		group.Go(func() {
			for j := range each {
				if err := c.propose(fmt.Appendf(nil, "%d %d", i, j)); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	group.Wait()
	if first, err := c.nodes[0].store.FirstIndex(); err != nil || first <= 2 {
		t.Fatalf("the leader trimmed nothing: first %d, %v", first, err)
	}
	c.nodes[2].run(addresses, false, func() {})
	if err := verify(t.Context(), c.machines(), proposers*each, convergeTimeout); err != nil {
		t.Error(err)
	}
	if snaps, err := filepath.Glob(filepath.Join(dir, "3", "*.snap")); err != nil || len(snaps) == 0 {
		t.Errorf("the third voter got no snapshot: %v, %v", snaps, err)
	}
	if err := c.propose([]byte("after")); err != nil {
		t.Error(err)
	}
	if err := verify(t.Context(), c.machines(), proposers*each+1, convergeTimeout); err != nil {
		t.Error(err)
	}
	if err := c.stop(); err != nil {
		t.Error(err)
	}
}

// TestEtcdComesBack restarts voters, one of which has a leader's snapshot and no log from before it.
func TestEtcdComesBack(t *testing.T) {
	c := etcdPeer{}.found(t.TempDir(), settings{})
	if err := c.reserve(2); err != nil {
		t.Fatal(err)
	}
	if err := open(t.Context(), c, 0, 1); err != nil {
		t.Fatal(err)
	}
	const entries = 3 * etcdKeepLog
	if err := fill(t.Context(), c, entries, 256, []byte("data")); err != nil {
		t.Fatal(err)
	}
	if err := c.open(2); err != nil {
		t.Fatal(err)
	}
	if err := reached(t.Context(), c.machines(), entries); err != nil {
		t.Fatal(err)
	}
	if err := c.propose([]byte("behind it")); err != nil {
		t.Fatal(err)
	}
	if err := verify(t.Context(), c.machines(), entries+1, convergeTimeout); err != nil {
		t.Fatal(err)
	}
	if err := c.stop(); err != nil {
		t.Fatal(err)
	}
	if err := open(t.Context(), c, 0, 1, 2); err != nil {
		t.Fatal(err)
	}
	for place := range voters {
		if was := c.at(place).state().restored.Load(); was != (place == 2) {
			t.Errorf("voter %d began with a snapshot: %v", place, was)
		}
	}
	if err := verify(t.Context(), c.machines(), entries+1, convergeTimeout); err != nil {
		t.Error(err)
	}
	if err := c.stop(); err != nil {
		t.Error(err)
	}
}

func TestEtcdFollowerRefusesProposals(t *testing.T) {
	started, err := etcdPeer{}.start(t.TempDir(), settings{})
	if err != nil {
		t.Fatal(err)
	}
	c := started.(*etcdCluster)
	if err := c.nodes[(c.leader+1)%voters].propose([]byte("x")); err == nil {
		t.Error("a follower took a proposal")
	}
	if err := c.stop(); err != nil {
		t.Error(err)
	}
}

func TestEtcdAnswers(t *testing.T) {
	wait := func(n int) (ps []*etcdProposal) {
		for range n {
			ps = append(ps, &etcdProposal{done: make(chan error, 1)})
		}
		return ps
	}
	first, second := wait(2), wait(1)
	batches := []etcdBatch{{first: 5, term: 2, proposals: first}, {first: 9, term: 2, proposals: second}}
	all := append(append([]*etcdProposal{}, first...), second...)
	apply := func(index, term uint64) { batches = answer(batches, &raftpb.Entry{Index: &index, Term: &term}) }
	apply(4, 1)
	for _, p := range all {
		if len(p.done) > 0 {
			t.Fatal("an earlier entry answered a proposal")
		}
	}
	apply(5, 2)
	apply(6, 3)
	apply(7, 3)
	apply(9, 2)
	apply(10, 2)
	for i, want := range []error{nil, errEtcdLost, nil} {
		select {
		case err := <-all[i].done:
			if !errors.Is(err, want) {
				t.Errorf("proposal %d: %v, want %v", i, err, want)
			}
		default:
			t.Errorf("proposal %d has no answer", i)
		}
	}
	if len(batches) > 0 {
		t.Errorf("%d batches still wait", len(batches))
	}
}

func TestEtcdFrames(t *testing.T) {
	var sent []*raftpb.Message
	for i := range uint64(20) {
		sent = append(sent, &raftpb.Message{
			Type: raftpb.MsgApp.Enum(), To: new(uint64(2)), From: new(uint64(1)), Index: &i,
			Entries: []*raftpb.Entry{{Index: new(i + 1), Data: bytes.Repeat([]byte{byte(i)}, int(i)*7)}},
		})
	}
	stream, err := appendFrames([]byte("kept")[:0], sent)
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range []int{1, 3, 64, len(stream)} { // bytes that come with one read
		var got []*raftpb.Message
		var buf []byte
		for rest := stream; len(rest) > 0; {
			n := min(step, len(rest))
			buf = append(buf, rest[:n]...)
			rest = rest[n:]
			if got, buf, err = cutFrames(got, buf); err != nil {
				t.Fatal(err)
			}
		}
		if len(got) != len(sent) || len(buf) > 0 {
			t.Fatalf("step %d: %d messages and %d bytes left", step, len(got), len(buf))
		}
		for i := range got {
			if !proto.Equal(got[i], sent[i]) {
				t.Errorf("step %d: message %d differs", step, i)
			}
		}
	}
	if _, _, err := cutFrames(nil, []byte{0xff, 0xff, 0xff, 0xff}); err == nil {
		t.Error("a frame of 4 GiB was accepted")
	}
	if _, _, err := cutFrames(nil, []byte{1, 0, 0, 0, 0xff}); err == nil {
		t.Error("a broken message was accepted")
	}
}

func TestQueueKeepsOrder(t *testing.T) {
	woken := make(chan struct{}, 1)
	q := queue[int]{wake: woken}
	const items = 10_000
	go func() {
		for i := range items {
			q.put(i)
		}
	}()
	next := 0
	var batch []int
	for next < items {
		<-woken
		batch = q.take(batch)
		for _, got := range batch {
			if got != next {
				t.Fatalf("got %d, want %d", got, next)
			}
			next++
		}
	}
}
