package web

import (
	"cmp"
	"context"
	"crypto/subtle"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/troupe-raft/troupe/demo/api"
	"github.com/troupe-raft/troupe/demo/kv"
	"github.com/troupe-raft/troupe/raft"
	"github.com/troupe-raft/troupe/remote"
)

// Limits of one server.
const (
	maxBody         = 8 << 20  // bytes: a value of 1 MiB may be six times as long in JSON
	maxOrder        = 64 << 10 // bytes of a body without a value: a list of members costs its reader hundreds of times its size
	maxConcurrent   = 16_384   // requests under way
	defaultDeadline = 5 * time.Second
	maxDeadline     = 30 * time.Second

	// DefaultAnswerBytes is what Config.AnswerBytes is without a setting.
	DefaultAnswerBytes = 256 << 20
	writeStall         = 10 * time.Second // in which a client must have taken writePart
	writePart          = 64 << 10         // bytes
)

// Config is what a Server stands on.
type Config struct {
	Node  raft.NodeID
	Group Consensus
	Store *kv.Store              // the state that Group applies to
	Peers map[raft.NodeID]string // HTTP addresses of nodes, as far as this one was told
	// PeersFirst: where the membership has other ones, these count, and those are tried next; else these are not tried.
	PeersFirst bool
	Token      string             // empty: no authentication
	Chaos      func(remote.Chaos) // nil: POST /v1/chaos is not served

	Scheme    string            // of the nodes' HTTP listeners; default http
	Transport http.RoundTripper // carries requests to the leader; default NewTransport(nil)
	Log       *slog.Logger      // default slog.Default()

	// AnswerBytes bounds the answers that are in memory at a time, those above 4 KiB, and by itself the requests' bodies; what is more is refused as
	// busy. Default DefaultAnswerBytes.
	AnswerBytes int64
}

// A Server answers requests. Its methods are safe for concurrent use.
type Server struct {
	Config
	mux     *http.ServeMux
	handler http.Handler
	gets    atomic.Uint64 // durio's GETs so far
	active  atomic.Int64
	routes  []string
	free    map[string]bool // of these routes, those that nobody needs the token for

	answers    ledger
	bodies     ledger
	turns      chan struct{} // taken by those that are at work on large JSON
	logReaders chan struct{} // taken by those that read the log: what they read is in memory, uncounted, before it is an answer
}

// New returns the server of one node.
func New(cfg Config) *Server {
	cfg.Scheme = cmp.Or(cfg.Scheme, "http")
	cfg.Log = cmp.Or(cfg.Log, slog.Default())
	if cfg.Transport == nil {
		cfg.Transport = NewTransport(nil)
	}
	cfg.AnswerBytes = cmp.Or(cfg.AnswerBytes, DefaultAnswerBytes)
	s := &Server{
		Config: cfg, mux: http.NewServeMux(), free: map[string]bool{},
		turns: make(chan struct{}, max(1, runtime.GOMAXPROCS(0)-1)), logReaders: make(chan struct{}, maxLogReaders),
	}
	s.answers.limit, s.answers.crowded = cfg.AnswerBytes, errCrowded
	s.bodies.limit, s.bodies.crowded = cfg.AnswerBytes, errBodies
	s.durioRoutes()
	s.keyRoutes()
	s.nodeRoutes()
	s.clusterRoutes()
	guard := http.NewCrossOriginProtection()
	guard.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.write(w, s.refusal(&fault{status: http.StatusForbidden, words: "another site's page may not write here"}))
	}))
	s.handler = guard.Handler(http.HandlerFunc(s.serve))
	return s
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if c, counted := r.Context().Value(connKey{}).(*conn); counted {
		c.answering.Add(1)
		defer c.answering.Add(-1)
	}
	s.handler.ServeHTTP(w, r)
}

// A handler computes the answer to one request.
type handler func(r *http.Request) reply

// guarded serves a route to those who know the token, if there is one. Parameters are those that its query may have.
func (s *Server) guarded(pattern string, h handler, parameters ...string) {
	s.routes = append(s.routes, pattern)
	h = s.strict(h, parameters)
	s.mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) { s.write(w, h(r)) })
}

// open serves a route to anybody: the probes, and reads of single keys.
func (s *Server) open(pattern string, h handler, parameters ...string) {
	s.free[pattern] = true
	s.guarded(pattern, h, parameters...)
}

// stranger refuses whoever does not know the token, if there is one.
func (s *Server) stranger(r *http.Request) *fault {
	if s.Token == "" {
		return nil
	}
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	switch {
	case !strings.EqualFold(scheme, "Bearer") || token == "":
		return &fault{status: http.StatusUnauthorized, words: "this needs the token: the header Authorization: Bearer TOKEN"}
	case subtle.ConstantTimeCompare([]byte(token), []byte(s.Token)) != 1:
		return &fault{status: http.StatusUnauthorized, words: "the token is wrong: it is not this cluster's"}
	}
	return nil
}

// serve answers what no route matches in JSON too, and bounds what is under way.
func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	visit, excess, ok := arrive(r)
	if !ok {
		return // nobody hears the answer
	}
	if visit != nil {
		defer visit.end()
	}
	held := &accounts{answers: account{ledger: &s.answers}, bodies: account{ledger: &s.bodies}}
	defer held.answers.close()
	defer held.bodies.close()
	r = r.WithContext(context.WithValue(r.Context(), accountsKey{}, held))
	if excess {
		w.Header().Set("Connection", "close")
		if r.URL.Path != "/healthz" && r.URL.Path != "/readyz" { // a node that is only busy must not be taken for dead
			out := s.refusal(&fault{status: http.StatusServiceUnavailable, words: "too many connections"})
			out.retryAfter = "1"
			s.write(w, out)
			return
		}
	}
	defer s.active.Add(-1)
	if s.active.Add(1) > maxConcurrent {
		s.write(w, s.refusal(&fault{status: http.StatusTooManyRequests, words: "too many requests under way"}))
		return
	}
	if err := checkPath(r); err != nil {
		s.write(w, s.refusal(err))
		return
	}
	unmatched, pattern := s.mux.Handler(r)
	if pattern != "" {
		if wrong := s.stranger(r); wrong != nil && !s.free[pattern] { // before the route has a say, whoever made it
			s.write(w, s.refusal(wrong))
			return
		}
		s.mux.ServeHTTP(w, r)
		return
	}
	probe := &bare{header: http.Header{}}
	unmatched.ServeHTTP(probe, r)
	wrong := &fault{status: http.StatusNotFound, words: fmt.Sprintf("not found: there is no route %.*q", maxQuoted, r.URL.EscapedPath())}
	if allow := probe.header.Get("Allow"); allow != "" {
		w.Header().Set("Allow", allow)
		wrong = &fault{status: http.StatusMethodNotAllowed, words: fmt.Sprintf("%.*s is not allowed here: %s %s", maxQuoted, r.Method, allow, strings.TrimSpace(isOrAre(strings.Split(allow, ","))))}
	}
	s.write(w, s.refusal(wrong))
}

// bare keeps an answer's head and drops its body.
type bare struct {
	header http.Header
	status int
}

func (b *bare) Header() http.Header         { return b.header }
func (b *bare) WriteHeader(status int)      { b.status = status }
func (b *bare) Write(p []byte) (int, error) { return len(p), nil }

// A reply is a whole answer, or one that is made while it is written.
type reply struct {
	status      int
	contentType string
	body        []byte
	stream      func(*steady) error // instead of body
	retryAfter  string
	notLeader   bool // says this node to one that passed a request on
	applied     bool // the write happened, though its answer is gone
	hangUp      bool // what is left of the request is not read
}

func (s *Server) write(w http.ResponseWriter, out reply) {
	h := w.Header()
	h.Set("Content-Type", cmp.Or(out.contentType, typeJSON))
	h.Set(api.HeaderNode, strconv.FormatUint(uint64(s.Node), 10))
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	if out.retryAfter != "" {
		h.Set("Retry-After", out.retryAfter)
	}
	if out.hangUp {
		h.Set("Connection", "close")
	}
	if out.status == http.StatusUnauthorized {
		h.Set("WWW-Authenticate", "Bearer")
	}
	if out.stream == nil {
		h.Set("Content-Length", strconv.Itoa(len(out.body)))
	}
	if err := deliver(w, out); err != nil {
		s.Log.Debug("answer not delivered", "err", err)
		if out.stream != nil {
			panic(http.ErrAbortHandler) // its end must not look like one
		}
	}
}

// deliver writes an answer for as long as its client takes some of it now and then.
func deliver(w http.ResponseWriter, out reply) error {
	to := &steady{w: w, c: http.NewResponseController(w)}
	to.patient()
	w.WriteHeader(out.status)
	var err error
	if out.stream == nil {
		_, err = to.Write(out.body)
	} else {
		err = out.stream(to)
	}
	if err != nil {
		return err
	}
	to.patient()
	if err := to.c.Flush(); err != nil {
		return err
	}
	_ = to.c.SetWriteDeadline(time.Time{})
	return nil
}

// A steady writer gives its client writeStall for each writePart.
type steady struct {
	w    http.ResponseWriter
	c    *http.ResponseController
	left int // bytes of this part
}

// patient begins a part.
func (s *steady) patient() {
	s.left = writePart
	_ = s.c.SetWriteDeadline(time.Now().Add(writeStall)) // what is no connection has no deadline
}

// Write implements io.Writer.
func (s *steady) Write(p []byte) (n int, err error) {
	for len(p) > 0 && err == nil {
		if s.left == 0 {
			s.patient()
		}
		var written int
		written, err = s.w.Write(p[:min(len(p), s.left)])
		n, s.left, p = n+written, s.left-written, p[written:]
	}
	return n, err
}

func (s *steady) text(words string) error {
	_, err := io.WriteString(s, words)
	return err
}

// within bounds a request's time by its Troupe-Timeout header, less what it has waited.
func within(r *http.Request) (context.Context, context.CancelFunc, error) {
	limit := defaultDeadline
	if asked := r.Header.Get(headerTimeout); asked != "" {
		d, err := time.ParseDuration(asked)
		if err != nil || d <= 0 {
			return nil, nil, malformed("%s: %q is not a positive duration like 500ms or 5s", headerTimeout, asked)
		}
		limit = min(d, maxDeadline)
	}
	ctx, cancel := context.WithTimeout(r.Context(), limit-accountsOf(r.Context()).waited)
	return ctx, cancel, nil
}
