//go:build unix

package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
)

// Nodes that may open few files serve on, and keep their stores, whoever holds connections open: idle ones, silent ones, and requests of which only half
// arrives, more than there are files; silent ones at the Raft port too.
func TestConnectionsLeaveFilesToTheStore(t *testing.T) {
	const files = 256
	s := newSite(t, 3, 3, "")
	for i := range s.nodes {
		s.nodes[i] = launchUnder(t, files, "node", "--config", s.file, "--id", fmt.Sprint(i+1))
	}
	for _, n := range s.nodes {
		n.line("ready")
	}
	s.ready(0, 1, 2)
	c := s.client(0, 1, 2)
	if _, err := c.Put(t.Context(), "before", "x"); err != nil {
		t.Fatal(err)
	}
	const half = "PUT /v1/kv/half HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
	for i := range s.nodes {
		for n := range files + 44 {
			switch n % 4 {
			case 0:
				hold(t, s.http[i], "")
			case 1:
				hold(t, s.http[i], half)
			case 2:
				hold(t, s.http[i], half+"Content-Length: 100\r\n\r\n{")
			default:
				hold(t, s.http[i], "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
			}
			if n < 50 {
				hold(t, s.raft[i], "")
			}
		}
	}
	// Pebble's first logs are small: this many bytes go through several of them.
	value := strings.Repeat("v", 1<<20)
	for n := range 12 {
		if _, err := c.Put(t.Context(), fmt.Sprintf("big %d", n), value); err != nil {
			t.Fatalf("write %d: %v", n, err)
		}
	}
	for i := range s.nodes {
		if _, err := s.client(i).Get(t.Context(), "big 11", ""); err != nil {
			t.Errorf("node %d: %v", i+1, err)
		}
		eventually(t, fmt.Sprintf("node %d is well", i+1), func() bool { return fetch("http://"+s.http[i]+"/healthz") == http.StatusOK })
	}
	for _, n := range s.nodes {
		n.terminate(graceful)
	}
}

// hold opens a connection that says no more than this, and reads nothing that matters. Whether it is cut off is up to the other side.
func hold(t *testing.T, addr, say string) {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	_, _ = io.WriteString(conn, say) // it may have been cut off already
}

// A node that may not open as many files as its store and its links need says so, and opens nothing.
func TestTooFewFilesAreRefused(t *testing.T) {
	for _, c := range []struct {
		files    int
		settings string
		status   int
		words    string
	}{
		{leastFiles - 1, "", exitFailed, "may have 191 files open at once, and each of its nodes needs 192: raise the limit"},
		{256, "max_connections = 100", exitUsage, "max_connections: 100 leaves too few of the 256 files"},
	} {
		s := newSite(t, 1, 1, c.settings)
		p := launchUnder(t, c.files, "node", "--config", s.file, "--id", "1")
		if status := p.status(patience); status != c.status || !strings.Contains(p.stderr.String(), c.words) {
			t.Errorf("%d files: status %d, %s", c.files, status, &p.stderr)
		}
	}
}
