package raft

import "testing"

// calm returns a cluster without faults whose leader has committed n entries, everywhere.
func calm(t *testing.T, size, n int) (*world, *server) {
	t.Helper()
	w := newWorld(t, 1, size, 0, faults{})
	leader := w.awaitLeader()
	w.fill(leader, n)
	return w, leader
}

func (w *world) awaitLeader() (leader *server) {
	w.t.Helper()
	w.await("a leader", func() bool {
		leader = nil
		for _, s := range w.servers {
			if !s.down && s.node.Role() == Leader && (leader == nil || s.node.Term() > leader.node.Term()) {
				leader = s
			}
		}
		return leader != nil && leader.node.CommitIndex() >= leader.node.termFirst
	})
	return leader
}

// fill commits n more entries on every server that is up.
func (w *world) fill(leader *server, n int) {
	w.t.Helper()
	for range n {
		if _, err := leader.Propose([]byte("x")); err != nil {
			w.fatalf("server %d: %v", leader.id, err)
		}
	}
	w.await("all have it", func() bool { return w.everywhere(leader) })
}

func (w *world) everywhere(leader *server) bool {
	for _, s := range w.servers {
		if !s.down && s.node.CommitIndex() != leader.node.LastIndex() {
			return false
		}
	}
	return true
}

func (w *world) await(what string, holds func() bool) {
	w.t.Helper()
	for range 5000 {
		if holds() {
			return
		}
		w.tick()
	}
	w.fatalf("never: %s", what)
}

// other is a follower of leader.
func (w *world) other(leader *server) *server {
	for _, id := range w.ids {
		if id != leader.id {
			return w.servers[id]
		}
	}
	return nil
}

// goBack restarts a server from what its disk held before.
func (w *world) goBack(s *server, old *ReplicaState) {
	founders := Membership{Voters: w.ids}
	s.state = old
	w.start(s, founders)
}

// TestGoneBackFollowerIsFedAgain: a follower that is put back to an older copy of its disk, or to an empty one, catches up, although its
// leader knows it to have had everything, and whether or not anything is proposed.
func TestGoneBackFollowerIsFedAgain(t *testing.T) {
	for name, wiped := range map[string]bool{"older copy": false, "wiped": true} {
		for _, size := range []int{2, 3, 5} {
			w, leader := calm(t, size, 10)
			s := w.other(leader)
			old := s.Durable()
			if wiped {
				old = nil
			}
			w.fill(leader, 10)
			term := leader.node.Term()
			w.goBack(s, old)
			w.run(20 * testElection)
			if last := s.node.LastIndex(); last < leader.node.CommitIndex() {
				w.fatalf("%d servers, %s: it has %d entries after %v, committed are %d", size, name, last, 20*testElection, leader.node.CommitIndex())
			}
			if leader.node.Role() != Leader || leader.node.Term() != term {
				w.fatalf("%d servers, %s: the leader of term %d is %v of term %d", size, name, term, leader.node.Role(), leader.node.Term())
			}
		}
	}
}
