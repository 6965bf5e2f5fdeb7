package main

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/troupe-raft/troupe/demo/client"
)

// large is a value of nearly the greatest size.
var large = strings.Repeat("v", 1_000_000)

// fill writes large values until a condition holds.
func fill(t *testing.T, c *client.Client, what string, holds func() bool) {
	t.Helper()
	n := 0
	eventually(t, what, func() bool {
		if holds() {
			return true
		}
		n++
		if _, err := c.Put(t.Context(), fmt.Sprint("large", n%8), large); err != nil {
			t.Fatal(err)
		}
		return false
	})
}

// A node whose disk has no room any more ends, with the reason, so that whoever supervises it starts it again; and then it is as good as before.
func TestNodeEndsWithItsReplica(t *testing.T) {
	s := newSite(t, 3, 3, "")
	s.start(1, 2)
	const limit = 20_000 // files of 512 bytes each: what a disk without room is to whoever writes a file
	script := fmt.Sprintf(`ulimit -f %d && exec "$0" "$@"`, limit)
	args := []string{"node", "--config", s.file, "--id", "1"}
	s.nodes[0] = follow(t, nil, exec.Command("sh", append([]string{"-c", script, demoBinary(t)}, args...)...), args)
	s.nodes[0].line("ready")
	s.ready(0, 1, 2)
	ended := func() bool {
		select {
		case <-s.nodes[0].exited:
			return true
		default:
			return false
		}
	}
	fill(t, s.client(1, 2), "the node ends", ended)
	if status := s.nodes[0].status(time.Second); status != exitFailed {
		t.Errorf("exit status %d", status)
	}
	lines := strings.Split(strings.TrimSpace(s.nodes[0].stderr.String()), "\n")
	if last := lines[len(lines)-1]; !strings.HasPrefix(last, "demo: node 1: ") || strings.Count(last, "file too large") != 1 {
		t.Errorf("its last words: %s", last)
	}
	if words := s.nodes[0].stderr.String(); strings.Count(words, "\ndemo: ") != 1 {
		t.Errorf("it does not end with one line:\n%s", words)
	}
	s.start(0)
	s.ready(0)
}

// Of a cluster in one process the others go on, and the node says that it is down: it is not healthy, and has nothing to be read.
func TestClusterGoesOnWithoutAReplica(t *testing.T) {
	dir := t.TempDir()
	free := ports(t, 6)
	text := fmt.Sprintf("data = %q\n", filepath.Join(dir, "data"))
	for i := range 3 {
		text += fmt.Sprintf("[[node]]\nid = %d\nraft = %q\nhttp = %q\n", i+1, free[i], free[3+i])
	}
	file := filepath.Join(dir, "cluster.toml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	p := launch(t, "cluster", "--config", file)
	s := &site{t: t, dir: dir, http: free[3:]}
	for range 3 {
		p.line("ready")
	}
	s.ready(0, 1, 2)
	if _, err := s.client(1, 2).Put(t.Context(), "k", "v"); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(s.folder(0)); err != nil { // the next file that its store wants to make is the end of it
		t.Fatal(err)
	}
	down := func() bool { return fetch("http://"+s.http[0]+"/healthz") == http.StatusServiceUnavailable }
	fill(t, s.client(1, 2), "node 1 is not healthy", down)
	for _, path := range []string{"/healthz", "/v1/kv/k?read=stale", "/v1/kv?read=stale", "/v1/kv/k"} {
		if status, words := fetchBody(t, "http://"+s.http[0]+path); status != http.StatusServiceUnavailable || !strings.Contains(words, "no such file or directory") {
			t.Errorf("%s: %d, %.300s", path, status, words)
		}
	}
	if out, err := s.client(1, 2).Get(t.Context(), "k", ""); err != nil || out.Value != "v" {
		t.Errorf("the others: %+v, %v", out, err)
	}
	if err := p.cmd.Process.Signal(graceful); err != nil {
		t.Fatal(err)
	}
	if status := p.status(5 * time.Second); status != exitFailed {
		t.Errorf("exit status %d", status)
	}
	if words := p.stderr.String(); !strings.Contains(words, "replica failed") {
		t.Errorf("nothing is logged:\n%s", words)
	}
}

func fetchBody(t *testing.T, url string) (status int, body string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), "GET", url, nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(text)
}
