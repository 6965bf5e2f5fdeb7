package main

import (
	"bytes"
	"errors"
	"os"
	"testing"
	"time"
)

// fullPipe is where nobody reads: whoever writes there waits, however little it is.
func fullPipe(t *testing.T) *os.File {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close(); w.Close() })
	for chunk := bytes.Repeat([]byte("x"), 4096); err == nil; {
		if err = w.SetWriteDeadline(time.Now().Add(20 * time.Millisecond)); err == nil {
			_, err = w.Write(chunk)
		}
	}
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatal(err)
	}
	return w
}

// A stderr that nobody reads, and a log that is full of details, hold nobody up: the cluster starts, takes writes, and stops in time.
func TestStderrThatNobodyReads(t *testing.T) {
	t.Setenv("TROUPE_LOG", "debug")
	s := newSite(t, 3, 3, "")
	for i := range s.nodes {
		s.nodes[i] = launchTo(t, fullPipe(t), "node", "--config", s.file, "--id", []string{"1", "2", "3"}[i])
	}
	for _, p := range s.nodes {
		p.line("ready")
	}
	s.ready(0, 1, 2)
	if _, err := s.client(0, 1, 2).Append(t.Context(), "k", "v"); err != nil {
		t.Fatal(err)
	}
	for _, p := range s.nodes {
		p.terminate(graceful)
	}
}
