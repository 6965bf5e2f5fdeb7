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

// brokenPipe is where nobody can read any more.
func brokenPipe(t *testing.T) *os.File {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.Close() })
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	return w
}

// Whoever reads the log may end, and a cluster whose nodes all write to that goes on.
func TestStderrWhoseReaderHasGone(t *testing.T) {
	servesWithout(t, brokenPipe)
}

// A stderr that nobody reads, and a log that is full of details, hold nobody up: the cluster starts, takes writes, and stops in time.
func TestStderrThatNobodyReads(t *testing.T) {
	servesWithout(t, fullPipe)
}

// servesWithout demands that a cluster starts, takes writes and stops in time, with such a stderr and a log full of details.
func servesWithout(t *testing.T, stderr func(*testing.T) *os.File) {
	t.Helper()
	t.Setenv("TROUPE_LOG", "debug")
	s := newSite(t, 3, 3, "")
	for i := range s.nodes {
		s.nodes[i] = launchTo(t, stderr(t), "node", "--config", s.file, "--id", []string{"1", "2", "3"}[i])
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
