package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/troupe-raft/troupe/demo/api"
)

// rewrite changes the site's file: the addresses of some nodes, by index, are other free ones, and settings are added.
func (s *site) rewrite(settings string, which ...int) {
	s.t.Helper()
	text, err := os.ReadFile(s.file)
	if err != nil {
		s.t.Fatal(err)
	}
	// Ports that stopped nodes had are free, and may be drawn again: the file names none twice.
	free := slices.DeleteFunc(ports(s.t, 2*len(which)+2*len(s.raft)), func(addr string) bool { return slices.Contains(slices.Concat(s.raft, s.http), addr) })
	for _, i := range which {
		text = bytes.ReplaceAll(text, []byte(s.raft[i]), []byte(free[0]))
		text = bytes.ReplaceAll(text, []byte(s.http[i]), []byte(free[1]))
		s.raft[i], s.http[i], free = free[0], free[1], free[2:]
	}
	if err := os.WriteFile(s.file, append([]byte(settings+"\n"), text...), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

// placed waits until nodes, by index, have all nodes where they are.
func (s *site) placed(which ...int) {
	s.t.Helper()
	for _, i := range which {
		c := s.client(i)
		eventually(s.t, fmt.Sprintf("node %d has all addresses", i+1), func() bool {
			status, err := c.Status(s.t.Context())
			if err != nil || len(status.Members) != len(s.raft) {
				return false
			}
			for _, m := range status.Members {
				if m.Raft != s.raft[m.ID-1] || m.HTTP != s.http[m.ID-1] {
					return false
				}
			}
			return true
		})
	}
}

// TestNodesMove: nodes are started at other addresses, which their file has, one, then all: the file's name made of the addresses changes with them, and
// nobody has to do anything else. Each says once what differs.
func TestNodesMove(t *testing.T) {
	s := newSite(t, 3, 3, "")
	s.start(0, 1, 2)
	s.ready(0, 1, 2)
	put := func(i int, value string) {
		t.Helper()
		if _, err := s.client(i).Put(t.Context(), "k", value); err != nil {
			t.Fatal(err)
		}
	}
	put(0, "a")
	moved := (s.leader(0) + 1) % 3
	s.nodes[moved].terminate(graceful)
	s.rewrite("", moved)
	s.start(moved) // the others know nothing of it
	s.ready(0, 1, 2)
	s.placed(0, 1, 2)
	put(moved, "b")

	for i := range 3 {
		s.nodes[i].terminate(graceful)
	}
	s.rewrite("", 0, 1, 2)
	s.start(0, 1, 2)
	s.ready(0, 1, 2)
	s.placed(0, 1, 2)
	for i := range 3 {
		if got, err := s.client(i).Get(t.Context(), "k", ""); err != nil || got.Value != "b" {
			t.Errorf("node %d: %+v, %v", i+1, got, err)
		}
	}
	for i := range 3 {
		s.nodes[i].terminate(graceful)
		for _, want := range []string{"the log has a node at other addresses than the file", "--force-addresses", `keep it for nodes with new folders, too, by the line cluster = `} {
			if !strings.Contains(s.nodes[i].stderr.String(), want) {
				t.Errorf("node %d does not say %q:\n%s", i+1, want, s.nodes[i].stderr.String())
			}
		}
	}
}

// TestAddressesAreForced: with follow_addresses off the log keeps its word until an operator corrects it; the file's counts meanwhile where that is forced.
func TestAddressesAreForced(t *testing.T) {
	s := newSite(t, 3, 3, `cluster = "moving"`)
	s.start(0, 1, 2)
	s.ready(0, 1, 2)
	for i := range 3 {
		s.nodes[i].terminate(graceful)
	}
	s.rewrite("follow_addresses = false", 0, 1, 2)
	for i := range 3 {
		s.nodes[i] = launch(t, "node", "--config", s.file, "--id", fmt.Sprint(i+1), "--force-addresses")
	}
	s.ready(0, 1, 2)
	for i := range 3 {
		eventually(t, fmt.Sprintf("node %d is known to be there", i+1), func() bool { // of the leader its followers have to say so
			_, err := s.client(s.leader(0)).ChangeMembers(t.Context(), api.Change{Address: &api.Address{ID: uint64(i + 1), Raft: s.raft[i], HTTP: s.http[i]}})
			return err == nil
		})
	}
	s.placed(0, 1, 2)
}

// TestFolderNamesItsCluster: a node that leaves the file, after its removal, makes no node refuse its folder; a name in the file that is not the folder's does, and the
// refusal has the line that repairs it.
func TestFolderNamesItsCluster(t *testing.T) {
	s := newSite(t, 3, 3, "")
	s.start(0, 1, 2)
	s.ready(0, 1, 2)
	three := uint64(3)
	if _, err := s.client(0).ChangeMembers(t.Context(), api.Change{Remove: &three}); err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		s.nodes[i].terminate(graceful)
	}
	text, err := os.ReadFile(s.file)
	if err != nil {
		t.Fatal(err)
	}
	less := text[:bytes.LastIndex(text, []byte("[[node]]"))]
	if err := os.WriteFile(s.file, less, 0o600); err != nil {
		t.Fatal(err)
	}
	s.start(0, 1)
	s.ready(0, 1)
	for i := range 2 {
		s.nodes[i].terminate(graceful)
	}
	if err := os.WriteFile(s.file, append([]byte("cluster = \"other\"\n"), less...), 0o600); err != nil {
		t.Fatal(err)
	}
	p := launch(t, "node", "--config", s.file, "--id", "1")
	if code := p.status(patience); code != exitFailed {
		t.Errorf("exit status %d", code)
	}
	for _, want := range []string{`not to cluster "other"`, `cluster = "demo-`, filepath.Join("data", "1")} {
		if !strings.Contains(p.stderr.String(), want) {
			t.Errorf("it does not say %q: %s", want, p.stderr.String())
		}
	}
}

// TestSetAddr: ctl says where a node is.
func TestSetAddr(t *testing.T) {
	s := newSite(t, 3, 3, "follow_addresses = false")
	s.start(0, 1, 2)
	s.ready(0, 1, 2)
	moved := (s.leader(0) + 1) % 3
	id := fmt.Sprint(moved + 1)
	other := "http://" + s.http[(moved+1)%3]
	refused := launch(t, "ctl", "--addr", other, "set-addr", id, "127.0.0.1:1", "127.0.0.1:2")
	if code := refused.status(patience); code != exitFailed || !strings.Contains(refused.stderr.String(), "stop it first") {
		t.Errorf("exit status %d: %s", code, refused.stderr.String())
	}
	s.nodes[moved].terminate(graceful)
	s.rewrite("", moved)
	eventually(t, "it is taken once the node is silent", func() bool {
		return launch(t, "ctl", "--addr", other, "set-addr", id, s.raft[moved], s.http[moved]).status(patience) == 0
	})
	s.start(moved)
	s.ready(0, 1, 2)
	s.placed(0, 1, 2)
}
