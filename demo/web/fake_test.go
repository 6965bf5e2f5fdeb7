package web

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/troupe-raft/troupe/actors"
	"github.com/troupe-raft/troupe/demo/kv"
	"github.com/troupe-raft/troupe/entry"
	"github.com/troupe-raft/troupe/raft"
)

// A fake is a replica that applies at once while it leads, and refuses while it does not. Hooks replace what it does.
type fake struct {
	store *kv.Store

	mu       sync.Mutex
	status   actors.Status
	index    raft.Index
	sessions map[uint64]map[uint64]actors.Result
	calls    []string
	large    int    // bytes of another command in the log; 0: there is none
	binary   []byte // another command in the log, or none

	propose  func(ctx context.Context, data []byte) error // before applying; an error ends the proposal
	read     func(ctx context.Context) error
	change   func(actors.Change) error
	transfer func(raft.NodeID) error
	snapshot func() error
	log      func(from, to raft.Index) (actors.LogRange, error)
}

func newFake(id, leader raft.NodeID) *fake {
	f := &fake{store: kv.NewStore(), sessions: map[uint64]map[uint64]actors.Result{}}
	f.status = actors.Status{Node: id, Group: 1, Term: 3, First: 1, CaughtUp: true, Phase: actors.Running}
	f.follow(leader)
	return f
}

func (f *fake) follow(leader raft.NodeID) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.status.Leader, f.status.Role = leader, raft.Follower
	if leader == f.status.Node {
		f.status.Role = raft.Leader
	}
}

func (f *fake) note(call string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls = append(f.calls, call)
}

func (f *fake) leads() error {
	if st := f.Status(); st.Role != raft.Leader {
		return &actors.NotLeaderError{Leader: st.Leader, Term: st.Term}
	}
	return nil
}

func (f *fake) Status() actors.Status {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.status.Commit, f.status.Applied, f.status.Last = f.index, f.index, f.index
	return f.status
}

func (f *fake) ProposeIn(ctx context.Context, session, seq uint64, data []byte) (actors.Result, error) {
	f.note("propose")
	if err := f.leads(); err != nil {
		return actors.Result{}, err
	}
	if f.propose != nil {
		if err := f.propose(ctx, data); err != nil {
			return actors.Result{}, err
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if session != 0 {
		answers, ok := f.sessions[session]
		if !ok {
			return actors.Result{}, actors.ErrSessionExpired
		}
		if answer, ok := answers[seq]; ok {
			return answer, nil
		}
		if seq != uint64(len(answers))+1 {
			return actors.Result{}, actors.ErrSessionOrder
		}
	}
	f.index++
	out := actors.Result{Index: f.index, Data: f.store.Apply(data)}
	if session != 0 {
		f.sessions[session][seq] = out
	}
	return out, nil
}

func (f *fake) OpenSession(context.Context) (uint64, error) {
	if err := f.leads(); err != nil {
		return 0, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.index++
	f.sessions[uint64(f.index)] = map[uint64]actors.Result{}
	return uint64(f.index), nil
}

func (f *fake) CloseSession(_ context.Context, id uint64) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.sessions, id)
	return nil
}

func (f *fake) Read(ctx context.Context) (raft.Index, error) {
	f.note("read")
	if err := f.leads(); err != nil {
		return 0, err
	}
	if f.read != nil {
		if err := f.read(ctx); err != nil {
			return 0, err
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.index, nil
}

func (f *fake) LeaseRead(ctx context.Context) (raft.Index, error) {
	f.note("lease")
	return f.Read(ctx)
}

func (f *fake) Log(_ context.Context, from, to raft.Index) (actors.LogRange, error) {
	if f.log != nil {
		return f.log(from, to)
	}
	all := []entry.Entry{
		{Index: 1, Term: 1, Kind: raft.NoOp},
		{Index: 2, Term: 1, Kind: raft.Command, Data: kv.Command{Op: kv.Put, Key: "k", Value: []byte("v")}.Encode()},
		{Index: 3, Term: 1, Kind: raft.Reconfigure, Data: entry.AppendMembership(nil, raft.Membership{Voters: []raft.NodeID{1, 2}, Learners: []raft.NodeID{3}})},
		{Index: 4, Term: 2, Kind: raft.OpenSession, Data: []byte{1}},
		{Index: 5, Term: 2, Kind: raft.CloseSession, Session: 4},
		{Index: 6, Term: 2, Kind: raft.Command, Data: []byte{0xff}},
	}
	if f.large > 0 {
		value := bytes.Repeat([]byte("v"), f.large)
		all = append(all, entry.Entry{Index: 7, Term: 2, Kind: raft.Command, Data: kv.Command{Op: kv.Put, Key: "large", Value: value}.Encode()})
	}
	if f.binary != nil {
		all = append(all, entry.Entry{Index: 7, Term: 2, Kind: raft.Command, Data: f.binary})
	}
	out := actors.LogRange{First: max(from, 1)}
	out.Last = out.First - 1
	for _, e := range all {
		if e.Index >= from && e.Index <= to {
			out.Entries, out.Last = append(out.Entries, e), e.Index
		}
	}
	return out, nil
}

func (f *fake) ChangeMembers(_ context.Context, c actors.Change) (raft.Membership, error) {
	if err := f.leads(); err != nil {
		return raft.Membership{}, err
	}
	if err := f.change(c); err != nil {
		return raft.Membership{}, err
	}
	return raft.Membership{Voters: []raft.NodeID{1}, Learners: []raft.NodeID{4}, Members: []raft.Member{{ID: 1, Addr: "a:1", Tag: "a:2"}, {ID: 4, Addr: "b:1", Tag: "b:2"}}}, nil
}

func (f *fake) Transfer(_ context.Context, to raft.NodeID) error {
	if err := f.leads(); err != nil {
		return err
	}
	return f.transfer(to)
}

func (f *fake) Snapshot(context.Context) (raft.Index, error) {
	if f.snapshot != nil {
		return 0, f.snapshot()
	}
	return 42, nil
}

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

// serve runs one node's server and returns its address.
func serve(t *testing.T, f *fake, change func(*Config)) string {
	cfg := Config{Node: f.status.Node, Group: f, Store: f.store, Log: quiet()}
	transport := NewTransport(nil)
	cfg.Transport = transport
	if change != nil {
		change(&cfg)
	}
	server := httptest.NewServer(New(cfg))
	t.Cleanup(func() { server.Close(); transport.CloseIdleConnections() })
	return strings.TrimPrefix(server.URL, "http://")
}

// pair runs a leader, node 1, and a follower, node 2, that knows where node 1 is.
func pair(t *testing.T) (leader, follower *fake, at, via string) {
	leader, follower = newFake(1, 1), newFake(2, 1)
	at = serve(t, leader, nil)
	follower.status.Members = []actors.MemberStatus{{Member: raft.Member{ID: 1, Tag: at}, Voter: true}}
	via = serve(t, follower, nil)
	return leader, follower, at, via
}

// direct carries requests between servers without a network, so that tests can run on a clock of their own.
type direct map[string]*Server

func (d direct) RoundTrip(r *http.Request) (*http.Response, error) {
	if trace := httptrace.ContextClientTrace(r.Context()); trace != nil && trace.WroteHeaders != nil {
		trace.WroteHeaders()
	}
	answered := make(chan *http.Response, 1)
	there, ok := d[r.URL.Host]
	if !ok { // a node that took the request and says nothing
		<-r.Context().Done()
		return nil, r.Context().Err()
	}
	go func() {
		arrived := httptest.NewRequestWithContext(r.Context(), r.Method, r.URL.RequestURI(), r.Body)
		arrived.Header = r.Header
		recorder := httptest.NewRecorder()
		there.ServeHTTP(recorder, arrived)
		answered <- recorder.Result()
	}()
	select {
	case res := <-answered:
		return res, nil
	case <-r.Context().Done():
		return nil, r.Context().Err()
	}
}

// add makes the server of one node, reached under its number.
func (d direct) add(f *fake) {
	name := fmt.Sprint(f.status.Node)
	d[name] = New(Config{Node: f.status.Node, Group: f, Store: f.store, Log: quiet(), Transport: d})
	f.status.Members = []actors.MemberStatus{{Member: raft.Member{ID: 1, Tag: "1"}}, {Member: raft.Member{ID: 2, Tag: "2"}}}
}

func (d direct) ask(t *testing.T, node, method, path, body string, headers ...string) answer {
	r := httptest.NewRequestWithContext(t.Context(), method, path, strings.NewReader(body))
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		r.Header.Set(name, value)
	}
	w := httptest.NewRecorder()
	d[node].ServeHTTP(w, r)
	return answer{w.Code, w.Body.String(), w.Header()}
}

// An answer is what a test looks at.
type answer struct {
	status int
	body   string
	header http.Header
}

// ask sends one request; headers are "Name: value".
func ask(t *testing.T, method, url, body string, headers ...string) answer {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, method, "http://"+url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		r.Header.Set(name, value)
	}
	return send(t, r)
}

func send(t *testing.T, r *http.Request) answer {
	t.Helper()
	client := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }, Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{res.StatusCode, string(text), res.Header}
}

// listen serves one node as the demo does, over TLS if secure, and returns its address.
func listen(t *testing.T, f *fake, secure bool) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	conns := NewConns(10, quiet())
	server := &http.Server{Handler: New(Config{Node: f.status.Node, Group: f, Store: f.store, Log: quiet()}), ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug)}
	if secure {
		lender := httptest.NewUnstartedServer(nil) // of its certificate
		lender.StartTLS()
		server.TLSConfig = &tls.Config{Certificates: lender.TLS.Certificates}
		lender.Close()
	}
	served := make(chan error, 1)
	go func() { served <- conns.Serve(server, conns.Listen(l)) }()
	t.Cleanup(func() { server.Close(); <-served })
	return l.Addr().String()
}

// exchange sends bytes as they are and reads one answer.
func exchange(t *testing.T, at string, secure bool, request string) answer {
	t.Helper()
	c, err := net.Dial("tcp", at)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	if secure {
		c = tls.Client(c, &tls.Config{InsecureSkipVerify: true})
	}
	go func() { _, _ = io.WriteString(c, request) }() // of which not all may be read
	method, _, _ := strings.Cut(request, " ")
	res, err := http.ReadResponse(bufio.NewReader(c), &http.Request{Method: method})
	if err != nil {
		t.Errorf("%.40q: %v", request, err)
		return answer{header: http.Header{}}
	}
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Errorf("%.40q: %v", request, err)
	}
	return answer{res.StatusCode, string(text), res.Header}
}
