package web

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"slices"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/troupe-raft/troupe/actors"
	"github.com/troupe-raft/troupe/demo/api"
	"github.com/troupe-raft/troupe/demo/words"
	"github.com/troupe-raft/troupe/raft"
)

const (
	dialTimeout   = time.Second
	maxForwarded  = 64 << 20               // bytes of an answer
	leaderMargin  = 100 * time.Millisecond // at most so much sooner must the leader answer, so that its word comes in time
	leaderWatched = 50 * time.Millisecond  // between looks at who leads while an answer is awaited
	maxIdleConns  = 64                     // to one node
)

// passedOn are the headers that go with a request to the leader.
var passedOn = []string{"Authorization", "Content-Type", api.HeaderSession, api.HeaderSeq}

// NewTransport returns a transport for requests to other nodes. For HTTPS it asks secure for the configuration of each handshake, as
// certificates may be renewed meanwhile.
func NewTransport(secure func() *tls.Config) *http.Transport {
	return &http.Transport{
		DialContext: (&net.Dialer{Timeout: dialTimeout}).DialContext,
		DialTLSContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			ctx, cancel := context.WithTimeout(ctx, 2*dialTimeout)
			defer cancel()
			d := tls.Dialer{NetDialer: &net.Dialer{Timeout: dialTimeout}}
			if secure != nil {
				d.Config = secure()
			}
			return d.DialContext(ctx, network, addr)
		},
		MaxIdleConnsPerHost: maxIdleConns,
		IdleConnTimeout:     time.Minute,
		DisableCompression:  true,
	}
}

// forward passes a call on to the leader. What failed before a byte of it was written did not happen.
func (s *Server) forward(ctx context.Context, c call, status actors.Status) (reply, verdict) {
	addr := s.address(status, c.turn)
	if addr == "" {
		return s.refusal(&fault{status: http.StatusServiceUnavailable, words: "the leader's HTTP address is not known"}), again
	}
	if c.repeat {
		watched, cancel := context.WithCancel(ctx)
		defer cancel()
		go s.watch(watched, cancel, status.Leader)
		ctx = watched
	}
	var sent atomic.Bool
	traced := httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{WroteHeaders: func() { sent.Store(true) }})
	req, err := http.NewRequestWithContext(traced, c.method, s.Scheme+"://"+addr+c.path, bytes.NewReader(c.body))
	if err != nil {
		return s.refusal(&fault{status: http.StatusServiceUnavailable, words: err.Error()}), again
	}
	for _, name := range passedOn {
		if v := c.r.Header.Get(name); v != "" {
			req.Header.Set(name, v)
		}
	}
	req.Header.Set(headerForwarded, strconv.FormatUint(uint64(s.Node), 10))
	req.Header.Set(headerTimeout, remaining(ctx).String())
	answer, err := s.Transport.RoundTrip(req)
	if err != nil {
		return s.broken(err, sent.Load() && c.write, c.write, status, addr)
	}
	defer answer.Body.Close()
	text, err := gather(ctx, answer)
	switch {
	case errors.Is(err, errCrowded) && !c.write:
		return s.refusal(errCrowded), final
	case errors.Is(err, errCrowded) && answer.StatusCode == http.StatusOK:
		return s.refusal(errUnread), final
	case err != nil:
		return s.broken(err, c.write, c.write, status, addr)
	}
	return relay(answer, text)
}

// gather reads the leader's answer, on the request's account.
func gather(ctx context.Context, answer *http.Response) (text []byte, err error) {
	b := &buffer{account: &accountsOf(ctx).answers}
	defer func() {
		if err != nil {
			b.drop()
		}
	}()
	if n := answer.ContentLength; n > 0 && n <= maxForwarded {
		if err := b.grow(int(n)); err != nil {
			return nil, err
		}
	}
	if _, err := io.Copy(b, io.LimitReader(answer.Body, maxForwarded+1)); err != nil {
		return nil, err
	}
	if len(b.b) > maxForwarded {
		return nil, errors.New("the leader's answer is too long")
	}
	return b.b, nil
}

// address is where the leader serves HTTP: what the membership says, else what this node was told. If that is to count, it is tried first, and both in turns.
// Otherwise nobody is asked where the membership has nobody: another cluster's leader could listen there by now, and do what it is asked.
func (s *Server) address(status actors.Status, turn int) string {
	var all []string
	for _, m := range status.Members {
		if m.ID == status.Leader && m.Tag != "" {
			all = append(all, m.Tag)
		}
	}
	if told := s.Peers[status.Leader]; told != "" && !slices.Contains(all, told) {
		all = append(all, told)
	}
	switch {
	case len(all) == 0:
		return ""
	case s.PeersFirst:
		slices.Reverse(all)
		return all[turn%len(all)]
	default:
		return all[0]
	}
}

// remaining is what is left of the deadline, less a margin in which the answer travels.
func remaining(ctx context.Context) time.Duration {
	deadline, ok := ctx.Deadline()
	if !ok {
		return defaultDeadline
	}
	left := time.Until(deadline)
	return max(left-min(left/5, leaderMargin), time.Millisecond)
}

// watch gives an attempt up when another node turns out to lead: the one asked may be dead without its connection knowing.
func (s *Server) watch(ctx context.Context, cancel context.CancelFunc, leader raft.NodeID) {
	t := time.NewTicker(leaderWatched)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
			if now := s.Group.Status().Leader; now != leader && now != raft.None {
				cancel()
				return
			}
		}
	}
}

// broken is the answer when the leader, which was asked at an address, has not answered. Where that may be the wrong one, those who write, who have the token
// if there is one, are told how to go on: what would correct it cannot go by this node.
func (s *Server) broken(err error, unknown, write bool, status actors.Status, addr string) (reply, verdict) {
	why := words.Connection(err)
	if errors.Is(err, context.Canceled) { // by watch, if anybody hears the answer
		why = "another node leads meanwhile"
	}
	f := &fault{status: http.StatusServiceUnavailable, words: "the leader cannot be reached: " + why}
	if refused := (*net.OpError)(nil); write && errors.As(err, &refused) && refused.Op == "dial" {
		f.words = fmt.Sprintf("the leader, node %d, cannot be reached at %s://%s: %s. If it serves HTTP elsewhere, ask it there to be found: ctl --addr URL set-addr %d RAFT_ADDR HTTP_ADDR",
			status.Leader, s.Scheme, addr, why, status.Leader)
	}
	if !unknown {
		return s.refusal(f), again
	}
	f.status, f.outcome, f.words = http.StatusGatewayTimeout, api.Unknown, "the leader did not answer: "+why
	return s.refusal(f), doubted
}

// relay turns the leader's answer into ours. Its 503 says that nothing happened, its 504 that nobody knows.
func relay(answer *http.Response, text []byte) (reply, verdict) {
	out := reply{
		status: answer.StatusCode, body: text,
		contentType: answer.Header.Get("Content-Type"), retryAfter: answer.Header.Get("Retry-After"),
	}
	switch answer.StatusCode {
	case http.StatusConflict:
		var said api.Error
		out.applied = json.Unmarshal(text, &said) == nil && said.Outcome == api.Applied
		return out, final
	case http.StatusServiceUnavailable:
		return out, again
	case http.StatusGatewayTimeout:
		return out, doubted
	default:
		return out, final
	}
}
