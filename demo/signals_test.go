//go:build unix

package main

import (
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// stuckStop bounds the wait for a process that ends by its own deadline, of five seconds.
const stuckStop = 20 * time.Second

// stuckStart launches a node whose folder never answers: its IDENTITY is a pipe that nobody writes to. It returns once the node is about to open it.
func stuckStart(t *testing.T, stderr func(*testing.T) *os.File) *process {
	t.Helper()
	s := newSite(t, 1, 1, "")
	if err := os.MkdirAll(s.folder(0), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(filepath.Join(s.folder(0), "IDENTITY"), 0o600); err != nil {
		t.Fatal(err)
	}
	args := []string{"node", "--config", s.file, "--id", "1"}
	var p *process
	if stderr != nil {
		p = launchTo(t, stderr(t), args...)
	} else {
		p = launch(t, args...)
	}
	eventually(t, "it has taken its HTTP address", func() bool {
		c, err := net.Dial("tcp", s.http[0])
		if err == nil {
			c.Close()
		}
		return err == nil
	})
	return p
}

// A signal is heeded while a node starts on a disk that does not answer, and a second one ends it at once, whatever stderr does.
func TestSignalsWhileStarting(t *testing.T) {
	for _, c := range []struct {
		name    string
		stderr  func(*testing.T) *os.File
		signals []os.Signal
		late    bool // it ends by its deadline
	}{
		{"one", nil, []os.Signal{syscall.SIGTERM}, true},
		{"one, a stderr that nobody reads", fullPipe, []os.Signal{syscall.SIGINT}, true},
		// Both reach the process together, while it is stopped.
		{"two", nil, []os.Signal{syscall.SIGSTOP, syscall.SIGTERM, syscall.SIGINT, syscall.SIGCONT}, false},
		{"two, a stderr that nobody reads", fullPipe, []os.Signal{syscall.SIGSTOP, syscall.SIGTERM, syscall.SIGINT, syscall.SIGCONT}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			p := stuckStart(t, c.stderr)
			for _, signal := range c.signals {
				if err := p.cmd.Process.Signal(signal); err != nil {
					t.Fatal(err)
				}
			}
			if status := p.status(stuckStop); status != exitFailed {
				t.Errorf("exit status %d", status)
			}
			if late := strings.Contains(p.stderr.String(), "demo: did not stop in time"); c.stderr == nil && late != c.late {
				t.Errorf("ended by its deadline: %t", late)
			}
		})
	}
}

// A node whose start is ended by a signal, while it reads its log, stops as one that runs does.
func TestSignalEndsTheWaitForTheLog(t *testing.T) {
	s := newSite(t, 3, 3, "")
	s.nodes[0] = launch(t, "node", "--config", s.file, "--id", "1")
	eventually(t, "it begins", func() bool {
		_, err := os.Stat(filepath.Join(s.folder(0), "IDENTITY"))
		return err == nil
	})
	s.nodes[0].terminate(graceful)
}

// Nobody has to read a node's stdout for it to serve and to stop.
func TestStdoutThatNobodyReads(t *testing.T) {
	s := newSite(t, 1, 1, "")
	cmd := exec.Command(demoBinary(t), "node", "--config", s.file, "--id", "1")
	cmd.Stdout = fullPipe(t)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cmd.Process.Kill() }()
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	eventually(t, "it serves", func() bool { return fetch("http://"+s.http[0]+"/readyz") == http.StatusOK })
	if err := cmd.Process.Signal(graceful); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-ended:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(patience):
		t.Error("it does not end")
	}
}
