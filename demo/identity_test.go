package main

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/troupe-raft/troupe/demo/api"
	"github.com/troupe-raft/troupe/demo/client"
)

func (s *site) folder(i int) string { return filepath.Join(s.dir, "data", fmt.Sprint(i+1)) }

// place puts a copy of a folder in the place of another.
func place(t *testing.T, from, to string) {
	t.Helper()
	if err := errors.Join(os.RemoveAll(to), os.CopyFS(to, os.DirFS(from))); err != nil {
		t.Fatal(err)
	}
}

// shunned waits until a node and the given others say that it is not who they know, and that it can be readmitted.
func (s *site) shunned(i int, by ...int) {
	s.t.Helper()
	remedy := fmt.Sprintf("ctl readmit %d", i+1)
	for _, j := range append(by, i) {
		eventually(s.t, fmt.Sprintf("node %d says what node %d is", j+1, i+1), func() bool {
			status, err := s.client(j).Status(s.t.Context())
			m := memberOf(status, uint64(i+1))
			return err == nil && m != nil && strings.Contains(m.Trouble, remedy) && (j != i || strings.Contains(status.Error, remedy))
		})
	}
	if code := fetch("http://" + s.http[i] + "/readyz"); code != http.StatusServiceUnavailable {
		s.t.Errorf("readyz of node %d: %d", i+1, code)
	}
}

// leaderless wants two nodes to elect nobody, although they are two of three.
func (s *site) leaderless(i, j int) {
	s.t.Helper()
	<-time.After(1500 * time.Millisecond) // nothing happens that could be waited for
	for _, k := range []int{i, j} {
		if status, err := s.client(k).Status(s.t.Context()); err != nil || status.Role == "leader" || status.Leader == uint64(i+1) || status.Leader == uint64(j+1) {
			s.t.Errorf("node %d: %+v, %v", k+1, status, err)
		}
	}
}

// others are who leads by now, and the third node: on a slow machine leadership may have moved since.
func (s *site) others(lost int) (leader, third int) {
	s.t.Helper()
	leader = s.leader((lost + 1) % 3)
	return leader, 3 - lost - leader
}

// readmit lets a node back in, as a learner, and promotes it.
func (s *site) readmit(i int, by int) {
	s.t.Helper()
	id := uint64(i + 1)
	var m api.Membership
	eventually(s.t, "it is let in", func() (done bool) {
		var err error
		m, err = s.client(by).ChangeMembers(s.t.Context(), api.Change{Readmit: &id})
		if err != nil && !strings.Contains(err.Error(), "has not called") { // as it has where the leader has just started
			s.t.Fatal(err)
		}
		return err == nil
	})
	for _, seat := range m.Members {
		if seat.Voter == (seat.ID == id) {
			s.t.Errorf("readmitted as %+v", m)
		}
	}
	eventually(s.t, "it is promoted", func() bool {
		_, err := s.client(by).ChangeMembers(s.t.Context(), api.Change{Promote: &id})
		var refused *client.Error
		if err != nil && (!errors.As(err, &refused) || refused.Status != http.StatusConflict) {
			s.t.Fatal(err)
		}
		return err == nil
	})
	s.ready(i)
}

// lost is what the leader, and two followers, are by index.
func (s *site) roles() (leader, lost, third int) {
	s.t.Helper()
	s.start(0, 1, 2)
	s.ready(0, 1, 2)
	if _, err := s.client(0, 1, 2).Put(s.t.Context(), "k", "v"); err != nil {
		s.t.Fatal(err)
	}
	leader = s.leader(0)
	return leader, (leader + 1) % 3, (leader + 2) % 3
}

// TestWipedNode: a node that was started on an emptied folder has no vote; two of three nodes, one of which it is, elect nobody and lose nothing.
func TestWipedNode(t *testing.T) {
	s := newSite(t, 3, 3, `cluster = "named"`)
	leader, lost, third := s.roles()
	s.nodes[lost].terminate(graceful)
	if err := os.RemoveAll(s.folder(lost)); err != nil {
		t.Fatal(err)
	}
	s.start(lost)
	s.shunned(lost, leader, third)
	leader, third = s.others(lost)
	id := uint64(third + 1)
	if _, err := s.client(leader).ChangeMembers(t.Context(), api.Change{Readmit: &id}); err == nil || !strings.Contains(err.Error(), "cannot be readmitted") {
		t.Errorf("a node that takes part: %v", err)
	}
	s.nodes[leader].kill()
	s.leaderless(lost, third)
	s.start(leader)
	s.readmit(lost, leader)
	s.nodes[third].kill()
	if out, err := s.client(lost).Get(t.Context(), "k", ""); err != nil || out.Value != "v" {
		t.Errorf("%+v, %v", out, err)
	}
}

// TestOlderCopyOfANode: the same for one that was started on a copy of its folder from before its last start.
func TestOlderCopyOfANode(t *testing.T) {
	s := newSite(t, 3, 3, `cluster = "named"`)
	leader, lost, third := s.roles()
	copied := filepath.Join(s.dir, "copy")
	s.nodes[lost].terminate(graceful)
	place(t, s.folder(lost), copied)
	s.start(lost)
	s.ready(lost)
	if _, err := s.client(leader).Put(t.Context(), "k", "w"); err != nil {
		t.Fatal(err)
	}
	s.nodes[lost].terminate(graceful)
	place(t, copied, s.folder(lost))
	s.start(lost)
	s.shunned(lost, leader, third)
	leader, third = s.others(lost)
	s.nodes[leader].kill()
	s.leaderless(lost, third)
	s.start(leader)
	s.readmit(lost, leader)
	s.nodes[third].kill()
	if out, err := s.client(lost).Get(t.Context(), "k", ""); err != nil || out.Value != "w" {
		t.Errorf("%+v, %v", out, err)
	}
}

// TestCloneOfANode: a copy of a node's folder that is started beside it, elsewhere, takes no part; the node does.
func TestCloneOfANode(t *testing.T) {
	s := newSite(t, 3, 3, `cluster = "named"`)
	leader, cloned, third := s.roles()
	s.nodes[cloned].terminate(graceful)
	other := newSite(t, 3, 3, `cluster = "named"`)
	place(t, s.folder(cloned), other.folder(cloned))
	s.start(cloned)
	s.ready(cloned)
	for i := range s.raft { // the clone knows where the others are
		if i != cloned {
			edit(t, other.file, other.raft[i], s.raft[i])
		}
	}
	other.start(cloned)
	eventually(t, "the clone is told", func() bool {
		status, err := other.client(cloned).Status(t.Context())
		return err == nil && strings.Contains(status.Error, fmt.Sprintf("ctl readmit %d", cloned+1))
	})
	s.nodes[leader].kill()
	if _, err := s.client(cloned, third).Put(t.Context(), "k", "w"); err != nil {
		t.Error(err)
	}
	if status, err := other.client(cloned).Status(t.Context()); err != nil || status.Role == "leader" || strings.Contains(status.Role, "candidate") {
		t.Errorf("the clone: %+v, %v", status, err)
	}
}

// TestWipedNodeThatFoundsItself: a node that was started on an emptied folder, with a file that names it alone, is not one of the cluster that
// it was in, although that has the same name, and does not go on as a cluster of its own.
func TestWipedNodeThatFoundsItself(t *testing.T) {
	s := newSite(t, 3, 3, `cluster = "named"`)
	leader, lost, third := s.roles()
	s.nodes[lost].terminate(graceful)
	if err := os.RemoveAll(s.folder(lost)); err != nil {
		t.Fatal(err)
	}
	alone := filepath.Join(s.dir, "alone.toml")
	overwrite(t, alone, fmt.Sprintf("data = %q\ncluster = \"named\"\n[[node]]\nid = %d\nraft = %q\nhttp = %q\n",
		filepath.Join(s.dir, "data"), lost+1, s.raft[lost], s.http[lost]))
	launch(t, "node", "--config", alone, "--id", fmt.Sprint(lost+1)).line("ready")
	eventually(t, "it does not lead", func() bool {
		status, err := s.client(lost).Status(t.Context())
		return err == nil && status.Role != "leader" && strings.Contains(status.Error, "another folder")
	})
	s.nodes[leader].kill()
	s.leaderless(lost, third)
}
