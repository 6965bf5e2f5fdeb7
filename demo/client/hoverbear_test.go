package client

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/troupe-raft/troupe/demo/api"
)

// propose writes what Hoverbear's client tests propose, and wants what theirs want back.
func propose(t *testing.T, c *Client) error {
	t.Helper()
	out, err := c.Append(t.Context(), "k", "Bears")
	if err == nil && *out.Value != "Foxes" {
		t.Errorf("answered %+v", out)
	}
	return err
}

// foxes is a node that takes a proposal, as theirs do after the preamble: here after opening a session.
func foxes(_ int, r *http.Request) (int, string) {
	if r.URL.Path == "/v1/session" {
		return 200, `{"session":"77"}`
	}
	return 200, `{"index":9,"value":"Foxes"}`
}

const proposal = `POST /v1/kv/k/append {"value":"Bears"} 77/1`

// TestHoverbearClient is the test module of Hoverbear's src/client.rs.
func TestHoverbearClient(t *testing.T) {
	t.Run("test_proposal_success", func(t *testing.T) {
		n := newNode(t, foxes)
		c := dial(t, Config{Addrs: []string{nobody(t)}}, n)
		if err := propose(t, c); err != nil {
			t.Fatal(err)
		}
		if got := n.log(); got != "POST /v1/session  /\n"+proposal {
			t.Errorf("asked %s", got)
		}
		if c.start() != 1 {
			t.Error("the connection that answered is not used again")
		}
	})
	// Nobody knows a leader: an error, and nothing was done. Theirs gives up after one round, this one when its time is up.
	t.Run("test_proposal_unknown_leader", func(t *testing.T) {
		for timeout := 100 * time.Millisecond; ; timeout *= 2 { // as long as this machine needs to ask both
			a, b := newNode(t, refuse(503, api.Refused)), newNode(t, refuse(503, api.Refused))
			err := propose(t, dial(t, Config{Timeout: timeout}, a, b))
			asked := a.log() != "" && b.log() != ""
			var e *Error
			if asked && (!errors.As(err, &e) || e.Status != 503 || e.Outcome != api.Refused) {
				t.Fatalf("%v", err)
			}
			if asked {
				break
			}
			if timeout > 10*time.Second {
				t.Fatal("a node was not asked")
			}
		}
	})
	// Who is not the leader says so, and another node takes the proposal: the same, under the same number.
	t.Run("test_proposal_not_leader", func(t *testing.T) {
		opened := false
		follower := newNode(t, func(count int, r *http.Request) (int, string) {
			if !opened {
				opened = true
				return foxes(count, r)
			}
			return refuse(503, api.Refused)(count, r)
		})
		leader := newNode(t, foxes)
		c := dial(t, Config{}, follower, leader)
		if err := propose(t, c); err != nil {
			t.Fatal(err)
		}
		if !strings.HasSuffix(follower.log(), proposal) || !strings.HasSuffix(leader.log(), proposal) {
			t.Errorf("asked\n%s\nand\n%s", follower.log(), leader.log())
		}
		if c.start() != 1 {
			t.Error("the leader is not asked first from then on")
		}
	})
	// No node can lead the client out of its cluster, where the answer, and the token, would go to a stranger.
	for _, status := range []int{http.StatusMovedPermanently, http.StatusFound, http.StatusTemporaryRedirect, http.StatusPermanentRedirect} {
		t.Run("test_proposal_leader_not_in_cluster/"+http.StatusText(status), func(t *testing.T) {
			outsider := newNode(t, foxes)
			n := newNode(t, nil)
			n.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				n.mu.Lock()
				n.asked = append(n.asked, r.URL.Path)
				n.mu.Unlock()
				http.Redirect(w, r, outsider.URL+r.URL.Path, status)
			})
			err := propose(t, dial(t, Config{Token: "secret", Timeout: 100 * time.Millisecond}, n))
			if err == nil || n.log() == "" {
				t.Errorf("%v after %q", err, n.log())
			}
			if got := outsider.log(); got != "" {
				t.Errorf("followed to an outsider: %s", got)
			}
		})
	}
}
