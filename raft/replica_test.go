package raft

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"testing"
	"time"
)

// trio returns three connected replicas, the first of which leads.
func trio(t testing.TB, hold bool) (map[NodeID]*Replica, func()) {
	t.Helper()
	rs := map[NodeID]*Replica{}
	random := rand.New(rand.NewPCG(1, 1))
	for id := NodeID(1); id <= 3; id++ {
		r, err := NewReplica(ReplicaConfig{ID: id, Membership: voters(1, 2, 3), ElectionMin: testElection, HoldSync: hold, Rand: random.Int64N})
		if err != nil {
			t.Fatal(err)
		}
		rs[id] = r
	}
	deliver := func() {
		for moved := true; moved; {
			moved = false
			for id := NodeID(1); id <= 3; id++ {
				for _, p := range rs[id].TakePackets() {
					if to := rs[p.To]; to != nil {
						to.Receive(id, p)
						moved = true
					}
				}
			}
		}
	}
	rs[1].Campaign()
	for range 10 {
		for _, r := range rs {
			r.Sync()
		}
		deliver()
	}
	if rs[1].Status().Role != Leader {
		t.Fatalf("%+v", rs[1].Status())
	}
	return rs, deliver
}

func TestReplicaHoldsBackWhatIsNotDurable(t *testing.T) {
	rs, deliver := trio(t, true)
	if _, err := rs[1].Propose([]byte("a")); err != nil {
		t.Fatal(err)
	}
	deliver()
	if c := rs[1].Status().Commit; c != 1 {
		t.Fatalf("commit %d before anything is durable", c)
	}
	if d := rs[2].Durable(); len(d.Entries) != 1 {
		t.Fatalf("%+v", d)
	}
	rs[2].Sync()
	rs[3].Sync()
	deliver()
	if c := rs[1].Status().Commit; c != 2 { // the leader's own disk is not needed
		t.Fatalf("commit %d", c)
	}
	if d := rs[1].Durable(); len(d.Entries) != 1 {
		t.Fatal("durable without Sync")
	}
	rs[1].Sync()
	if d := rs[1].Durable(); len(d.Entries) != 2 || string(d.Entries[1].Data) != "a" {
		t.Fatalf("%+v", d)
	}
}

func TestReplicaRestarts(t *testing.T) {
	rs, deliver := trio(t, false)
	for i := range 5 {
		if _, err := rs[1].Propose(fmt.Append(nil, i)); err != nil {
			t.Fatal(err)
		}
	}
	deliver()
	rs[1].TakeCommitted()
	if err := rs[1].Compact(4, []byte("state at 4"), 1); err != nil {
		t.Fatal(err)
	}
	state := rs[1].Durable()
	again, err := NewReplica(ReplicaConfig{ID: 1, ElectionMin: testElection, State: state, Rand: func(int64) int64 { return 0 }})
	if err != nil {
		t.Fatal(err)
	}
	if st := again.Status(); st.Term != 1 || st.Vote != 1 || st.First != 4 || st.Last != 6 || st.Commit != 4 {
		t.Fatalf("%+v", st)
	}
	got := again.TakeCommitted()
	if len(got) != 1 || !got[0].Snapshot || got[0].Index != 4 || string(got[0].Data) != "state at 4" {
		t.Fatalf("%+v", got)
	}
	rs[1] = again
	rs[2].Campaign()
	rs[2].Advance(3 * testElection)
	rs[3].Advance(3 * testElection)
	again.Advance(3 * testElection)
	for range 40 {
		deliver()
		for id := NodeID(1); id <= 3; id++ {
			rs[id].Advance(testElection / 5)
		}
	}
	if got = again.TakeCommitted(); len(got) < 2 || got[0].Index != 5 || string(got[0].Data) != "3" {
		t.Fatalf("%+v", got)
	}
}

// A server added late gets the snapshot, then the rest.
func TestReplicaJoinsBySnapshot(t *testing.T) {
	rs, deliver := trio(t, false)
	for i := range 5 {
		if _, err := rs[1].Propose(fmt.Append(nil, i)); err != nil {
			t.Fatal(err)
		}
	}
	deliver()
	rs[1].TakeCommitted()
	if err := rs[1].Compact(6, []byte("state at 6"), 0); err != nil {
		t.Fatal(err)
	}
	late, err := NewReplica(ReplicaConfig{ID: 4, ElectionMin: testElection, Rand: func(int64) int64 { return 0 }})
	if err != nil {
		t.Fatal(err)
	}
	rs[4] = late
	if _, err = rs[1].ChangeMembers(Membership{Voters: []NodeID{1, 2, 3}, Learners: []NodeID{4}}); err != nil {
		t.Fatal(err)
	}
	for range 10 {
		deliver()
		for _, p := range late.TakePackets() {
			rs[p.To].Receive(4, p)
		}
		rs[1].Advance(testElection / 5)
	}
	got := late.TakeCommitted()
	if len(got) != 2 || !got[0].Snapshot || string(got[0].Data) != "state at 6" || got[1].Kind != Reconfigure || !got[1].Membership.IsLearner(4) {
		t.Fatalf("%+v", got)
	}
	if late.Status().Role != Learner || rs[1].Status().Match[4] != 7 {
		t.Fatalf("%+v", rs[1].Status())
	}
}

func TestReplicaCompact(t *testing.T) {
	rs, deliver := trio(t, false)
	deliver()
	if err := rs[1].Compact(1, nil, 0); err != ErrNotTaken {
		t.Fatal(err)
	}
	rs[1].TakeCommitted()
	for range 2 {
		if err := rs[1].Compact(1, []byte("s"), 9); err != nil || rs[1].Status().First != 1 || rs[1].Status().Snapshot != 1 {
			t.Fatal(err, rs[1].Status())
		}
	}
}

func TestReplicaDropsPayloadThatDoesNotFit(t *testing.T) {
	rs, _ := trio(t, false)
	before := rs[2].Status()
	m := &AppendEntries{Term: 9, Leader: 3, Prev: EntryID{1, 1}, Runs: []Run{{2, 3, 1}}}
	for _, p := range []Packet{
		{Message: m}, {Message: m, Data: [][]byte{nil}, Kinds: []Kind{0}}, {Message: m, Data: [][]byte{nil, nil}},
		{Message: &AppendEntries{Term: 9, Leader: 3, Runs: []Run{{1, 1 << 63, 1}, {1<<63 + 1, 1<<64 - 1, 1}}}}, // as many as none
	} {
		if err := rs[2].Receive(3, p); !errors.As(err, new(*ImpossibleMessageError)) {
			t.Errorf("%+v: %v", p, err)
		}
	}
	if after := rs[2].Status(); !reflect.DeepEqual(before, after) {
		t.Fatalf("%+v\n%+v", before, after)
	}
	if _, err := rs[1].Propose([]byte("not delivered")); err != nil {
		t.Fatal(err)
	}
	known := rs[1].followers[0].progress.Match()
	for _, m := range []Message{&AppendEntriesReply{Term: 1, Success: true, Match: 1 << 40}, &InstallSnapshotReply{Term: 1, Match: 1 << 40}} {
		if err := rs[1].Receive(2, Packet{Message: m}); !errors.As(err, new(*ImpossibleMessageError)) {
			t.Errorf("%+v: %v", m, err)
		}
		if got := rs[1].followers[0].progress.Match(); got != known {
			t.Errorf("%+v: the follower is believed to have %d, and has %d", m, got, known)
		}
	}
	if _, err := rs[1].Propose([]byte("x")); err != nil {
		t.Fatal(err)
	}
}

func TestReplicaErrors(t *testing.T) {
	rand := func(int64) int64 { return 0 }
	var bad *InvalidConfigError
	for _, cfg := range []ReplicaConfig{
		{}, {ID: 1, ElectionMin: 1}, {ElectionMin: 1, Rand: rand}, {ID: 1, Rand: rand}, {ID: 1, ElectionMin: 5, ElectionMax: 5, Rand: rand},
	} {
		if _, err := NewReplica(cfg); !errors.As(err, &bad) {
			t.Errorf("%+v: %v", cfg, err)
		}
	}
	var invalid *InvalidStateError
	if _, err := NewReplica(ReplicaConfig{ID: 1, ElectionMin: 1, Rand: rand, State: &ReplicaState{Prev: EntryID{3, 1}}}); !errors.As(err, &invalid) {
		t.Error(err)
	}
	rs, _ := trio(t, false)
	if _, err := rs[2].Propose(nil); !errors.Is(err, ErrNotLeader) {
		t.Error(err)
	}
	if _, err := rs[2].ChangeMembers(voters(1)); !errors.Is(err, ErrNotLeader) {
		t.Error(err)
	}
	if err := rs[2].Transfer(1); !errors.Is(err, ErrNotLeader) {
		t.Error(err)
	}
	rs[2].Read(5)
	rs[2].LeaseRead(6)
	if got := rs[2].TakeReads(); len(got) != 2 || got[1].ID != 6 || got[0].Err == nil {
		t.Error(got)
	}
}

func TestReplicaTransferAndReads(t *testing.T) {
	rs, deliver := trio(t, false)
	rs[1].Read(1)
	deliver()
	if got := rs[1].TakeReads(); len(got) != 1 || got[0] != (ReadDone{ID: 1, Index: 1}) {
		t.Fatalf("%+v", got)
	}
	rs[1].LeaseRead(2)
	if got := rs[1].TakeReads(); len(got) != 1 || got[0] != (ReadDone{ID: 2, Index: 1}) {
		t.Fatalf("%+v", got)
	}
	if err := rs[1].Transfer(3); err != nil {
		t.Fatal(err)
	}
	deliver()
	if done, ok := rs[1].TakeTransfer(); !ok || done != (TransferDone{To: 3}) || rs[3].Status().Role != Leader {
		t.Fatalf("%+v %v", done, ok)
	}
	if _, ok := rs[1].TakeTransfer(); ok {
		t.Fatal("twice")
	}
	if err := rs[3].Transfer(2); err != nil {
		t.Fatal(err)
	}
	rs[3].AbortTransfer()
	if done, ok := rs[3].TakeTransfer(); !ok || done.Err != ErrTransferAborted {
		t.Fatalf("%+v %v", done, ok)
	}
}

// A long time in one step is the same as many short ones.
func TestReplicaAdvancesInAnyStep(t *testing.T) {
	run := func(step time.Duration) (out []Packet) {
		r, err := NewReplica(ReplicaConfig{ID: 1, Membership: voters(1, 2, 3), ElectionMin: testElection, Rand: rand.New(rand.NewPCG(1, 2)).Int64N})
		if err != nil {
			t.Fatal(err)
		}
		for r.Now() < time.Minute {
			r.Advance(step)
		}
		return r.TakePackets()
	}
	if a, b := run(time.Millisecond), run(time.Minute); len(a) < 500 || !reflect.DeepEqual(a, b) {
		t.Fatalf("%d and %d packets", len(a), len(b))
	}
}

// The same calls give the same packets: nothing in a Replica depends on anything else.
func TestReplicaIsDeterministic(t *testing.T) {
	run := func() string {
		w := newWorld(t, 77, 5, 2, troubles["everything"].faults)
		w.run(3 * time.Second)
		return fmt.Sprint(w.picture(), len(w.committed), w.happened)
	}
	if a, b := run(), run(); a != b {
		t.Fatalf("%s\n%s", a, b)
	}
}

func BenchmarkProposePersistMatch(b *testing.B) {
	s := established(b, voters(1, 2, 3))
	term := s.Term()
	b.ReportAllocs()
	for b.Loop() {
		e := s.Step(s.at, Propose{Count: 64})
		s.Step(s.at, *e.Ack)
		if e = s.Step(s.at, Matched{From: 2, Term: term, Index: s.LastIndex()}); e.Commit.Index == 0 {
			b.Fatal("not committed")
		}
	}
}
