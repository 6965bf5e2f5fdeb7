package web

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-raft/troupe/actors"
	"github.com/troupe-raft/troupe/demo/api"
	"github.com/troupe-raft/troupe/demo/kv"
	"github.com/troupe-raft/troupe/raft"
)

// soon is a deadline for requests that are to fail.
const soon = "Troupe-Timeout: 60ms"

// TestRefusals gives each of consensus' refusals to a write, on the leader and through a follower.
func TestRefusals(t *testing.T) {
	for _, test := range []struct {
		err     error
		status  int
		outcome string
	}{
		{actors.ErrBusy, 429, api.Refused},
		{actors.ErrTooLarge, 413, api.Refused},
		{actors.ErrStopped, 503, api.Refused},
		{errors.Join(actors.ErrStopped, errors.New("disk gone")), 503, api.Refused},
		{&actors.NotLeaderError{}, 503, api.Refused},
		{actors.ErrTransferring, 503, api.Refused},
		{actors.ErrSessionExpired, 409, api.Refused},
		{actors.ErrSessionOrder, 409, api.Refused},
		{actors.ErrSessionForgotten, 409, api.Applied},
		{actors.ErrChangeInProgress, 409, api.Refused},
		{raft.ErrTermNotCommitted, 503, api.Refused},
		{&raft.UnsafeChangeError{Servers: []raft.Unready{{ID: 7, Why: raft.NotLearner}}}, 409, api.Refused},
		{&raft.MovedOnError{BasedOn: 3, Changed: 5, Last: 9}, 409, api.Refused},
		{&raft.InvalidChangeError{Reason: "no"}, 400, api.Refused},
		{&raft.InvalidTransferError{To: 2, Reason: "no"}, 400, api.Refused},
		{&raft.SilentTargetError{To: 2, Silence: time.Second}, 409, api.Refused},
		{actors.ErrTransferFailed, 409, api.Refused},
		{fmt.Errorf("%w: %w", actors.ErrTransferFailed, &actors.NotLeaderError{}), 409, api.Refused},
		{actors.ErrIndeterminate, 504, api.Unknown},
		{fmt.Errorf("%w: %w", actors.ErrIndeterminate, context.DeadlineExceeded), 504, api.Unknown},
		{context.DeadlineExceeded, 503, api.Refused},
		{errors.New("never seen before"), 504, api.Unknown},
	} {
		synctest.Test(t, func(t *testing.T) {
			leader, nodes := newFake(1, 1), direct{}
			nodes.add(leader)
			nodes.add(newFake(2, 1))
			leader.propose = func(context.Context, []byte) error { return test.err }
			for _, node := range []string{"1", "2"} {
				start := time.Now()
				got := nodes.ask(t, node, "PUT", "/v1/kv/k", `{"value":"v"}`)
				if took := time.Since(start); got.status != test.status || took > defaultDeadline {
					t.Errorf("%v: status %d after %v, want %d: %s", test.err, got.status, took, test.status, got.body)
				}
				checkError(t, test.err.Error(), got, "", test.outcome)
				if (got.header.Get("Retry-After") != "") != (test.status == 429) {
					t.Errorf("%v: Retry-After %q", test.err, got.header.Get("Retry-After"))
				}
				if !strings.Contains(got.body, `"leader":1}`) {
					t.Errorf("%v: no leader in %s", test.err, got.body)
				}
			}
			if leader.store.Len() != 0 {
				t.Errorf("%v: applied", test.err)
			}
		})
	}
}

// led are requests that need a leader.
var led = []struct{ method, path, body string }{
	{"GET", "/v1/kv/k", ""}, {"GET", "/v1/kv/k?read=lease", ""}, {"GET", "/v1/kv", ""}, {"PUT", "/v1/kv/k", `{"value":"v"}`},
	{"POST", "/v1/kv/k/append", `{"value":"v"}`}, {"POST", "/v1/kv/k/cas", `{"expect":null,"value":"v"}`},
	{"DELETE", "/v1/kv/k", ""}, {"POST", "/v1/session", ""}, {"POST", "/v1/transfer", `{"to":1}`},
	{"POST", "/v1/members", `{"remove":1}`}, {"GET", "/kvstore/get/k", ""},
	{"POST", "/kvstore/put", `{"key":"k","value":"v"}`}, {"POST", "/kvstore/append", `{"key":"k","value":"v"}`},
}

// TestNoLeader wants every route that needs one to wait until the deadline and then to be refused, never to hang.
func TestNoLeader(t *testing.T) {
	f := newFake(2, raft.None)
	at := serve(t, f, nil)
	for _, route := range led {
		start := time.Now()
		got := ask(t, route.method, at+route.path, route.body, isJSON, soon)
		if took := time.Since(start); got.status != 503 || took < 60*time.Millisecond {
			t.Errorf("%s %s: %d after %v", route.method, route.path, got.status, took)
		}
		checkError(t, route.path, got, "no leader", api.Refused)
	}
	if got := ask(t, "GET", at+"/kvstore/is_leader", ""); got.status != 200 {
		t.Errorf("is_leader: %d", got.status)
	}
	if got := ask(t, "GET", at+"/v1/kv/k?read=stale", ""); got.status != 404 {
		t.Errorf("stale read: %d", got.status)
	}
}

// A node that was removed waits for no leader: whoever asked it is to ask another while there is time.
func TestRemovedNodeRefusesAtOnce(t *testing.T) {
	for _, route := range led {
		synctest.Test(t, func(t *testing.T) {
			f, nodes := newFake(2, raft.None), direct{}
			f.status.Removed = 9
			nodes.add(f)
			start := time.Now()
			got := nodes.ask(t, "2", route.method, route.path, route.body, isJSON)
			if took := time.Since(start); got.status != 503 || took > 0 {
				t.Errorf("%s %s: %d after %v", route.method, route.path, got.status, took)
			}
			checkError(t, route.path, got, "removed", api.Refused)
		})
	}
}

func TestTimeouts(t *testing.T) {
	f := newFake(1, 1)
	var left atomic.Int64
	f.propose = func(ctx context.Context, _ []byte) error {
		deadline, _ := ctx.Deadline()
		left.Store(int64(time.Until(deadline)))
		return nil
	}
	at := serve(t, f, nil)
	for asked, want := range map[string]time.Duration{"": 5 * time.Second, "2s": 2 * time.Second, "1h": 30 * time.Second} {
		ask(t, "PUT", at+"/v1/kv/k", `{"value":"v"}`, "Troupe-Timeout: "+asked)
		if got := time.Duration(left.Load()); got > want || got < want-time.Second {
			t.Errorf("%q left %v, want %v", asked, got, want)
		}
	}
	for _, bad := range []string{"5", "-1s", "0s", "soon"} {
		if got := ask(t, "PUT", at+"/v1/kv/k", `{"value":"v"}`, "Troupe-Timeout: "+bad); got.status != 400 {
			t.Errorf("%q: %d", bad, got.status)
		}
	}
}

// TestLeaderComes lets a waiting write through as soon as there is a leader: here, then elsewhere.
func TestLeaderComes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		leader, follower, nodes := newFake(1, 1), newFake(2, 1), direct{}
		nodes.add(leader)
		nodes.add(follower)
		for _, becomes := range []raft.NodeID{2, 1} {
			follower.follow(raft.None)
			time.AfterFunc(3*time.Second, func() { follower.follow(becomes) })
			start := time.Now()
			got := nodes.ask(t, "2", "PUT", "/v1/kv/k", `{"value":"v"}`)
			if took := time.Since(start); got.status != 200 || took < 3*time.Second || took > 3*time.Second+2*maxPause {
				t.Errorf("leader %d came: %d %s after %v", becomes, got.status, got.body, took)
			}
		}
		if leader.store.Len() != 1 || follower.store.Len() != 1 {
			t.Errorf("applied %d at the leader, %d at the follower", leader.store.Len(), follower.store.Len())
		}
	})
}

// TestNoLoops sends a passed-on request to a node that believes in another leader: it must refuse at once.
func TestNoLoops(t *testing.T) {
	_, follower, _, via := pair(t)
	start := time.Now()
	got := ask(t, "PUT", via+"/v1/kv/k", `{"value":"v"}`, "Troupe-Forwarded: 3", "Troupe-Timeout: 10s")
	if got.status != 503 || time.Since(start) > 5*time.Second {
		t.Errorf("%d after %v", got.status, time.Since(start))
	}
	if fmt.Sprint(follower.calls) != "[propose]" {
		t.Errorf("calls %v", follower.calls)
	}
}

// TestMistakenFollowers has two nodes that each take the other for the leader: the request ends with the deadline.
func TestMistakenFollowers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		nodes := direct{}
		nodes.add(newFake(1, 2))
		nodes.add(newFake(2, 1))
		start := time.Now()
		got := nodes.ask(t, "1", "PUT", "/v1/kv/k", `{"value":"v"}`, "Troupe-Timeout: 2s")
		if took := time.Since(start); got.status != 503 || took != 2*time.Second {
			t.Errorf("%d after %v", got.status, took)
		}
		checkError(t, "mistaken followers", got, "", api.Refused)
	})
}

// A proxy stands where the leader should and does to requests what a test tells it.
func proxy(t *testing.T, serve func(net.Conn)) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go serve(c)
		}
	}()
	return l.Addr().String()
}

// TestBrokenConnections loses the leader before and after it was sent a request.
func TestBrokenConnections(t *testing.T) {
	swallow := proxy(t, func(c net.Conn) {
		buf := make([]byte, 4096)
		_, _ = c.Read(buf)
		c.Close()
	})
	closed := proxy(t, func(c net.Conn) { c.Close() })
	half := proxy(t, func(c net.Conn) {
		buf := make([]byte, 4096)
		_, _ = c.Read(buf)
		_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{")
		c.Close()
	})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody := l.Addr().String()
	l.Close()
	for _, test := range []struct {
		name, at, method, session string
		status                    int
		outcome                   string
	}{
		{"nobody listens, write", nobody, "PUT", "", 503, api.Refused},
		{"nobody listens, read", nobody, "GET", "", 503, api.Refused},
		{"answer lost, write", swallow, "PUT", "", 504, api.Unknown},
		{"answer lost, write in a session", swallow, "PUT", "1", 504, api.Unknown},
		{"answer lost, read", swallow, "GET", "", 503, api.Refused},
		{"answer cut, write", half, "PUT", "", 504, api.Unknown},
		{"answer cut, read", half, "GET", "", 503, api.Refused},
		{"closed, read", closed, "GET", "", 503, api.Refused},
	} {
		f := newFake(2, 1)
		f.status.Members = []actors.MemberStatus{{Member: raft.Member{ID: 1, Tag: test.at}}}
		headers := []string{soon}
		if test.session != "" {
			headers = append(headers, "Troupe-Session: 1", "Troupe-Seq: 1")
		}
		got := ask(t, test.method, serve(t, f, nil)+"/v1/kv/k", `{"value":"v"}`, headers...)
		if got.status != test.status {
			t.Errorf("%s: %d %s", test.name, got.status, got.body)
		}
		checkError(t, test.name, got, "", test.outcome)
	}
}

// TestSessionsSurviveDoubt loses the answer to a write once: under a session it is sent again and applied once.
func TestSessionsSurviveDoubt(t *testing.T) {
	leader, follower, at, via := pair(t)
	opened := ask(t, "POST", via+"/v1/session", "")
	if opened.body != `{"session":"1"}`+"\n" {
		t.Fatalf("opened %s", opened.body)
	}
	var lost atomic.Bool
	flaky := proxy(t, func(c net.Conn) {
		defer c.Close()
		to, err := net.Dial("tcp", at)
		if err != nil {
			return
		}
		defer to.Close()
		go func() { _, _ = io.Copy(to, c) }()
		if lost.CompareAndSwap(false, true) {
			_, _ = to.Read(make([]byte, 1))
			return
		}
		_, _ = io.Copy(c, to)
	})
	follower.mu.Lock()
	follower.status.Members[0].Tag = flaky
	follower.mu.Unlock()
	for range 2 {
		got := ask(t, "POST", via+"/v1/kv/k/append", `{"value":"x"}`, "Troupe-Session: 1", "Troupe-Seq: 1")
		if got.body != `{"index":2,"value":"x"}`+"\n" {
			t.Errorf("got %d %s", got.status, got.body)
		}
	}
	if value, _ := leader.store.Get("k"); string(value) != "x" || !lost.Load() {
		t.Errorf("stored %q", value)
	}
	if got := ask(t, "POST", via+"/v1/kv/k/append", `{"value":"x"}`, "Troupe-Session: 1", "Troupe-Seq: 3"); got.status != 409 {
		t.Errorf("out of order: %d", got.status)
	}
	for _, headers := range [][]string{{"Troupe-Session: 1"}, {"Troupe-Seq: 1"}, {"Troupe-Session: x", "Troupe-Seq: 1"}, {"Troupe-Session: 1", "Troupe-Seq: 0"}} {
		if got := ask(t, "PUT", via+"/v1/kv/k", `{"value":"x"}`, headers...); got.status != 400 {
			t.Errorf("%v: %d", headers, got.status)
		}
	}
	if got := ask(t, "DELETE", via+"/v1/session", "", "Troupe-Session: 1"); got.status != 200 {
		t.Errorf("closing: %d %s", got.status, got.body)
	}
	if got := ask(t, "PUT", via+"/v1/kv/k", `{"value":"x"}`, "Troupe-Session: 1", "Troupe-Seq: 2"); got.status != 409 {
		t.Errorf("closed session: %d", got.status)
	}
}

// TestDoubtIsKept has an attempt whose outcome is unknown and then refusals: what may have happened stays unknown.
func TestDoubtIsKept(t *testing.T) {
	for _, later := range []error{&actors.NotLeaderError{}, actors.ErrBusy, actors.ErrSessionExpired} {
		synctest.Test(t, func(t *testing.T) {
			leader, nodes := newFake(1, 1), direct{}
			nodes.add(leader)
			nodes.add(newFake(2, 1))
			for _, node := range []string{"1", "2"} {
				attempts := 0
				leader.propose = func(context.Context, []byte) error {
					if attempts++; attempts == 1 {
						return actors.ErrIndeterminate
					}
					return later
				}
				got := nodes.ask(t, node, "PUT", "/v1/kv/k", `{"value":"v"}`, "Troupe-Session: 1", "Troupe-Seq: 1")
				if got.status != 504 || attempts < 2 {
					t.Errorf("%v: %d after %d attempts", later, got.status, attempts)
				}
				checkError(t, later.Error(), got, "", api.Unknown)
			}
		})
	}
}

// TestAppliedEndsDoubt has an attempt whose outcome is unknown and then the word that the write was applied.
func TestAppliedEndsDoubt(t *testing.T) {
	leader, nodes := newFake(1, 1), direct{}
	nodes.add(leader)
	nodes.add(newFake(2, 1))
	for _, node := range []string{"1", "2"} {
		attempts := 0
		leader.propose = func(context.Context, []byte) error {
			if attempts++; attempts == 1 {
				return actors.ErrIndeterminate
			}
			return actors.ErrSessionForgotten
		}
		got := nodes.ask(t, node, "PUT", "/v1/kv/k", `{"value":"v"}`, "Troupe-Session: 1", "Troupe-Seq: 1")
		if got.status != 409 || attempts != 2 {
			t.Errorf("node %s: %d after %d attempts", node, got.status, attempts)
		}
		checkError(t, "node "+node, got, "", api.Applied)
	}
}

// TestHungLeader asks a leader that is silent. When another one is known, reads and writes under a session go there; a write
// without one must not, and ends unknown.
func TestHungLeader(t *testing.T) {
	for _, test := range []struct {
		name, method string
		headers      []string
		status       int
		took         time.Duration
	}{
		{"read", "GET", nil, 200, 2 * time.Second},
		{"write in a session", "PUT", []string{"Troupe-Session: 7", "Troupe-Seq: 1"}, 200, 2 * time.Second},
		{"write", "PUT", nil, 504, defaultDeadline},
	} {
		synctest.Test(t, func(t *testing.T) {
			fresh, asked, nodes := newFake(1, 1), newFake(2, 3), direct{}
			nodes.add(fresh)
			nodes.add(asked)
			fresh.store.Apply(kv.Command{Op: kv.Put, Key: "k", Value: []byte("v")}.Encode())
			fresh.sessions[7] = map[uint64]actors.Result{}
			asked.status.Members = append(asked.status.Members, actors.MemberStatus{Member: raft.Member{ID: 3, Tag: "silent"}})
			time.AfterFunc(2*time.Second, func() { asked.follow(1) })
			start := time.Now()
			got := nodes.ask(t, "2", test.method, "/v1/kv/k", `{"value":"v"}`, test.headers...)
			if took := time.Since(start); got.status != test.status || took < test.took || took > test.took+leaderWatched+2*maxPause {
				t.Errorf("%s: %d %s after %v", test.name, got.status, got.body, took)
			}
		})
	}
}

// A deserted transport reaches nobody at one address.
type deserted struct{ direct }

func (d deserted) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Host == "deserted" {
		return nil, &net.OpError{Op: "dial", Err: errors.New("connection refused")}
	}
	return d.direct.RoundTrip(r)
}

// Where the membership is wrong about the leader's HTTP address, and what this node was told is to count, that is tried first; where this is wrong, what the
// membership says comes next. Otherwise nobody is asked but where the membership says.
func TestLeaderIsAskedWhereThisNodeWasTold(t *testing.T) {
	for _, c := range []struct {
		tag, told string
		first     bool
		status    int
	}{
		{"deserted", "1", true, 200}, {"3", "1", true, 200}, {"1", "deserted", true, 200}, {"1", "3", true, 200},
		{"1", "3", false, 200}, {"deserted", "1", false, 503}, {"", "1", false, 200},
	} {
		synctest.Test(t, func(t *testing.T) {
			nodes := direct{}
			leader, other, asked := newFake(1, 1), newFake(3, 1), newFake(2, 1)
			nodes.add(leader)
			nodes.add(other)
			asked.status.Members = []actors.MemberStatus{{Member: raft.Member{ID: 1, Tag: c.tag}}, {Member: raft.Member{ID: 3, Tag: "3"}}}
			peers := map[raft.NodeID]string{1: c.told, 3: "3"}
			nodes["2"] = New(Config{Node: 2, Group: asked, Store: asked.store, Log: quiet(), Transport: deserted{nodes}, Peers: peers, PeersFirst: c.first})
			start := time.Now()
			got := nodes.ask(t, "2", "PUT", "/v1/kv/k", `{"value":"v"}`)
			if took := time.Since(start); got.status != c.status || c.status == 200 && took > maxPause {
				t.Errorf("%+v: %d %s after %v", c, got.status, got.body, took)
			}
		})
	}
}
