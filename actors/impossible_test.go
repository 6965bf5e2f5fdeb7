package actors_test

import (
	"errors"
	"fmt"
	"math"
	"sync"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/troupe-raft/troupe/actors"
	"github.com/troupe-raft/troupe/election"
	"github.com/troupe-raft/troupe/entry"
	"github.com/troupe-raft/troupe/raft"
	"github.com/troupe-raft/troupe/remote"
)

// blocks is an AppendEntries of entries from first to last, all of one term.
func blocks(term raft.Term, leader raft.NodeID, prev raft.EntryID, last raft.Index, of raft.Term) *remote.AppendBlocks {
	var b entry.Builder
	for range last - prev.Index {
		b.Append(raft.Command, 0, 0, 0, []byte("x"))
	}
	return &remote.AppendBlocks{AppendEntries: raft.AppendEntries{
		Term: term, Leader: leader, Prev: prev, Runs: []raft.Run{{First: prev.Index + 1, Last: last, Term: of}}, Commit: last,
	}, Blocks: []*entry.Block{b.Seal(of, prev.Index+1)}}
}

// TestImpossibleMessagesHarmNobody: what no correct node sends ends its connection, is counted, told once for each reason, and changes nothing.
func TestImpossibleMessagesHarmNobody(t *testing.T) {
	system := newSystem()
	f := &fakeNet{system: system, peer: map[raft.NodeID]*actor.PID{}}
	h, err := actors.StartHost(system, actors.HostConfig{Node: 1, Cluster: "t", Dir: t.TempDir(), Transport: f, Log: quiet()})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Stop(withDeadline(t))
	var mu sync.Mutex
	told := map[raft.Impossibility]int{}
	sub := system.EventStream.Subscribe(func(e any) {
		why := (*raft.ImpossibleMessageError)(nil)
		if m, ok := e.(*actors.MessageRefused); ok && errors.As(m.Err, &why) && m.Peer == why.From && m.Node == 1 && m.Group == 1 {
			mu.Lock()
			told[why.Why]++
			mu.Unlock()
		}
	})
	defer system.EventStream.Unsubscribe(sub)
	l := &ledger{}
	g, err := actors.StartGroup(h, actors.GroupConfig{
		Group: 1, Members: []raft.NodeID{1, 2, 3}, ElectionTimeout: election.Timeout{Min: time.Hour, Max: 2 * time.Hour},
		StateMachine: func() actors.StateMachine { return l },
	})
	if err != nil {
		t.Fatal(err)
	}
	await(t, "it runs", func() bool { return g.Status().Phase == actors.Running })
	f.send(2, blocks(5, 2, raft.EntryID{}, 3, 5))
	await(t, "three entries are applied", func() bool { return g.Status().Applied == 3 })
	const most = math.MaxUint64
	meta := raft.SnapshotMeta{Index: 9, Term: 5, Membership: raft.Membership{Voters: []raft.NodeID{1, 2, 3}}}
	other := meta
	other.Index, other.Term = 2, 4
	impossible := []any{
		&remote.Pulse{Beats: []remote.Beat{{Group: 1, Heartbeat: raft.Heartbeat{Term: most, Leader: 2}}}},
		&raft.RequestVote{Term: most, Candidate: 2}, &raft.RequestVoteReply{Term: most}, &raft.HeartbeatReply{Term: most}, &raft.InstallSnapshotReply{Term: most},
		&raft.TimeoutNow{Term: most, Leader: 2}, &raft.Recall{Term: most, Leader: 2, Entry: raft.EntryID{Index: 1}}, &raft.Trust{Term: most, Leader: 2, Entry: raft.EntryID{Index: 1, Term: most}},
		blocks(most, 2, raft.EntryID{Index: 3, Term: 5}, 4, most), &remote.SnapshotChunkReply{Term: most, Index: 9},
		&remote.SnapshotChunk{Term: most, Leader: 2, Meta: meta},
		blocks(5, 2, raft.EntryID{Index: 1, Term: 5}, 2, 4), blocks(6, 2, raft.EntryID{Index: 1, Term: 5}, 2, 6), blocks(5, 2, raft.EntryID{Index: 3, Term: 4}, 4, 5),
		&raft.TimeoutNow{Term: 5, Leader: 3}, &remote.SnapshotChunk{Term: 5, Leader: 2, Meta: other}, &remote.SnapshotChunk{Term: 5, Leader: 2}, &remote.SnapshotChunk{Term: 5, Leader: 3, Meta: meta},
		&remote.Pulse{Beats: []remote.Beat{{Group: 1, Heartbeat: raft.Heartbeat{Term: 5, Leader: 2, Commit: raft.EntryID{Index: 2, Term: 3}}}}},
	}
	for i, m := range impossible {
		from := raft.NodeID(2)
		if chunk, ok := m.(*remote.SnapshotChunk); ok {
			from = chunk.Leader
		}
		f.send(from, m)
		await(t, fmt.Sprintf("%T %+v is refused", m, m), func() bool { return g.Status().Refused == uint64(i+1) })
	}
	f.send(3, blocks(5, 3, raft.EntryID{Index: 3, Term: 5}, 4, 5)) // of another leader
	await(t, "it is refused", func() bool { return g.Status().Refused == uint64(len(impossible)+1) })
	f.send(2, blocks(5, 2, raft.EntryID{Index: 3, Term: 5}, 4, 5))
	await(t, "it goes on", func() bool { return g.Status().Applied == 4 })
	if s := g.Status(); s.Term != 5 || s.Leader != 2 || s.Err != nil || f.hungUp.Load() != s.Refused {
		t.Errorf("%+v, hung up %d times", s, f.hungUp.Load())
	}
	await(t, "each reason is told", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return len(told) >= 5
	})
	mu.Lock()
	defer mu.Unlock()
	for why, n := range told {
		if n != 1 {
			t.Errorf("%v: told %d times", why, n)
		}
	}
}

// TestTermTooHighIsApproached: whatever names a term that is too high, and whichever way it takes to the rules, it is refused, and brings the node
// nearer to that term all the same, durably.
func TestTermTooHighIsApproached(t *testing.T) {
	const far = 1 << 40
	meta := raft.SnapshotMeta{Index: 9, Term: 5, Membership: raft.Membership{Voters: []raft.NodeID{1, 2, 3}}}
	for _, m := range []any{
		&raft.HeartbeatReply{Term: far}, &raft.AppendEntriesReply{Term: far}, &remote.SnapshotChunk{Term: far, Leader: 2, Meta: meta},
		&remote.SnapshotChunkReply{Term: far, Index: 9}, blocks(far, 2, raft.EntryID{}, 4, far),
		&remote.Pulse{Beats: []remote.Beat{{Group: 1, Heartbeat: raft.Heartbeat{Term: far, Leader: 2}}}},
	} {
		t.Run(fmt.Sprintf("%T", m), func(t *testing.T) {
			t.Parallel()
			system, dir := newSystem(), t.TempDir()
			f := onlyVotes(system)
			run := func() (*actors.Host, *actors.Group) {
				h, err := actors.StartHost(system, actors.HostConfig{Node: 1, Cluster: "t", Dir: dir, Transport: f, Log: quiet()})
				if err != nil {
					t.Fatal(err)
				}
				g, err := actors.StartGroup(h, actors.GroupConfig{
					Group: 1, Members: []raft.NodeID{1, 2, 3}, ElectionTimeout: steady, StateMachine: func() actors.StateMachine { return &ledger{} },
				})
				if err != nil {
					t.Fatal(err)
				}
				return h, g
			}
			h, g := run()
			await(t, "it leads", func() bool { return g.Status().Role == raft.Leader })
			want := g.Status().Term + raft.MaxTermJump
			f.send(2, m)
			await(t, fmt.Sprintf("%T is refused", m), func() bool { return g.Status().Refused == 1 })
			if s := g.Status(); s.Term < want || s.Term > want+9 || s.Err != nil {
				t.Errorf("%T: %+v, want term %d", m, s, want)
			}
			if err := h.Stop(withDeadline(t)); err != nil {
				t.Fatal(err)
			}
			h, g = run()
			await(t, "it runs", func() bool { return g.Status().Phase == actors.Running })
			if s := g.Status(); s.Term < want {
				t.Errorf("%T: after a restart %+v, want term %d", m, s, want)
			}
			if err := h.Stop(withDeadline(t)); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// An answer goes to the syncer first, and an impossible one to the rules from there.
func TestImpossibleAnswersToTheSyncer(t *testing.T) {
	system := newSystem()
	f := onlyVotes(system)
	h, err := actors.StartHost(system, actors.HostConfig{Node: 1, Cluster: "t", Dir: t.TempDir(), Transport: f, Log: quiet()})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Stop(withDeadline(t))
	g, err := actors.StartGroup(h, actors.GroupConfig{
		Group: 1, Members: []raft.NodeID{1, 2, 3}, ElectionTimeout: steady, StateMachine: func() actors.StateMachine { return &ledger{} },
	})
	if err != nil {
		t.Fatal(err)
	}
	await(t, "it leads", func() bool { return g.Status().Role == raft.Leader })
	term := g.Status().Term
	for i, m := range []*raft.AppendEntriesReply{
		{Term: math.MaxUint64}, {Term: term, Success: true, Match: 100}, {Term: term, Success: true, Match: 0, Prev: 1},
		{Term: term, Prev: 1, Hint: raft.EntryID{Index: 2, Term: 1}},
	} {
		f.send(2, m)
		await(t, "it is refused", func() bool { return g.Status().Refused == uint64(i+1) })
	}
	if s := g.Status(); s.Role != raft.Leader || s.Commit != 0 || f.hungUp.Load() != 4 {
		t.Errorf("%+v, hung up %d times", s, f.hungUp.Load())
	}
}
