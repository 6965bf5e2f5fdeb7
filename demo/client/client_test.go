package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/troupe-raft/troupe/demo/api"
)

// A node answers what a test tells it and keeps what it was asked.
type node struct {
	*httptest.Server
	mu    sync.Mutex
	asked []string
}

// newNode answers with answer, which returns a status and a body, or 0 to break the connection.
func newNode(t *testing.T, answer func(n int, r *http.Request) (int, string)) *node {
	n := &node{}
	n.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		n.mu.Lock()
		n.asked = append(n.asked, strings.TrimSpace(fmt.Sprintf("%s %s %s %s/%s", r.Method, r.RequestURI, body, r.Header.Get(api.HeaderSession), r.Header.Get(api.HeaderSeq))))
		count := len(n.asked)
		n.mu.Unlock()
		status, text := answer(count, r)
		if status == 0 {
			panic(http.ErrAbortHandler)
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, text)
	}))
	t.Cleanup(n.Close)
	return n
}

func (n *node) log() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return strings.Join(n.asked, "\n")
}

func dial(t *testing.T, cfg Config, nodes ...*node) *Client {
	for _, n := range nodes {
		cfg.Addrs = append(cfg.Addrs, n.URL)
	}
	c, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.http.CloseIdleConnections)
	return c
}

func ok(text string) func(int, *http.Request) (int, string) {
	return func(int, *http.Request) (int, string) { return 200, text }
}

func refuse(status int, outcome string) func(int, *http.Request) (int, string) {
	return func(int, *http.Request) (int, string) {
		return status, `{"error":"words","outcome":"` + outcome + `","leader":2}`
	}
}

func nobody(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return "http://" + l.Addr().String()
}

func TestNextAddress(t *testing.T) {
	n := newNode(t, ok(`{"key":"k","value":"v","index":3}`))
	c := dial(t, Config{Addrs: []string{nobody(t), strings.TrimPrefix(nobody(t), "http://")}}, n)
	for range 2 {
		v, err := c.Get(t.Context(), "a b/ü..", "lease")
		if err != nil || v.Value != "v" || v.Index != 3 {
			t.Fatalf("%+v, %v", v, err)
		}
	}
	if c.start() != 2 {
		t.Errorf("the address that answered is not asked first: %d", c.start())
	}
	if got := n.log(); got != "GET /v1/kv/a%20b%2F%C3%BC..?read=lease  /\nGET /v1/kv/a%20b%2F%C3%BC..?read=lease  /" {
		t.Errorf("asked %s", got)
	}
	if keyPath("..") != "/v1/kv/%2E%2E" || keyPath(".") != "/v1/kv/%2E" {
		t.Error("dots are taken for folders")
	}
}

// TestWritesRetry breaks connections and refuses: the same write is sent again, under one number.
func TestWritesRetry(t *testing.T) {
	answers := []int{200, 0, 503, 429, 504, 200, 200, 200}
	n := newNode(t, func(count int, r *http.Request) (int, string) {
		status := answers[min(count-1, len(answers)-1)]
		switch {
		case status == 503 || status == 429:
			return status, `{"error":"no leader","outcome":"refused"}`
		case status == 504:
			return status, `{"error":"who knows","outcome":"unknown"}`
		case r.URL.Path == "/v1/session":
			return status, `{"session":"77"}`
		}
		return status, `{"index":9,"value":"x"}`
	})
	c := dial(t, Config{Token: "t"}, n)
	if out, err := c.Append(t.Context(), "k", "x"); err != nil || *out.Value != "x" {
		t.Fatalf("%+v, %v", out, err)
	}
	if _, err := c.Put(t.Context(), "k", "y"); err != nil {
		t.Fatal(err)
	}
	if err := c.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	appends := strings.Repeat(`POST /v1/kv/k/append {"value":"x"} 77/1`+"\n", 5)
	if got, want := n.log(), "POST /v1/session  /\n"+appends+`PUT /v1/kv/k {"value":"y"} 77/2`+"\n"+`DELETE /v1/session  77/`; got != want {
		t.Errorf("asked\n%s\nwant\n%s", got, want)
	}
}

func TestErrorsStand(t *testing.T) {
	for _, test := range []struct {
		status  int
		outcome string
		tries   int // of the session's opening
	}{{400, "refused", 1}, {401, "refused", 1}, {409, "refused", 1}, {413, "refused", 1}} {
		n := newNode(t, refuse(test.status, test.outcome))
		c := dial(t, Config{}, n)
		_, err := c.Put(t.Context(), "k", "v")
		var e *Error
		if !errors.As(err, &e) || e.Status != test.status || e.Message != "words" || e.Leader != 2 || strings.Count(n.log(), "\n")+1 != test.tries {
			t.Errorf("%d: %v after %s", test.status, err, n.log())
		}
	}
	n := newNode(t, refuse(404, "refused"))
	if _, err := dial(t, Config{}, n).Get(t.Context(), "k", ""); !IsNotFound(err) {
		t.Errorf("missing key: %v", err)
	}
}

// TestAppliedWriteIsSaidSo breaks a write's connection, so that its outcome is unknown; the repetition tells that it was applied.
func TestAppliedWriteIsSaidSo(t *testing.T) {
	n := newNode(t, func(count int, r *http.Request) (int, string) {
		switch {
		case r.URL.Path == "/v1/session":
			return 200, `{"session":"77"}`
		case count == 2:
			return 0, ""
		}
		return 409, `{"error":"words","outcome":"applied","leader":2}`
	})
	_, err := dial(t, Config{}, n).Put(t.Context(), "k", "v")
	var e *Error
	if !errors.As(err, &e) || e.Outcome != api.Applied || !strings.Contains(e.Error(), "it took effect") {
		t.Errorf("%v after %s", err, n.log())
	}
}

// TestUnsafeCallsAreSentOnce: a membership change has no session, so an unknown outcome stands.
func TestUnsafeCallsAreSentOnce(t *testing.T) {
	id := uint64(3)
	for _, answer := range []func(int, *http.Request) (int, string){ok(""), refuse(504, "unknown"), refuse(0, "")} {
		n := newNode(t, answer)
		_, err := dial(t, Config{}, n).ChangeMembers(t.Context(), api.Change{Remove: &id})
		if err == nil || strings.Count(n.log(), "POST") != 1 {
			t.Errorf("%v after %s", err, n.log())
		}
	}
	_, err := dial(t, Config{}, newNode(t, refuse(0, ""))).ChangeMembers(t.Context(), api.Change{Remove: &id})
	if err == nil || !strings.Contains(err.Error(), "may or may not") {
		t.Errorf("broken connection: %v", err)
	}
}

// TestProxysErrors: whatever a proxy says in JSON of its own, a write that a node may have begun is in doubt.
func TestProxysErrors(t *testing.T) {
	id := uint64(3)
	for status, want := range map[int]string{502: api.Unknown, 403: api.Refused} {
		n := newNode(t, func(int, *http.Request) (int, string) { return status, `{"error":"no upstream"}` })
		_, err := dial(t, Config{}, n).ChangeMembers(t.Context(), api.Change{Remove: &id})
		var e *Error
		if !errors.As(err, &e) || e.Outcome != want || e.Message != "no upstream" {
			t.Errorf("%d: %#v", status, err)
		}
	}
}

// TestEndsWithItsTime wants a call on a cluster that is down, or silent, to end.
func TestEndsWithItsTime(t *testing.T) {
	c := dial(t, Config{Addrs: []string{nobody(t)}, Timeout: 50 * time.Millisecond})
	if _, err := c.Put(t.Context(), "k", "v"); err == nil {
		t.Error("no error from nobody")
	}
	n := newNode(t, refuse(503, "refused"))
	c = dial(t, Config{Timeout: 50 * time.Millisecond}, n)
	var e *Error
	if _, err := c.Get(t.Context(), "k", ""); !errors.As(err, &e) || e.Status != 503 {
		t.Errorf("no leader: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.Get(ctx, "k", ""); !errors.Is(err, context.Canceled) {
		t.Errorf("a cancelled context: %v", err)
	}
}

func TestAddresses(t *testing.T) {
	for _, bad := range []string{"", "http://", "ftp://a:1", "http://a:1/path", "http://a:b"} {
		if _, err := New(Config{Addrs: []string{"http://fine:1", bad}}); err == nil {
			t.Errorf("%q passed", bad)
		}
	}
	if _, err := New(Config{}); err == nil {
		t.Error("no address passed")
	}
	if _, err := New(Config{Addrs: []string{"127.0.0.1:8001", "https://host:1/"}}); err != nil {
		t.Error(err)
	}
}

// A lateContext has passed its deadline, and its timer has not fired yet.
type lateContext struct{ context.Context }

func (lateContext) Deadline() (time.Time, bool) { return time.Now().Add(-time.Nanosecond), true }

// TestPastDeadline: a request that there is no time to send was not answered.
func TestPastDeadline(t *testing.T) {
	n := newNode(t, ok("{}"))
	if err := dial(t, Config{}, n).try(lateContext{t.Context()}, n.URL, request{method: "PUT"}, nil, 1); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
	if n.log() != "" {
		t.Errorf("asked %s", n.log())
	}
}

// TestNoTextIsRefused: JSON would carry what is no UTF-8 as something else, so that a put stores, and a cas compares, what nobody gave.
func TestNoTextIsRefused(t *testing.T) {
	n := newNode(t, func(int, *http.Request) (int, string) { return 200, `{"session":"77"}` })
	c := dial(t, Config{}, n)
	bad, good := "\xff", "v"
	for name, call := range map[string]func(key, value string) error{
		"put":     func(key, value string) error { _, err := c.Put(t.Context(), key, value); return err },
		"append":  func(key, value string) error { _, err := c.Append(t.Context(), key, value); return err },
		"cas":     func(key, value string) error { _, err := c.CAS(t.Context(), key, &good, value); return err },
		"cas old": func(key, value string) error { _, err := c.CAS(t.Context(), key, &value, good); return err },
		"get":     func(key, _ string) error { _, err := c.Get(t.Context(), key, ""); return err },
		"delete":  func(key, _ string) error { _, err := c.Delete(t.Context(), key); return err },
	} {
		for want, args := range map[string][2]string{"key: not UTF-8": {bad, good}, "key: empty": {"", good}, "value: not UTF-8": {"k", bad}} {
			if args[1] == bad && (name == "get" || name == "delete") {
				continue // which have none
			}
			var e *Error
			if err := call(args[0], args[1]); !errors.As(err, &e) || e.Status != 400 || e.Outcome != api.Refused || !strings.Contains(e.Message, want) {
				t.Errorf("%s %q: %v, want %s", name, args, err, want)
			}
		}
	}
	if asked := n.log(); asked != "" {
		t.Errorf("asked %s", asked)
	}
}

// TestSilentNodesAreNamed: when none answers, the error says of each what became of it.
func TestSilentNodesAreNamed(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	gone := l.Addr().String()
	l.Close()
	if l, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = io.WriteString(conn, "I speak otherwise\r\n\r\n")
			conn.Close()
		}
	}()
	plain := newNode(t, func(int, *http.Request) (int, string) { return 200, `{}` })
	c, err := New(Config{Addrs: []string{gone, l.Addr().String(), "https://" + plain.Listener.Addr().String()}, Timeout: 300 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.Status(t.Context())
	for _, want := range []string{"no node answers: ", "http://" + gone + ": connection refused", l.Addr().String() + ": what answers there speaks no HTTP: is it the node's http address?", plain.Listener.Addr().String() + ": it serves http://, not https://"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
	var op *net.OpError
	if !errors.As(err, &op) {
		t.Error("the reason is lost")
	}
}
