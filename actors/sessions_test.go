package actors_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/troupe-raft/troupe/actors"
	"github.com/troupe-raft/troupe/raft"
)

// A responder answers every command with as many bytes as its data says.
type responder struct{ applied int }

func (r *responder) Apply(c actors.Command) []byte {
	r.applied++
	var size int
	_, _ = fmt.Sscan(string(c.Data), &size)
	return make([]byte, size)
}

func (r *responder) Snapshot() (func(io.Writer) error, error) {
	return func(io.Writer) error { return nil }, nil
}

func (r *responder) Restore(io.Reader) error { return nil }

func responders(set func(*actors.GroupConfig)) func(*testCluster) {
	return func(c *testCluster) {
		c.config = func(_ raft.NodeID, cfg *actors.GroupConfig) {
			cfg.Apply, cfg.Snapshot, cfg.Restore = nil, nil, nil
			cfg.StateMachine = func() actors.StateMachine { return &responder{} }
			set(cfg)
		}
	}
}

// Whoever repeats a write of a session is told what became of it: an applied write is never said not to have happened.
func TestSessionOutcomes(t *testing.T) {
	c := newCluster(t, 1, responders(func(cfg *actors.GroupConfig) { cfg.SessionWindow = 3 }))
	g, ctx := c.leader().group, withDeadline(t)
	session, err := g.OpenSession(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for seq := uint64(1); seq <= 5; seq++ {
		if _, err := g.ProposeIn(ctx, session, seq, []byte("8")); err != nil {
			t.Fatal(err)
		}
	}
	for seq, want := range []error{actors.ErrSessionOrder, actors.ErrSessionForgotten, actors.ErrSessionForgotten, nil, nil, nil, nil, actors.ErrSessionOrder} {
		if seq == 6 {
			continue // the next
		}
		if _, err := g.ProposeIn(ctx, session, uint64(seq), []byte("8")); !errors.Is(err, want) {
			t.Errorf("number %d of 5 applied ones: %v, want %v", seq, err, want)
		}
	}
	if _, err := g.ProposeIn(ctx, session+1, 1, []byte("8")); !errors.Is(err, actors.ErrSessionExpired) {
		t.Errorf("a session that nobody opened: %v", err)
	}
}

// Two writes under way with answers of 600 KiB each, together above what a session remembers by default: the client that lost both answers
// gets both.
func TestAnswersOfPipelinedWritesStay(t *testing.T) {
	c := newCluster(t, 1, responders(func(*actors.GroupConfig) {}))
	g, ctx := c.leader().group, withDeadline(t)
	session, err := g.OpenSession(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		var answers [2]chan error
		for i := range answers {
			answers[i] = make(chan error, 1)
		}
		for i := range answers {
			go func() {
				r, err := proposeInOrder(ctx, g, session, uint64(i+1), "614400")
				if err == nil && len(r.Data) != 600<<10 {
					err = fmt.Errorf("%d bytes", len(r.Data))
				}
				answers[i] <- err
			}()
		}
		for i := range answers {
			if err := <-answers[i]; err != nil {
				t.Errorf("write %d: %v", i+1, err)
			}
		}
	}
}

// proposeInOrder repeats a write that came before the one before it.
func proposeInOrder(ctx context.Context, g *actors.Group, session, seq uint64, data string) (actors.Result, error) {
	for {
		r, err := g.ProposeIn(ctx, session, seq, []byte(data))
		if !errors.Is(err, actors.ErrSessionOrder) {
			return r, err
		}
	}
}

func TestSessionConfigurationIsValidated(t *testing.T) {
	err := actors.GroupConfig{Group: 1, Apply: func(actors.Command) []byte { return nil }, NoRestart: true, SessionWindow: 1, SessionAnswers: 2, SessionWindowBytes: -1, MaxSessionBytes: -1}.Validate()
	for _, part := range []string{"SessionAnswers 2 is above SessionWindow 1", "SessionWindowBytes -1", "MaxSessionBytes -1"} {
		if err == nil || !contains(err.Error(), part) {
			t.Errorf("%v does not say %q", err, part)
		}
	}
}
