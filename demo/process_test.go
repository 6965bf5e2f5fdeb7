package main

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptrace"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/troupe-raft/troupe/demo/api"
	"github.com/troupe-raft/troupe/demo/client"
)

// appenders are clients that append numbered words to one key until they are told to stop.
type appenders struct {
	site  *site
	acked []atomic.Int64 // by client
	stop  chan struct{}
	wg    sync.WaitGroup
}

func (s *site) append(clients int) *appenders {
	a := &appenders{site: s, acked: make([]atomic.Int64, clients), stop: make(chan struct{})}
	for i := range clients {
		c := s.client(i%3, (i+1)%3, (i+2)%3)
		a.wg.Go(func() {
			for n := int64(1); ; n++ {
				select {
				case <-a.stop:
					return
				default:
				}
				if _, err := c.Append(s.t.Context(), "log", fmt.Sprintf("%d:%d ", i, n)); err != nil {
					s.t.Errorf("client %d, append %d: %v", i, n, err)
					return
				}
				a.acked[i].Store(n)
			}
		})
	}
	return a
}

func (a *appenders) total() (n int64) {
	for i := range a.acked {
		n += a.acked[i].Load()
	}
	return n
}

// more waits until so many further appends are acknowledged.
func (a *appenders) more(n int64) {
	a.site.t.Helper()
	goal := a.total() + n
	eventually(a.site.t, fmt.Sprintf("%d appends acknowledged", goal), func() bool { return a.total() >= goal || a.site.t.Failed() })
}

func (a *appenders) end() {
	close(a.stop)
	a.wg.Wait()
}

// check wants every acknowledged append exactly once and in its client's order, and nothing else.
func (a *appenders) check(where, value string) {
	a.site.t.Helper()
	next := make([]int64, len(a.acked))
	for _, word := range strings.Fields(value) {
		var client, n int64
		if _, err := fmt.Sscanf(word, "%d:%d", &client, &n); err != nil || client >= int64(len(next)) {
			a.site.t.Fatalf("%s: strange word %q", where, word)
		}
		if next[client]++; n != next[client] {
			a.site.t.Fatalf("%s: client %d's append %d stands where %d should", where, client, n, next[client])
		}
	}
	for i := range a.acked {
		if next[i] != a.acked[i].Load() {
			a.site.t.Errorf("%s: %d appends of client %d, %d were acknowledged", where, next[i], i, a.acked[i].Load())
		}
	}
}

// everywhere checks what each node serves, linearizable and from its own state.
func (a *appenders) everywhere(which ...int) {
	a.site.t.Helper()
	for _, i := range which {
		for _, read := range []string{"linearizable", "lease", "stale"} {
			out, err := a.site.client(i).Get(a.site.t.Context(), "log", read)
			if err != nil {
				a.site.t.Errorf("node %d, %s: %v", i+1, read, err)
				continue
			}
			if read != "stale" {
				a.check(fmt.Sprintf("node %d, %s", i+1, read), out.Value)
				continue
			}
			// A follower may lag behind what the leader has acknowledged, but not for long.
			eventually(a.site.t, fmt.Sprintf("node %d has it all", i+1), func() bool {
				now, err := a.site.client(i).Get(a.site.t.Context(), "log", read)
				return err == nil && len(now.Value) >= a.length()
			})
			out, err = a.site.client(i).Get(a.site.t.Context(), "log", read)
			if err != nil {
				a.site.t.Error(err)
			}
			a.check(fmt.Sprintf("node %d, stale", i+1), out.Value)
		}
	}
}

// length is that of all that was acknowledged.
func (a *appenders) length() (n int) {
	for i := range a.acked {
		for k := int64(1); k <= a.acked[i].Load(); k++ {
			n += len(fmt.Sprintf("%d:%d ", i, k))
		}
	}
	return n
}

// TestProcesses is the promise: three processes, and nothing acknowledged is lost when one or all are killed.
func TestProcesses(t *testing.T) {
	s := newSite(t, 3, 3, "snapshot_every = 500")
	s.start(0, 1, 2)
	s.ready(0, 1, 2)

	leader := s.leader(0)
	follower := (leader + 1) % 3
	if _, err := s.client(follower).Put(t.Context(), "greeting", "hello"); err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		if out, err := s.client(i).Get(t.Context(), "greeting", ""); err != nil || out.Value != "hello" {
			t.Errorf("node %d: %q, %v", i+1, out.Value, err)
		}
	}

	a := s.append(4)
	a.more(100)
	killed := s.leader(follower)
	s.nodes[killed].kill()
	a.more(100)
	a.end()
	left := []int{(killed + 1) % 3, (killed + 2) % 3}
	a.everywhere(left...)

	s.start(killed)
	s.ready(killed)
	a.everywhere(killed)

	for i := range 3 {
		// All at once: no node sees another one end first.
		if err := s.nodes[i].cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 3 {
		s.nodes[i].kill()
	}
	s.start(0, 1, 2)
	s.ready(0, 1, 2)
	a.everywhere(0, 1, 2)
	for i := range 3 {
		s.nodes[i].terminate(graceful)
	}
}

// TestKilledAllInTheMiddle kills all processes while clients append, twice, and wants every acknowledged append after the restart.
func TestKilledAllInTheMiddle(t *testing.T) {
	s := newSite(t, 3, 3, "snapshot_every = 200")
	s.start(0, 1, 2)
	s.ready(0, 1, 2)
	a := s.append(4)
	for range 2 {
		a.more(150)
		for i := range 3 {
			if err := s.nodes[i].cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		}
		for i := range 3 {
			s.nodes[i].kill()
		}
		s.start(0, 1, 2)
	}
	a.more(100)
	a.end()
	a.everywhere(0, 1, 2)
}

// TestPausedLeader stops a leader in its tracks: the others go on, and it follows when it wakes up.
func TestPausedLeader(t *testing.T) {
	stop, goOn := stopSignals(t)
	s := newSite(t, 3, 3, "")
	s.start(0, 1, 2)
	s.ready(0, 1, 2)
	a := s.append(3)
	a.more(50)
	leader := s.leader(0)
	pause := s.nodes[leader].cmd.Process
	if err := pause.Signal(stop); err != nil {
		t.Fatal(err)
	}
	eventually(t, "another leader", func() bool { return s.leader((leader+1)%3) != leader })
	out, err := s.client((leader+1)%3).Put(t.Context(), "while", "paused")
	if err != nil || out.Index == 0 {
		t.Errorf("write beside a paused leader: %v", err)
	}
	if err := pause.Signal(goOn); err != nil {
		t.Fatal(err)
	}
	a.more(50)
	a.end()
	s.ready(0, 1, 2)
	a.everywhere(0, 1, 2)
}

// TestJoin adds a node that starts empty, moves leadership to it and removes a founder.
func TestJoin(t *testing.T) {
	s := newSite(t, 4, 3, "snapshot_every = 20")
	s.start(0, 1, 2)
	s.ready(0, 1, 2)
	c := s.client(1, 2, 0)
	for n := range 50 {
		if _, err := c.Put(t.Context(), fmt.Sprintf("key %d", n), "value"); err != nil {
			t.Fatal(err)
		}
	}
	s.start(3)
	if status := fetch("http://" + s.http[3] + "/readyz"); status != 503 {
		t.Errorf("a node that waits to be added is ready: %d", status)
	}
	// Nodes that do not exist end nothing.
	seats := []api.Seat{{ID: 7}, {ID: 8}, {ID: 9}}
	var refused *client.Error
	_, err := c.ChangeMembers(t.Context(), api.Change{Change: &api.Members{Voters: seats}})
	if !errors.As(err, &refused) || refused.Status != 409 || !strings.Contains(refused.Message, "server 7 is to vote but is not a learner") {
		t.Errorf("voters 7, 8 and 9: %v", err)
	}
	var out, complaint bytes.Buffer
	add := []string{"ctl", "--addr", s.http[0] + "," + s.http[1], "--timeout", patience.String(), "add", "4", s.raft[3], s.http[3]}
	if status := run(add, &out, &complaint); status != 0 || out.String() != "voters 1 2 3 4\n" {
		t.Fatalf("status %d, %s%s", status, &out, &complaint)
	}
	s.ready(3)
	if err := c.Transfer(t.Context(), 4); err != nil {
		t.Fatal(err)
	}
	one := uint64(1)
	if _, err := c.ChangeMembers(t.Context(), api.Change{Remove: &one}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Put(t.Context(), "after", "all"); err != nil {
		t.Fatal(err)
	}
	for _, i := range []int{1, 2, 3} {
		eventually(t, fmt.Sprintf("node %d knows of three members", i+1), func() bool { // the change may have been made without it
			status, err := s.client(i).Status(t.Context())
			return err == nil && len(status.Members) == 3
		})
		for _, key := range []string{"key 0", "key 49", "after"} {
			if _, err := s.client(i).Get(t.Context(), key, ""); err != nil {
				t.Errorf("node %d, %s: %v", i+1, key, err)
			}
		}
	}
	s.nodes[3].kill()
	s.start(3)
	s.ready(3)
	if _, err := s.client(3).Get(t.Context(), "after", ""); err != nil {
		t.Errorf("the newcomer after a restart: %v", err)
	}
}

// TestClusterCommand runs the whole cluster in one process.
func TestClusterCommand(t *testing.T) {
	demoBinary(t) // not among what goes with this test
	t.Setenv("TMPDIR", t.TempDir())
	p := launch(t, "cluster", "--http", "127.0.0.1:0", "--raft", "127.0.0.1:0", "--chaos")
	folder := strings.TrimPrefix(p.line("data "), "data ")
	if found, err := os.ReadDir(folder); err != nil {
		t.Errorf("%s: %v, %v", folder, found, err)
	}
	s := &site{t: t}
	for i := range 3 {
		fields := strings.Fields(p.line("ready"))
		if len(fields) != 5 || fields[1] != fmt.Sprintf("node=%d", i+1) || fields[3] != "resp=-" || !strings.HasPrefix(fields[4], "raft=127.0.0.1:") {
			t.Fatalf("ready line %v", fields)
		}
		s.http = append(s.http, strings.TrimPrefix(fields[2], "http=http://"))
	}
	s.ready(0, 1, 2)
	for i := range 3 {
		if _, err := s.client(i).Append(t.Context(), "k", fmt.Sprint(i)); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 3 {
		if out, err := s.client(i).Get(t.Context(), "k", ""); err != nil || out.Value != "012" {
			t.Errorf("node %d: %q, %v", i+1, out.Value, err)
		}
	}
	p.terminate(syscall.SIGINT)
}

// waiter sends a node that has no leader a write that waits for one, and returns once the node reads it: that is when it
// asks for the body.
func (s *site) waiter(i int) <-chan *http.Response {
	s.t.Helper()
	read, answered := make(chan struct{}), make(chan *http.Response, 1)
	trace := &httptrace.ClientTrace{Got100Continue: func() { close(read) }}
	r, err := http.NewRequestWithContext(httptrace.WithClientTrace(s.t.Context(), trace), "PUT", "http://"+s.http[i]+"/v1/kv/k", strings.NewReader(`{"value":"v"}`))
	if err != nil {
		s.t.Fatal(err)
	}
	r.Header.Set(api.HeaderTimeout, "30s")
	r.Header.Set("Expect", "100-continue")
	go func() {
		defer close(answered)
		res, err := (&http.Transport{DisableKeepAlives: true, ExpectContinueTimeout: patience}).RoundTrip(r)
		if err == nil {
			res.Body.Close()
			answered <- res
		}
	}()
	select {
	case <-read:
	case <-time.After(patience):
		s.t.Fatal("the request was not read")
	}
	return answered
}

// TestStopAnswersWhoWaits wants a graceful stop to refuse what is still waiting, not to sit it out.
func TestStopAnswersWhoWaits(t *testing.T) {
	s := newSite(t, 3, 3, "")
	s.start(0)
	answered := s.waiter(0)
	s.nodes[0].terminate(graceful)
	if res := <-answered; res == nil || res.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("answered %+v", res)
	}
}

// TestSecondSignal ends at once a stop that would wait for a request. Both signals reach the process together, while it is stopped.
func TestSecondSignal(t *testing.T) {
	stop, goOn := stopSignals(t)
	s := newSite(t, 3, 3, "")
	s.start(0)
	s.waiter(0)
	for _, signal := range []os.Signal{stop, syscall.SIGTERM, syscall.SIGINT, goOn} {
		if err := s.nodes[0].cmd.Process.Signal(signal); err != nil {
			t.Fatal(err)
		}
	}
	if status := s.nodes[0].status(5 * time.Second); status != exitFailed {
		t.Errorf("exit status %d", status)
	}
}
