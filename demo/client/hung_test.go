package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-raft/troupe/demo/api"
)

// A hanging cluster has nodes that take requests and never answer; the others answer at once. It implements http.RoundTripper.
type hanging struct {
	hung  []string
	late  []string // these refuse when the time that they are given is over
	began time.Time
	asked []string // who, and when
}

func (h *hanging) RoundTrip(r *http.Request) (*http.Response, error) {
	h.asked = append(h.asked, fmt.Sprintf("%s %v", r.URL.Hostname(), time.Since(h.began)))
	if slices.Contains(h.hung, r.URL.Hostname()) {
		<-r.Context().Done()
		return nil, r.Context().Err()
	}
	status, body := 200, `{"session":"7","value":"v"}`
	if slices.Contains(h.late, r.URL.Hostname()) {
		wait, err := time.ParseDuration(r.Header.Get(api.HeaderTimeout))
		if err != nil {
			return nil, err
		}
		select {
		case <-time.After(wait + 10*time.Millisecond): // its answer travels
		case <-r.Context().Done():
			return nil, r.Context().Err()
		}
		status, body = 503, `{"error":"no leader within the deadline","outcome":"refused"}`
	}
	return &http.Response{StatusCode: status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body)), Request: r}, nil
}

// ask makes a call, in time that passes when all wait, and says how long it took.
func (h *hanging) ask(t *testing.T, timeout time.Duration, call func(context.Context, *Client) error) (took time.Duration, err error) {
	c, wrong := New(Config{Addrs: []string{"a:1", "b:1", "c:1"}, Timeout: timeout})
	if wrong != nil {
		t.Fatal(wrong)
	}
	c.http.Transport = h
	h.began, h.asked = time.Now(), nil
	err = call(t.Context(), c)
	return time.Since(h.began), err
}

// repeatable are the calls that may be sent again.
var repeatable = map[string]func(context.Context, *Client) error{
	"get":      func(ctx context.Context, c *Client) error { _, err := c.Get(ctx, "k", ""); return err },
	"put":      func(ctx context.Context, c *Client) error { _, err := c.Put(ctx, "k", "v"); return err },
	"append":   func(ctx context.Context, c *Client) error { _, err := c.Append(ctx, "k", "v"); return err },
	"cas":      func(ctx context.Context, c *Client) error { _, err := c.CAS(ctx, "k", nil, "v"); return err },
	"delete":   func(ctx context.Context, c *Client) error { _, err := c.Delete(ctx, "k"); return err },
	"status":   func(ctx context.Context, c *Client) error { _, err := c.Status(ctx); return err },
	"log":      func(ctx context.Context, c *Client) error { _, err := c.Log(ctx, 1, 2); return err },
	"transfer": func(ctx context.Context, c *Client) error { return c.Transfer(ctx, 2) },
	"snapshot": func(ctx context.Context, c *Client) error { _, err := c.Snapshot(ctx); return err },
}

// TestHungNodesLeaveTimeForOthers: what may be sent again gets to the node that answers, be it the last, however little time there is.
func TestHungNodesLeaveTimeForOthers(t *testing.T) {
	for name, call := range repeatable {
		for _, timeout := range []time.Duration{time.Second, 3 * time.Second, 4 * time.Second, 6 * time.Second, 10 * time.Second, time.Minute} {
			synctest.Test(t, func(t *testing.T) {
				h := &hanging{hung: []string{"a", "b"}}
				if took, err := h.ask(t, timeout, call); err != nil || took > timeout {
					t.Errorf("%s within %v: %v after %v, asked %v", name, timeout, err, took, h.asked)
				}
			})
		}
	}
}

// TestTimeIsDivided among the nodes that were not asked in this round, and who was not asked is not called silent.
func TestTimeIsDivided(t *testing.T) {
	for _, test := range []struct {
		timeout time.Duration
		asked   string
		named   []string
	}{
		{3 * time.Second, "[a 0s b 1s c 2s]", []string{"http://a:1", "http://b:1", "http://c:1"}},
		{600 * time.Millisecond, "[a 0s b 300ms]", []string{"http://a:1", "http://b:1"}},
		{200 * time.Millisecond, "[a 0s]", []string{"http://a:1"}},
	} {
		synctest.Test(t, func(t *testing.T) {
			h := &hanging{hung: []string{"a", "b", "c"}}
			took, err := h.ask(t, test.timeout, repeatable["status"])
			if fmt.Sprint(h.asked) != test.asked || took != test.timeout {
				t.Errorf("%v: asked %v in %v, want %s", test.timeout, h.asked, took, test.asked)
			}
			want := "no node answers: " + strings.Join(test.named, ": no answer in time, ") + ": no answer in time"
			if err == nil || err.Error() != want {
				t.Errorf("%v: %v, want %s", test.timeout, err, want)
			}
		})
	}
}

// TestOnceOnlyHasAllTheTime: what may not be sent again gains nothing when its node is given less.
func TestOnceOnlyHasAllTheTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &hanging{hung: []string{"a"}}
		took, err := h.ask(t, 3*time.Second, func(ctx context.Context, c *Client) error { _, err := c.ChangeMembers(ctx, api.Change{}); return err })
		var e *Error
		if fmt.Sprint(h.asked) != "[a 0s]" || took != 3*time.Second || !errors.As(err, &e) || e.Outcome != api.Unknown {
			t.Errorf("asked %v in %v: %v", h.asked, took, err)
		}
	})
}

// TestNobodyWasAsked when the time was up before.
func TestNobodyWasAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &hanging{}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		time.Sleep(time.Second)
		_, err := h.ask(t, time.Second, func(_ context.Context, c *Client) error { _, err := c.Status(ctx); return err })
		if len(h.asked) > 0 || !errors.Is(err, context.DeadlineExceeded) || err.Error() != "no node was asked: the time was up" {
			t.Errorf("asked %v: %v", h.asked, err)
		}
	})
}

// TestLateRefusalIsHeard: a node that knows no leader says so when the time that it was given is over, in time for another to be asked.
func TestLateRefusalIsHeard(t *testing.T) {
	for _, timeout := range []time.Duration{200 * time.Millisecond, 800 * time.Millisecond, 10 * time.Second} {
		synctest.Test(t, func(t *testing.T) {
			h := &hanging{late: []string{"a"}}
			if _, err := h.ask(t, timeout, func(ctx context.Context, c *Client) error { _, err := c.ChangeMembers(ctx, api.Change{}); return err }); err != nil {
				t.Errorf("%v: %v, asked %v", timeout, err, h.asked)
			}
			h.late = []string{"a", "b", "c"}
			var said *Error
			if _, err := h.ask(t, timeout, repeatable["transfer"]); !errors.As(err, &said) || said.Outcome != api.Refused {
				t.Errorf("%v: %v, want what the nodes said", timeout, err)
			}
		})
	}
}

// TestWithoutASessionNothingIsWritten: that nobody knows whether a session was opened leaves no doubt of the write.
func TestWithoutASessionNothingIsWritten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &hanging{hung: []string{"a", "b", "c"}}
		_, err := h.ask(t, 3*time.Second, repeatable["put"])
		var e *Error
		if !errors.As(err, &e) || e.Outcome != api.Refused || strings.Contains(err.Error(), "may or may not") || !strings.Contains(err.Error(), "nothing was written") {
			t.Errorf("asked %v: %v", h.asked, err)
		}
	})
}
