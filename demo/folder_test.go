package main

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// freshCluster launches a cluster of three in a folder of its own, which is made in temp.
func freshCluster(t *testing.T, temp string, addrs ...string) *process {
	t.Helper()
	cmd := exec.Command(demoBinary(t), append([]string{"cluster"}, addrs...)...)
	cmd.Env = append(os.Environ(), "TMPDIR="+temp)
	return follow(t, nil, cmd, addrs)
}

func wantEmpty(t *testing.T, dir string) {
	t.Helper()
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("left behind in %s: %v, %v", dir, left, err)
	}
}

// TestFreshFolderGoes: a cluster's temporary folder goes with it, when it is stopped and when it cannot start, be it for its last node's address.
func TestFreshFolderGoes(t *testing.T) {
	t.Run("stopped", func(t *testing.T) {
		temp := t.TempDir()
		p := freshCluster(t, temp, "--http", "127.0.0.1:0", "--raft", "127.0.0.1:0")
		if folder := strings.TrimPrefix(p.line("data "), "data "); filepath.Dir(folder) != temp {
			t.Errorf("data %s", folder)
		}
		p.line("ready node=3")
		p.terminate(syscall.SIGINT)
		wantEmpty(t, temp)
	})
	for _, flag := range []string{"--http", "--raft"} {
		t.Run(strings.TrimPrefix(flag, "--")+" in use", func(t *testing.T) {
			base, l := lastInUse(t, 3)
			defer l.Close()
			temp, other := t.TempDir(), "--raft"
			if flag == other {
				other = "--http"
			}
			p := freshCluster(t, temp, flag, base, other, "127.0.0.1:0")
			if status := p.status(patience); status != exitFailed {
				t.Errorf("exit status %d", status)
			}
			said := p.stderr.String()
			if !strings.Contains(said, l.Addr().String()) || !strings.Contains(said, "another process listens there: stop it, or name another address\n") {
				t.Errorf("it said %s", said)
			}
			for line := range p.lines {
				t.Errorf("nothing runs, but it printed %q", line)
			}
			wantEmpty(t, temp)
		})
	}
}

// lastInUse returns an address such that the last of so many on consecutive ports, of which the others were free a moment ago, is in use by l.
func lastInUse(t *testing.T, n int) (base string, l net.Listener) {
	t.Helper()
	for range 100 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		first, free := l.Addr().(*net.TCPAddr).Port-n+1, true
		for port := first; free && port < first+n-1; port++ {
			before, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
			if free = err == nil; free {
				before.Close()
			}
		}
		if free {
			return fmt.Sprintf("127.0.0.1:%d", first), l
		}
		l.Close()
	}
	t.Fatal("no free ports beside each other")
	return "", nil
}
