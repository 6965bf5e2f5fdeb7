package actors_test

import (
	"errors"
	"path/filepath"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/troupe-raft/troupe/actors"
	"github.com/troupe-raft/troupe/election"
	"github.com/troupe-raft/troupe/raft"
)

// A RaftGroup is an ordinary actor: a program's actor spawns it as its child, talks to it with Request, and watches it.
func TestGroupAsAChildActor(t *testing.T) {
	system := newSystem()
	h, err := actors.StartHost(system, actors.HostConfig{Node: 1, Listen: "127.0.0.1:0", Dir: filepath.Join(t.TempDir(), "1"), Log: quiet()})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Stop(withDeadline(t))
	got := make(chan any, 100)
	var group *actor.PID
	parent := system.Root.Spawn(actor.PropsFromFunc(func(ctx actor.Context) {
		switch m := ctx.Message().(type) {
		case *actor.Started:
			group = ctx.Spawn(actors.RaftGroup(h, actors.GroupConfig{
				Group: 7, Members: []raft.NodeID{1}, ElectionTimeout: testTimeout,
				Apply:     func(c actors.Command) []byte { return append([]byte("did "), c.Data...) },
				NoRestart: true,
			}))
			ctx.Request(group, &actors.GetStatus{})
		case *actor.Stopping, *actor.Stopped, *actor.Restarting:
		case string:
			ctx.Stop(group)
		case []any:
			for _, q := range m {
				ctx.Request(group, q)
			}
		default:
			got <- m
		}
	}))
	next := func() any {
		t.Helper()
		select {
		case m := <-got:
			return m
		case <-time.After(limit):
			t.Fatal("no answer")
			return nil
		}
	}
	if s, ok := next().(actors.Status); !ok || s.Group != 7 {
		t.Fatalf("status %+v", s)
	}
	g, _ := h.Group(7)
	await(t, "it leads", func() bool { return g.Status().Role == raft.Leader && g.Status().Applied > 0 })
	system.Root.Send(parent, []any{&actors.OpenSession{}})
	session := next().(*actors.SessionOpened).Session
	system.Root.Send(parent, []any{
		&actors.Propose{Data: []byte("it")}, &actors.Propose{Data: []byte("once"), Session: session, Seq: 1},
		&actors.Propose{Data: []byte("once"), Session: session, Seq: 1}, &actors.Propose{Data: []byte("gap"), Session: session, Seq: 9},
	})
	for _, want := range []string{"did it", "did once", "did once"} {
		if p, ok := next().(*actors.Proposed); !ok || string(p.Result) != want {
			t.Errorf("got %+v, want %s", p, want)
		}
	}
	if r, ok := next().(*actors.Refused); !ok || !errors.Is(r.Err, actors.ErrSessionOrder) {
		t.Errorf("got %+v", r)
	}
	system.Root.Send(parent, []any{&actors.Read{}})
	if _, ok := next().(*actors.ReadPoint); !ok {
		t.Error("no read point")
	}
	system.Root.Send(parent, []any{&actors.TakeSnapshot{}})
	if r, ok := next().(*actors.Refused); !ok {
		t.Errorf("a snapshot without callbacks: %+v", r)
	}
	system.Root.Send(parent, []any{&actors.TransferLeadership{To: 2}})
	if _, ok := next().(*actors.Refused); !ok {
		t.Error("a transfer to a stranger was taken")
	}
	system.Root.Send(parent, "stop")
	if term, ok := next().(*actor.Terminated); !ok || !term.Who.Equal(group) {
		t.Errorf("got %+v", term)
	}
	if _, err := g.Propose(withDeadline(t), []byte("late")); !errors.Is(err, actors.ErrStopped) {
		t.Errorf("got %v, want ErrStopped", err)
	}
	if err := system.Root.StopFuture(parent).Wait(); err != nil {
		t.Error(err)
	}
}

// A lease that clocks may eat up is none.
func TestLeaseDriftIsBelowTheTimeout(t *testing.T) {
	cfg := actors.GroupConfig{Group: 1, Apply: func(actors.Command) []byte { return nil }, NoRestart: true, ElectionTimeout: election.Timeout{Min: time.Second, Max: 2 * time.Second}}
	for drift, fault := range map[time.Duration]string{
		-1: "LeaseDrift -1ns is negative", time.Second: "LeaseDrift 1s is not below ElectionTimeout.Min 1s", time.Second - 1: "", 0: "",
	} {
		cfg.LeaseDrift = drift
		if err := cfg.Validate(); (err == nil) != (fault == "") || err != nil && !contains(err.Error(), fault) {
			t.Errorf("%v: %v", drift, err)
		}
	}
}

func TestConfigurationNamesEveryFault(t *testing.T) {
	err := actors.GroupConfig{Members: []raft.NodeID{1, 1, 0}}.Validate()
	for _, part := range []string{"Group is not set", "twice", "node 0", "Apply"} {
		if err == nil || !contains(err.Error(), part) {
			t.Errorf("%v does not say %q", err, part)
		}
	}
	_, err = actors.StartHost(newSystem(), actors.HostConfig{})
	for _, part := range []string{"Node", "Dir", "Listen"} {
		if err == nil || !contains(err.Error(), part) {
			t.Errorf("%v does not say %q", err, part)
		}
	}
}
