package sim

import (
	"strings"
	"testing"
	"time"

	"github.com/troupe-raft/troupe/actors"
	"github.com/troupe-raft/troupe/raft"
	"github.com/troupe-raft/troupe/remote"
)

// TestStuckLeaderIsReplaced: when a leader's actor is stuck while all else of its node lives on, somebody else commits within the longest
// election timeout and a second.
func TestStuckLeaderIsReplaced(t *testing.T) {
	for seed := range uint64(20) {
		s := New(Config{Seed: seed, Nodes: 3 + 2*int(seed%2), Spares: -1, Quiet: true, Liveness: true, Length: time.Minute})
		s.guarded(func() {
			s.until(func() bool { return s.leader() != nil && len(s.check.log) > 20 })
			old := s.leader()
			if old == nil {
				return
			}
			term, began := old.life.view.term, s.clock.Now()
			s.stick(old, Fault{For: time.Minute})
			replaced := s.until(func() bool {
				top := len(s.check.log)
				return s.check.log[top-1].by > term || s.clock.Now() > began+time.Minute
			})
			took := s.clock.Now() - began
			if old.life.view.term != term || old.life.view.role != raft.Leader {
				t.Errorf("seed %d: the stuck replica took a step", seed)
			}
			if !replaced || took > longestTimeout+time.Second {
				t.Errorf("seed %d: another commits after %v", seed, took)
			}
			old.life.free()
			if s.until(func() bool { return old.life.view.term > term || s.clock.Now() > began+2*time.Minute }); old.life.view.term == term {
				t.Errorf("seed %d: it never learnt that it is deposed", seed)
			}
		})
		complain(t, s.report())
	}
}

// TestStuckLeaderIsSilent: a leader that was found to be stuck is not heard of in its term any more, although its syncer has a follower that
// does not answer and that it would try again and again.
func TestStuckLeaderIsSilent(t *testing.T) {
	for seed := range uint64(60) {
		s := New(Config{Seed: seed, Nodes: 3, Spares: -1, Quiet: true, Liveness: true, Length: time.Minute})
		s.guarded(func() {
			s.until(func() bool { return s.leader() != nil && len(s.check.log) > 20 })
			old := s.leader()
			for _, id := range s.ids {
				s.net.links[Link{old.id, id}] = Weather{Cut: id != old.id}
			}
			s.stick(old, Fault{For: time.Minute})
			began := s.clock.Now()
			s.until(func() bool { return s.clock.Now() > began+longestHang })
			if old.life.hang.silent == 0 {
				t.Errorf("seed %d: it was not found out", seed)
			}
			old.life.free()
		})
		complain(t, s.report())
	}
}

// TestStuckChecks: a leader that is taken for stuck without being so is a violation, and so is one that goes on to speak.
func TestStuckChecks(t *testing.T) {
	beat := &remote.Pulse{Beats: []remote.Beat{{Group: groupID, Heartbeat: raft.Heartbeat{Term: 5}}}}
	for name, c := range map[string]struct {
		stuck, later bool
		message      any
		want         string
	}{
		"not stuck":            {false, true, nil, "only what is stuck"},
		"stuck":                {true, true, nil, ""},
		"a beat on its way":    {true, false, beat, ""},
		"a beat":               {true, true, beat, "who is stuck"},
		"an append":            {true, true, &remote.AppendBlocks{AppendEntries: raft.AppendEntries{Term: 5}}, "who is stuck"},
		"a chunk":              {true, true, &remote.SnapshotChunk{Term: 5}, "who is stuck"},
		"of another term":      {true, true, &remote.SnapshotChunk{Term: 4}, ""},
		"something else of it": {true, true, &raft.HeartbeatReply{Term: 5}, ""},
	} {
		s := New(Config{Seed: 11, Nodes: 3, Quiet: true})
		s.until(func() bool { return s.clock.Now() > time.Second })
		n := s.nodes[1]
		if c.stuck {
			s.stick(n, Fault{For: time.Minute})
		}
		s.event(&actors.LeaderStalled{Node: 1, Group: groupID, Term: 5})
		if c.later && c.message != nil {
			n.life.hang.silentSince -= 2 * handful
		}
		s.check.quiet(1, remote.Envelope{Group: groupID, Message: c.message})
		got := ""
		if v := s.check.first; v != nil {
			got = v.Property
		}
		if !strings.HasPrefix(got, c.want) || c.want == "" && got != "" {
			t.Errorf("%s: violated %q, want %q", name, got, c.want)
		}
	}
}
