// Package client talks to a demo cluster over HTTP. A Client tries one node after the other until one answers, and
// writes under a session, so that a write that was sent twice is applied once.
package client

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/troupe-raft/troupe/demo/api"
	"github.com/troupe-raft/troupe/demo/words"
	"github.com/troupe-raft/troupe/internal/backoff"
)

const (
	defaultTimeout = 10 * time.Second
	dialTimeout    = 2 * time.Second
	tryTimeout     = 5 * time.Second        // one node's time to answer, or less
	travelTime     = time.Second            // granted to the answer beyond what the node was told
	leastShare     = 300 * time.Millisecond // of the time that nodes divide, where there is as much
	maxAnswer      = 256 << 20              // bytes
)

// pauses are made between rounds of asking all nodes.
var pauses = backoff.Doubling{First: 20 * time.Millisecond, Max: 500 * time.Millisecond}

// Config says where the cluster is.
type Config struct {
	Addrs   []string      // URLs of nodes, any number; http:// may be left out
	Token   string        // of the cluster, when it has one
	Timeout time.Duration // of a call, with all its retries; default 10s
	TLS     *tls.Config   // for https addresses
}

// A Client is a connection to a cluster. Its methods are safe for concurrent use; writes go one after the other, in the order of the session.
type Client struct {
	cfg  Config
	http *http.Client

	place sync.Mutex
	last  int // index of the address that answered last

	writing sync.Mutex // held during a write
	session string     // empty: none open
	seq     uint64     // of the last write
}

// New returns a client. It connects when it is first asked; the error is for addresses that are no URLs.
func New(cfg Config) (*Client, error) {
	cfg.Timeout = cmp.Or(cfg.Timeout, defaultTimeout)
	addrs := make([]string, 0, len(cfg.Addrs))
	var faults []error
	for _, given := range cfg.Addrs {
		addr := given
		if !strings.Contains(addr, "://") {
			addr = "http://" + addr
		}
		u, err := url.Parse(addr)
		if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.User != nil {
			faults = append(faults, fmt.Errorf("%q is not an address like http://127.0.0.1:8001", given))
			continue
		}
		if port := u.Port(); port != "" {
			if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
				faults = append(faults, fmt.Errorf("%q is not an address like http://127.0.0.1:8001: its port is not from 1 to 65535", given))
				continue
			}
		}
		addrs = append(addrs, u.Scheme+"://"+u.Host)
	}
	if len(cfg.Addrs) == 0 {
		faults = append(faults, errors.New("no address is given"))
	}
	cfg.Addrs = addrs
	// A redirect would lead out of the cluster, and make a GET of a write: nodes never send one.
	stay := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &Client{cfg: cfg, http: &http.Client{CheckRedirect: stay, Transport: &http.Transport{
		DialContext:         (&net.Dialer{Timeout: dialTimeout}).DialContext,
		TLSClientConfig:     cfg.TLS,
		TLSHandshakeTimeout: dialTimeout,
		MaxIdleConnsPerHost: 8,
		IdleConnTimeout:     time.Minute,
	}}}, errors.Join(faults...)
}

// An Error is what a node answered instead of a result.
type Error struct {
	Status  int    // HTTP's
	Message string // in words
	Outcome string // api.Refused, api.Unknown or api.Applied
	Leader  uint64 // 0: none known
}

func (e *Error) Error() string {
	switch e.Outcome {
	case api.Unknown:
		return e.Message + " (it may or may not have taken effect)"
	case api.Applied:
		return e.Message + " (it took effect)"
	}
	return e.Message
}

// A request is one call with what its retries need.
type request struct {
	method, path string
	in           any  // JSON body; nil: none
	out          any  // what a 200 is decoded into; nil: nothing
	safe         bool // to be sent again after an unknown outcome
	session      string
	seq          uint64
}

// do sends a request to one node after the other until there is an answer that stands.
func (c *Client) do(ctx context.Context, q request) error {
	ctx, cancel := context.WithTimeout(ctx, c.cfg.Timeout)
	defer cancel()
	var text []byte
	if q.in != nil {
		var err error
		if text, err = json.Marshal(q.in); err != nil {
			return err
		}
	}
	at, rounds := c.start(), 0
	var doubt, said error // said: a node's last word
	silent := &unheard{addrs: c.cfg.Addrs}
	for tried := 1; ; tried++ {
		notAsked := len(c.cfg.Addrs) - (tried-1)%len(c.cfg.Addrs) // in this round
		err := c.try(ctx, c.cfg.Addrs[at], q, text, notAsked)
		var answered *Error
		switch {
		case err == nil:
			c.remember(at)
			return nil
		case err == errNoTime:
			silent.end = ctx.Err()
			return cmp.Or(doubt, said, error(silent))
		case errors.As(err, &answered) && answered.Outcome == api.Applied:
			return err
		case errors.As(err, &answered) && answered.Outcome == api.Unknown && answered.Status != http.StatusOK:
			doubt = err
		case errors.As(err, &answered) && answered.Status != http.StatusServiceUnavailable && answered.Status != http.StatusTooManyRequests:
			return cmp.Or(doubt, err)
		}
		if doubt != nil && !q.safe {
			return doubt
		}
		if answered != nil {
			said = err
		}
		silent.note(c.cfg.Addrs[at], err)
		at = (at + 1) % len(c.cfg.Addrs)
		if tried%len(c.cfg.Addrs) != 0 && answered == nil {
			continue // another node may be up
		}
		rounds++
		select {
		case <-time.After(pauses.After(rounds)):
		case <-ctx.Done():
			return cmp.Or(doubt, said, error(silent))
		}
	}
}

// errNoTime means that nothing was sent.
var errNoTime = fmt.Errorf("the time was up: %w", context.DeadlineExceeded)

// try sends a request to one node, of so many that were not asked yet. An error that is no *Error means that the node did not answer; when it
// may have taken the request it is wrapped in one of unknown outcome.
func (c *Client) try(ctx context.Context, addr string, q request, text []byte, notAsked int) error {
	limit, all := tryTimeout, tryTimeout+travelTime
	if deadline, ok := ctx.Deadline(); ok {
		left := time.Until(deadline)
		if q.safe { // a node that hangs leaves time for the others
			left = max(left/time.Duration(notAsked), min(left, leastShare))
		}
		limit = min(limit, max(left-travelTime, left/2)) // a refusal that comes too late is no refusal
		all = min(all, left)
	}
	if limit <= 0 || ctx.Err() != nil {
		return errNoTime // though ctx may not have noticed yet
	}
	ctx, cancel := context.WithTimeout(ctx, all)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, q.method, addr+q.path, bytes.NewReader(text))
	if err != nil {
		return err
	}
	r.Header.Set(api.HeaderTimeout, limit.String())
	if text != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	if c.cfg.Token != "" {
		r.Header.Set("Authorization", "Bearer "+c.cfg.Token)
	}
	if q.session != "" {
		r.Header.Set(api.HeaderSession, q.session)
		if q.seq != 0 {
			r.Header.Set(api.HeaderSeq, strconv.FormatUint(q.seq, 10))
		}
	}
	res, err := c.http.Do(r)
	if err != nil {
		return lost(q, err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	if err != nil {
		return lost(q, err)
	}
	if res.StatusCode == http.StatusOK {
		if q.out == nil {
			return nil
		}
		if err := json.Unmarshal(body, q.out); err != nil {
			return &Error{Status: res.StatusCode, Message: "the answer makes no sense: is " + addr + " a node of this cluster, and of this version?", Outcome: api.Unknown}
		}
		return nil
	}
	var e api.Error
	if json.Unmarshal(body, &e) != nil || e.Error == "" {
		e = api.Error{Error: res.Status}
	}
	applied := e.Outcome == api.Applied && res.StatusCode == http.StatusConflict
	if e.Outcome != api.Refused && e.Outcome != api.Unknown && !applied { // from something that stands between us and the node
		e.Outcome = api.Refused
		if res.StatusCode >= http.StatusInternalServerError {
			e.Outcome = api.Unknown
		}
	}
	return &Error{Status: res.StatusCode, Message: e.Error, Outcome: e.Outcome, Leader: e.Leader}
}

// lost tells a node that was never reached from one that may have taken a write.
func lost(q request, err error) error {
	var op *net.OpError
	if q.method == http.MethodGet || errors.As(err, &op) && op.Op == "dial" || words.Unverified(err) {
		return err
	}
	return &Error{Message: "the connection broke: " + words.Connection(err), Outcome: api.Unknown}
}

func (c *Client) start() int {
	c.place.Lock()
	defer c.place.Unlock()
	return c.last
}

func (c *Client) remember(at int) {
	c.place.Lock()
	defer c.place.Unlock()
	c.last = at
}
