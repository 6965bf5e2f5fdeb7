package sim

import (
	"cmp"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/troupe-raft/troupe/actors"
	"github.com/troupe-raft/troupe/raft"
)

// undisturbed is the disturbed part of the runs below, in which nothing is disturbed.
const undisturbed = 2 * time.Second

// undone runs a quiet cluster in which something is done behind the simulator's back, and demands that it is found out.
func undone(t *testing.T, liveness bool, property string, at time.Duration, do func(*Sim)) {
	t.Helper()
	s := New(Config{Seed: 11, Nodes: 3, Quiet: true, Liveness: liveness, Length: undisturbed, Think: time.Millisecond})
	s.clock.AfterFunc(at, func() { do(s) })
	if r := s.Run(); r.Violation == nil || r.Violation.Property != property {
		t.Errorf("violated: %v, want %q", r.Violation, property)
	}
}

// TestCalmIsCalm: without any fault the calm is as short as it can be.
func TestCalmIsCalm(t *testing.T) {
	r := Run(Config{Seed: 11, Nodes: 3, Quiet: true, Liveness: true, Length: undisturbed, Think: time.Millisecond})
	if c := r.Calm; r.Violation != nil || c.Led > handful || c.Settled > settling+handful || c.Done > settling+watch+time.Second {
		t.Errorf("%v", r)
	}
}

// TestSilentEnd: a replica whose actor ends, and nobody says why, is missed in either mode.
func TestSilentEnd(t *testing.T) {
	stop := func(s *Sim) {
		l := s.nodes[2].life
		l.system.Root.Stop(l.group.PID())
	}
	undone(t, false, "no replica ends silently", time.Second, stop)
	undone(t, true, "no replica ends silently", time.Second, stop)
	undone(t, true, "no replica ends silently", undisturbed+time.Second, stop)
}

// TestLeaderThatLeaves: nothing may move leadership once the cluster has settled.
func TestLeaderThatLeaves(t *testing.T) {
	undone(t, true, "a leader stays", undisturbed+settling+time.Second, func(s *Sim) {
		s.leader().life.ask(&actors.StepDown{}, func(any) {})
	})
}

// TestLeadersThatNeverLast: leaders that follow one another are no leader.
func TestLeadersThatNeverLast(t *testing.T) {
	var unseat func(*Sim)
	unseat = func(s *Sim) {
		if l := s.leader(); l != nil {
			l.life.ask(&actors.StepDown{}, func(any) {})
		}
		s.clock.AfterFunc(time.Second, func() { unseat(s) })
	}
	undone(t, true, "there is a leader", time.Second, unseat)
}

// TestSilentNode: a node that lives and answers nobody shows by a client that waits in vain.
func TestSilentNode(t *testing.T) {
	undone(t, true, "clients are answered in the calm", undisturbed+settling+100*time.Millisecond, func(s *Sim) {
		for _, id := range s.ids {
			if id != s.leader().id {
				s.nodes[id].life.stage.Halt()
				return
			}
		}
	})
}

// TestUnansweredRequests: what was asked in the time of the faults must be answered in the calm, an operator's request first.
func TestUnansweredRequests(t *testing.T) {
	for property, message := range map[string]any{"operators are answered": &actors.TakeSnapshot{}, "every request is answered": &actors.Read{}} {
		undone(t, true, property, time.Second, func(s *Sim) {
			l := s.nodes[1].life
			l.open = append(l.open, &question{life: l, message: message, asked: s.clock.Now()})
		})
	}
}

// TestLeaderWithoutVote: whoever leads must be a voter of the membership that it committed.
func TestLeaderWithoutVote(t *testing.T) {
	s := New(Config{Seed: 11, Nodes: 3, Quiet: true})
	s.until(func() bool { return s.led() && s.unsettled() == "" })
	v := &s.leader().life.view
	v.members = raft.Membership{Voters: []raft.NodeID{s.leader().id%3 + 1}}
	if got := s.unsettled(); got != "the leader has a vote" {
		t.Errorf("unsettled: %q", got)
	}
}

// TestExcuses: an injected panic excuses a replica that goes down for good only when there were too many, a disk only what it did.
func TestExcuses(t *testing.T) {
	panicked := fmt.Errorf("crashed: %w", errSabotage)
	failed := fmt.Errorf("store failed: %w", errInjected)
	endured := func(l *life) int { return cmp.Or(l.node.sim.group().Tuning.Crashes.Limit, replicaRestarts) }
	for name, c := range map[string]struct {
		prepare func(*life)
		reason  error
		excused bool
	}{
		"one panic":                {func(*life) {}, panicked, false},
		"as many as are endured":   {func(l *life) { l.restarts = endured(l) - 1 }, panicked, false},
		"one more":                 {func(l *life) { l.restarts = endured(l) }, panicked, true},
		"panics of the heartbeat":  {func(l *life) { l.panics["heartbeat"] = daemonRestarts + 1 }, panicked, true},
		"the persister's panic":    {func(l *life) { l.panics["persister"] = 1 }, panicked, true},
		"a disk that did not fail": {func(*life) {}, failed, false},
		"a disk that did":          {func(l *life) { l.node.disk.life.failure = errInjected }, failed, true},
		"something else meanwhile": {func(l *life) { l.node.disk.life.failure = errInjected }, fmt.Errorf("invariant"), false},
	} {
		s := New(Config{Seed: 11, Nodes: 3, Quiet: true})
		c.prepare(s.nodes[1].life)
		s.replicaFailed(s.nodes[1], c.reason)
		v := s.check.first
		if excused := v == nil; excused != c.excused || v != nil && !strings.Contains(v.Property, "fail only with") {
			t.Errorf("%s: %v", name, v)
		}
	}
}
