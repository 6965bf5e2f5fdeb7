package web

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/troupe-raft/troupe/actors"
	"github.com/troupe-raft/troupe/internal/backoff"
	"github.com/troupe-raft/troupe/raft"
)

// maxPause is the longest pause between attempts at a request while there is no leader to take it.
const maxPause = 100 * time.Millisecond

// errRemoved is final: this node hears of no leader any more, and others may serve what it cannot.
var errRemoved = &fault{status: http.StatusServiceUnavailable, words: "removed: the cluster goes on without this node; ask another, and stop this one or add it again"}

var pauses = backoff.Doubling{First: 5 * time.Millisecond, Max: maxPause}

// A call is a request that only the leader can serve.
type call struct {
	r         *http.Request
	local     func(ctx context.Context) (any, error) // on the leader itself; the answer becomes JSON, a reply stays as it is
	method    string                                 // of the request to the leader
	path      string                                 // escaped, with the query
	body      []byte
	write     bool // it changes something
	repeat    bool // it may be sent again though it may have happened
	forwarded bool // another node passed it on
	turn      int  // how often it was tried before
}

// request makes the call that passes on r as it came.
func (s *Server) request(r *http.Request, body []byte, local func(context.Context) (any, error)) call {
	return call{
		r: r, local: local, method: r.Method, path: r.URL.RequestURI(), body: body,
		write: true, forwarded: r.Header.Get(headerForwarded) != "",
	}
}

// reads marks a call that changes nothing.
func (c call) reads() call {
	c.write, c.repeat = false, true
	return c
}

// lead serves a call here or by the leader, until there is an answer or the deadline is reached. Then
// it is refused, or unknown if any attempt may have taken effect.
func (s *Server) lead(c call) reply {
	ctx, cancel, err := within(c.r)
	if err != nil {
		return s.refusal(err)
	}
	defer cancel()
	var doubt reply // an attempt whose outcome is unknown
	for tried := 1; ; tried++ {
		c.turn = tried - 1
		out, v := s.attempt(ctx, c)
		if v == doubted && c.write {
			doubt = out
		}
		done := v == final || v == doubted && !c.repeat || c.forwarded && out.notLeader
		if !done && rest(ctx, pauses.After(tried)) != nil {
			out, done = s.tooLate(ctx, out), true
		}
		if done {
			return certain(out, doubt)
		}
	}
}

// certain is what may be said of a call of which an earlier attempt may have taken effect: a later refusal says nothing of that one, unless it
// tells that one of them did.
func certain(out, doubt reply) reply {
	refused := out.status == http.StatusServiceUnavailable || out.status == http.StatusTooManyRequests || out.status == http.StatusConflict
	if refused && !out.applied && doubt.status != 0 {
		return doubt
	}
	return out
}

// rest waits a little, with jitter, so that waiting requests do not come back as one.
func rest(ctx context.Context, pause time.Duration) error {
	t := time.NewTimer(backoff.Stretched(pause/2, 2, rand.Float64()))
	defer t.Stop()
	select {
	case <-t.C:
		return ctx.Err()
	case <-ctx.Done():
		return ctx.Err()
	}
}

// tooLate is the answer when time ran out without any attempt that could have had an effect.
func (s *Server) tooLate(ctx context.Context, last reply) reply {
	if errors.Is(ctx.Err(), context.Canceled) {
		return s.refusal(&fault{status: http.StatusServiceUnavailable, words: "the node is stopping"})
	}
	if s.Group.Status().Leader == raft.None {
		return s.refusal(&fault{status: http.StatusServiceUnavailable, words: "no leader within the deadline"})
	}
	return last
}

// attempt serves a call once.
func (s *Server) attempt(ctx context.Context, c call) (reply, verdict) {
	status := s.Group.Status()
	if status.Removed > 0 {
		return s.refusal(errRemoved), final
	}
	here := status.Role == raft.Leader || status.Leader == raft.None || status.Leader == s.Node
	if !c.forwarded && !here {
		return s.forward(ctx, c, status)
	}
	answer, err := c.local(ctx)
	if err != nil {
		v, f := s.judge(err, c.write)
		out := s.refusal(f)
		out.notLeader = c.forwarded && errors.Is(err, actors.ErrNotLeader)
		return out, v
	}
	if out, ok := answer.(reply); ok {
		return out, final
	}
	return encode(answer), final
}
