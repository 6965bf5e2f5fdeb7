package client

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/troupe-raft/troupe/demo/api"
)

// keyPath is the path of a key, which stays one segment whatever it holds.
func keyPath(key string) string {
	if key == "." || key == ".." {
		return "/v1/kv/" + strings.ReplaceAll(key, ".", "%2E")
	}
	return "/v1/kv/" + url.PathEscape(key)
}

// check refuses what no node takes: an empty key, and text that JSON would carry as something else.
func check(key string, values ...string) error {
	refused := func(words string) error {
		return &Error{Status: http.StatusBadRequest, Message: words, Outcome: api.Refused}
	}
	if key == "" {
		return refused("key: empty: a key has one byte at least")
	}
	if !utf8.ValidString(key) {
		return refused("key: not UTF-8")
	}
	for _, value := range values {
		if !utf8.ValidString(value) {
			return refused("value: not UTF-8")
		}
	}
	return nil
}

// IsNotFound reports whether an error says that there is no such key.
func IsNotFound(err error) bool {
	var e *Error
	return errors.As(err, &e) && e.Status == http.StatusNotFound
}

// Get reads a key. read is linearizable, lease or stale; empty: linearizable. A missing key is an error; see IsNotFound.
func (c *Client) Get(ctx context.Context, key, read string) (out api.Value, err error) {
	if err := check(key); err != nil {
		return out, err
	}
	path := keyPath(key)
	if read != "" {
		path += "?read=" + url.QueryEscape(read)
	}
	return out, c.do(ctx, request{method: "GET", path: path, out: &out, safe: true})
}

// Put sets a key.
func (c *Client) Put(ctx context.Context, key, value string) (out api.Index, err error) {
	if err := check(key, value); err != nil {
		return out, err
	}
	return out, c.write(ctx, request{method: "PUT", path: keyPath(key), in: api.Write{Value: value}, out: &out})
}

// Append adds to a key's value.
func (c *Client) Append(ctx context.Context, key, value string) (out api.Appended, err error) {
	if err := check(key, value); err != nil {
		return out, err
	}
	return out, c.write(ctx, request{method: "POST", path: keyPath(key) + "/append", in: api.Write{Value: value}, out: &out})
}

// CAS sets a key if its value is the expected one; nil: if it is missing.
func (c *Client) CAS(ctx context.Context, key string, expect *string, value string) (out api.Swapped, err error) {
	values := []string{value}
	if expect != nil {
		values = append(values, *expect)
	}
	if err := check(key, values...); err != nil {
		return out, err
	}
	return out, c.write(ctx, request{method: "POST", path: keyPath(key) + "/cas", in: api.Swap{Expect: expect, Value: value}, out: &out})
}

// Delete removes a key.
func (c *Client) Delete(ctx context.Context, key string) (out api.Deleted, err error) {
	if err := check(key); err != nil {
		return out, err
	}
	return out, c.write(ctx, request{method: "DELETE", path: keyPath(key), out: &out})
}

// write sends a write within the session, which it opens first if there is none. After an error the session is given
// up: the number of a write whose outcome is unknown must not be used for another one.
func (c *Client) write(ctx context.Context, q request) error {
	c.writing.Lock()
	defer c.writing.Unlock()
	ctx, cancel := context.WithTimeout(ctx, c.cfg.Timeout) // of both
	defer cancel()
	if c.session == "" {
		var opened api.Session
		// A session whose opening was not heard of expires unused.
		if err := c.do(ctx, request{method: "POST", path: "/v1/session", out: &opened, safe: true}); err != nil {
			return unopened(err)
		}
		c.session, c.seq = opened.Session, 0
	}
	c.seq++
	q.session, q.seq, q.safe = c.session, c.seq, true
	err := c.do(ctx, q)
	if err != nil {
		c.session = ""
	}
	return err
}

// unopened is why a write was never sent: whatever became of its session, nothing was written.
func unopened(err error) error {
	var said *Error
	if !errors.As(err, &said) || said.Outcome != api.Unknown {
		return err
	}
	told := *said
	told.Message, told.Outcome = "nothing was written, as no session could be opened for it: "+said.Message, api.Refused
	return &told
}

// Close ends the session, if one is open. The client may be used again.
func (c *Client) Close(ctx context.Context) error {
	c.writing.Lock()
	defer c.writing.Unlock()
	defer c.http.CloseIdleConnections()
	if c.session == "" {
		return nil
	}
	session := c.session
	c.session = ""
	return c.do(ctx, request{method: "DELETE", path: "/v1/session", session: session, safe: true})
}

// Status asks one node how it sees the cluster.
func (c *Client) Status(ctx context.Context) (out api.Status, err error) {
	return out, c.do(ctx, request{method: "GET", path: "/v1/status", out: &out, safe: true})
}

// Log reads one node's log from one index to another, both included. A long answer is cut: it goes on behind its Last, until there are no entries.
func (c *Client) Log(ctx context.Context, from, to uint64) (out api.Log, err error) {
	path := "/v1/log?from=" + strconv.FormatUint(from, 10) + "&to=" + strconv.FormatUint(to, 10)
	return out, c.do(ctx, request{method: "GET", path: path, out: &out, safe: true})
}

// Transfer hands leadership to a node and returns once it leads.
func (c *Client) Transfer(ctx context.Context, to uint64) error {
	return c.do(ctx, request{method: "POST", path: "/v1/transfer", in: api.Transfer{To: to}, safe: true})
}

// ChangeMembers changes the membership and returns once the change is committed.
func (c *Client) ChangeMembers(ctx context.Context, change api.Change) (out api.Membership, err error) {
	return out, c.do(ctx, request{method: "POST", path: "/v1/members", in: change, out: &out})
}

// Snapshot makes one node take a snapshot.
func (c *Client) Snapshot(ctx context.Context) (out api.Index, err error) {
	return out, c.do(ctx, request{method: "POST", path: "/v1/snapshot", out: &out, safe: true})
}
