package web

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-raft/troupe/demo/kv"
	"github.com/troupe-raft/troupe/raft"
)

// A pipeline is a listener without a network, so that nothing but the server holds what clients do not read.
type pipeline chan net.Conn

func (p pipeline) Accept() (net.Conn, error) {
	c, ok := <-p
	if !ok {
		return nil, net.ErrClosed
	}
	return c, nil
}
func (p pipeline) Close() error   { return nil }
func (p pipeline) Addr() net.Addr { return &net.TCPAddr{} }

// dial connects and says something, once the server has taken all of it.
func (p pipeline) dial(t *testing.T, say string) net.Conn {
	t.Helper()
	here, there := net.Pipe()
	p <- there
	t.Cleanup(func() { _ = here.Close() })
	if _, err := io.WriteString(here, say); err != nil && say != "" {
		t.Fatal(err)
	}
	return here
}

// read is the answer on a connection.
func read(t *testing.T, c net.Conn) answer {
	t.Helper()
	res, err := http.ReadResponse(bufio.NewReader(c), nil)
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

// piped serves s on a pipeline until the test ends, in its bubble of synctest. conns may be nil.
func piped(t *testing.T, s http.Handler, conns *Conns) pipeline {
	p := make(pipeline)
	server := &http.Server{Handler: s}
	var l net.Listener = p
	if conns != nil {
		l, server.ConnContext = conns.Listen(p), conns.Context
	}
	go server.Serve(l)
	t.Cleanup(func() {
		close(p)
		server.Close()
		time.Sleep(time.Second) // on the test's clock: the server lingers at connections that it ends itself
	})
	return p
}

func rawRequest(method, path string, headers ...string) string {
	return method + " " + path + " HTTP/1.1\r\nHost: x\r\n" + strings.Join(append(headers, ""), "\r\n") + "\r\n"
}

const largeBytes = 64 << 10

// stocked is a store with four values of largeBytes and a small one.
func stocked(f *fake) {
	for i := range 4 {
		f.store.Apply(kv.Command{Op: kv.Put, Key: fmt.Sprintf("b%d", i), Value: bytes.Repeat([]byte("v"), largeBytes)}.Encode())
	}
	f.store.Apply(kv.Command{Op: kv.Put, Key: "small", Value: []byte("x")}.Encode())
}

// Clients that ask for much and read nothing hold no more memory than there is for answers, on the node asked and on the leader; the others are told to come back,
// and what is small is answered all the same. In the end those that read nothing are cut off.
func TestUnreadAnswersAreBounded(t *testing.T) {
	for _, path := range []string{"/v1/kv?prefix=b&limit=1000", "/v1/kv?prefix=b&limit=1000&read=stale", "/v1/kv/b1", "/kvstore/get/b1", "/v1/log?from=1"} {
		for asked, name := range []string{"leader", "follower"} {
			t.Run(name+path, func(t *testing.T) { synctest.Test(t, func(t *testing.T) { unread(t, path, asked) }) })
		}
	}
}

func unread(t *testing.T, path string, asked int) {
	const limit = 1 << 20
	d, servers := direct{}, []*Server{}
	for id := range 2 {
		f := newFake(raft.NodeID(id+1), 1)
		stocked(f)
		f.large = largeBytes
		d.add(f)
		s := d[fmt.Sprint(id+1)]
		s.answers.limit = limit
		servers = append(servers, s)
	}
	p := piped(t, servers[asked], nil)
	for range 50 {
		p.dial(t, rawRequest("GET", path))
	}
	synctest.Wait()
	held := servers[asked].answers.held.Load()
	if held > limit || held < limit/4 {
		t.Errorf("%d bytes are held, the limit is %d", held, limit)
	}
	if n := servers[1-asked].answers.held.Load(); n != 0 {
		t.Errorf("the node beside holds %d bytes", n)
	}
	// Those that the answers are held for are blocked in them: a page more than the rest cannot be had.
	c := p.dial(t, rawRequest("GET", "/v1/kv?prefix=b&limit=1000"))
	for refused, tries := false, 0; !refused; tries++ {
		got := read(t, c)
		switch {
		case got.status == http.StatusTooManyRequests:
			refused = true
			if got.header.Get("Retry-After") != "1" || !strings.Contains(got.body, "answers that wait") || !strings.Contains(got.body, `"outcome":"refused"`) {
				t.Errorf("%d %v %s", got.status, got.header, got.body)
			}
		case got.status == http.StatusOK && tries < 10: // one that fits
			p.dial(t, rawRequest("GET", "/v1/kv?prefix=b&limit=1000"))
			synctest.Wait()
			c = p.dial(t, rawRequest("GET", "/v1/kv?prefix=b&limit=1000"))
		default:
			t.Fatalf("after %d others: %d %.100s", tries, got.status, got.body)
		}
	}
	if got := read(t, p.dial(t, rawRequest("GET", "/v1/kv/small"))); got.status != http.StatusOK || !strings.Contains(got.body, `"value":"x"`) {
		t.Errorf("a small answer: %d %s", got.status, got.body)
	}
	if got := servers[asked].answers.held.Load(); got > limit {
		t.Errorf("%d bytes are held, the limit is %d", got, limit)
	}
	time.Sleep(writeStall + time.Second)
	synctest.Wait()
	if n := servers[asked].answers.held.Load(); n != 0 {
		t.Errorf("%d bytes are held for clients that read nothing for long", n)
	}
	if got := read(t, p.dial(t, rawRequest("GET", "/v1/kv?prefix=b&limit=1000"))); got.status != http.StatusOK || len(got.body) < 4*largeBytes {
		t.Errorf("after they were cut off: %d, %d bytes", got.status, len(got.body))
	}
}

// Bodies that never end hold no more memory than there is for them; a small write is taken all the same, and answers have memory of their own.
func TestHalfSentBodiesAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const limit = 1 << 20
		f := newFake(1, 1)
		stocked(f)
		d := direct{}
		d.add(f)
		s := d["1"]
		s.bodies.limit = limit
		p := piped(t, s, nil)
		half := rawRequest("PUT", "/v1/kv/k", "Content-Length: 1000000") + `{"value":"` + strings.Repeat("v", 3*largeBytes)
		refused := 0
		for range 20 {
			here, there := net.Pipe()
			p <- there
			go func() {
				_, _ = io.WriteString(here, half) // it is not read to the end where it is refused
			}()
			answered := make(chan int, 1)
			go func() {
				if res, err := http.ReadResponse(bufio.NewReader(here), nil); err == nil {
					answered <- res.StatusCode
				}
			}()
			t.Cleanup(func() { _ = here.Close() })
			synctest.Wait()
			select {
			case status := <-answered:
				if refused++; status != http.StatusTooManyRequests {
					t.Errorf("%d", status)
				}
			default:
			}
			if n := s.bodies.held.Load(); n > limit {
				t.Fatalf("%d bytes are held, the limit is %d", n, limit)
			}
		}
		if refused < 10 {
			t.Errorf("%d requests were refused", refused)
		}
		small := rawRequest("PUT", "/v1/kv/k", `Content-Length: 13`) + `{"value":"x"}`
		for _, say := range []string{small, rawRequest("GET", "/v1/kv?prefix=b")} {
			if got := read(t, p.dial(t, say)); got.status != http.StatusOK {
				t.Errorf("%.20q: %d %.200s", say, got.status, got.body)
			}
		}
	})
}

// A client that reads slowly gets its whole answer.
func TestSlowReaderIsServed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(1, 1)
		stocked(f)
		d := direct{}
		d.add(f)
		c := piped(t, d["1"], nil).dial(t, rawRequest("GET", "/v1/kv?prefix=b"))
		var all bytes.Buffer
		for part := make([]byte, writePart/4); all.Len() < 4*largeBytes; {
			time.Sleep(writeStall / 8)
			n, err := c.Read(part)
			all.Write(part[:n])
			if err != nil {
				t.Fatalf("after %d bytes: %v", all.Len(), err)
			}
		}
	})
}

// A write whose answer does not fit has happened, and is not said to be refused.
func TestWriteWithoutRoomForItsAnswerIsApplied(t *testing.T) {
	leader := newFake(1, 1)
	stocked(leader)
	d := direct{}
	d.add(leader)
	d.add(newFake(2, 1))
	for _, node := range []string{"1", "2"} {
		d[node].answers.limit = small
		got := d.ask(t, node, "POST", "/v1/kv/b1/append", `{"value":"w"}`)
		if got.status != http.StatusConflict || !strings.Contains(got.body, `"outcome":"applied"`) {
			t.Errorf("node %s: %d %.200s", node, got.status, got.body)
		}
		d[node].answers.limit = DefaultAnswerBytes
	}
	if value, _ := leader.store.Get("b1"); len(value) != largeBytes+2 {
		t.Errorf("%d bytes", len(value))
	}
}

// The JSON of few clients is worked on at a time, of requests and of answers: who waits longer than it would is refused, and nothing happened. What is
// small does not wait.
func TestLargeJSONTakesTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(1, 1)
		stocked(f)
		d := direct{}
		d.add(f)
		large := fmt.Sprintf(`{"key":"k","value":"%s"}`, strings.Repeat("v", largeBytes))
		ways := []struct{ method, path, body string }{
			{"PUT", "/v1/kv/k", strings.Replace(large, `"key":"k",`, "", 1)},
			{"POST", "/kvstore/put", large},
			{"GET", "/v1/kv/b1", ""},
		}
		ask := func(body string, i int) int {
			return d.ask(t, "1", ways[i].method, ways[i].path, body, "Content-Type: application/json").status
		}
		for range cap(d["1"].turns) {
			d["1"].turns <- struct{}{}
		}
		for i, way := range ways {
			if got := ask(way.body, i); got != http.StatusServiceUnavailable {
				t.Errorf("%s %s without a turn: %d", way.method, way.path, got)
			}
		}
		if _, ok := f.store.Get("k"); ok {
			t.Error("what was refused was written")
		}
		if got := ask(`{"value":"v"}`, 0); got != http.StatusOK {
			t.Errorf("a small one: %d", got)
		}
		for range cap(d["1"].turns) {
			<-d["1"].turns
		}
		for i, way := range ways {
			if got := ask(way.body, i); got != http.StatusOK {
				t.Errorf("%s %s: %d", way.method, way.path, got)
			}
		}
	})
}

// Idle, silent and half-sent connections make room; requests under way do not, and then the next one is told so, or cut off.
func TestConnectionsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(1, 1)
		release := make(chan struct{})
		f.read = func(context.Context) error { <-release; return nil }
		d := direct{}
		d.add(f)
		conns := NewConns(4, quiet())
		p := piped(t, d["1"], conns)
		open := func() int { conns.mu.Lock(); defer conns.mu.Unlock(); return conns.open }
		for _, say := range []string{"", "GET / HT", "PUT /v1/kv/k HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{"} {
			for range 10 {
				p.dial(t, say)
				synctest.Wait()
				if open() > 4 {
					t.Fatalf("%d connections", open())
				}
			}
		}
		if got := read(t, p.dial(t, rawRequest("GET", "/healthz"))); got.status != http.StatusOK {
			t.Fatalf("beside idle connections: %d", got.status)
		}
		var busy []net.Conn
		for range 4 {
			busy = append(busy, p.dial(t, rawRequest("GET", "/v1/kv/none", "Troupe-Timeout: 30s")))
			synctest.Wait()
		}
		for range 3 {
			got := read(t, p.dial(t, rawRequest("GET", "/v1/kv/none")))
			if got.status != http.StatusServiceUnavailable || got.header.Get("Retry-After") != "1" || !strings.Contains(got.body, "too many connections") {
				t.Errorf("beside requests under way: %d %v %s", got.status, got.header, got.body)
			}
		}
		if got := read(t, p.dial(t, rawRequest("GET", "/healthz"))); got.status != http.StatusOK {
			t.Errorf("the node's health: %d", got.status)
		}
		for range 3 * spareConns {
			p.dial(t, "")
			synctest.Wait()
			if open() > 4+spareConns {
				t.Fatalf("%d connections", open())
			}
		}
		close(release)
		for _, c := range busy {
			if got := read(t, c); got.status != http.StatusNotFound {
				t.Errorf("a request that was under way: %d", got.status)
			}
		}
	})
}
