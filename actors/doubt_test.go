package actors_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/troupe-raft/troupe/actors"
	"github.com/troupe-raft/troupe/election"
	"github.com/troupe-raft/troupe/raft"
)

// copyFolder makes to a copy of from, in whose place it comes if there is one.
func copyFolder(t *testing.T, from, to string) {
	t.Helper()
	if err := os.RemoveAll(to); err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
}

// putBack gives a stopped node an older copy of its folder that was made in the run that has just ended, as far as its identity tells.
func (c *testCluster) putBack(id raft.NodeID, copied string) {
	c.t.Helper()
	dir := filepath.Join(c.dir, fmt.Sprint(id))
	startedAs(c.t, copied, dir)
	copyFolder(c.t, copied, dir)
}

// startedAs gives a copy of a folder the folder's start, as a copy has that is made while that start runs. Such a copy itself could be damaged
// by what Pebble writes meanwhile.
func startedAs(t *testing.T, copied, folder string) {
	t.Helper()
	read := func(dir string) (id map[string]json.RawMessage) {
		b, err := os.ReadFile(filepath.Join(dir, "IDENTITY"))
		if err != nil {
			t.Fatal(err)
		}
		if err := json.NewDecoder(bytes.NewReader(b)).Decode(&id); err != nil {
			t.Fatal(err)
		}
		return id
	}
	id := read(copied)
	id["start"] = read(folder)["start"]
	line, err := json.Marshal(id)
	if err != nil {
		t.Fatal(err)
	}
	b := fmt.Appendf(nil, "%s\n%08x\n", line, crc32.Checksum(line, crc32.MakeTable(crc32.Castagnoli)))
	if err := os.WriteFile(filepath.Join(copied, "IDENTITY"), b, 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestGoneBackFollower: a follower that is put back to an older copy of its folder is fed again, although nothing is proposed. Its leader and it
// say so, and once it has caught up it counts again: the cluster outlives the other follower.
func TestGoneBackFollower(t *testing.T) {
	c := newCluster(t, 3, func(c *testCluster) {
		c.config = func(_ raft.NodeID, cfg *actors.GroupConfig) { // its leader remembers what it acknowledged: there must be no other
			cfg.ElectionTimeout = election.Timeout{Min: time.Second, Max: 2 * time.Second}
		}
	})
	var mu sync.Mutex
	var told []actors.DoubtChanged
	on(c, func(e *actors.DoubtChanged) {
		mu.Lock()
		defer mu.Unlock()
		told = append(told, *e)
	})
	said := func(by, member raft.NodeID, inDoubt bool) func() bool {
		return func() bool {
			mu.Lock()
			defer mu.Unlock()
			return slices.Contains(told, actors.DoubtChanged{Node: by, Group: 1, Member: member, InDoubt: inDoubt})
		}
	}
	want := c.fill("a", 10)
	lead, back := c.leader(), c.follower().id
	c.stop(back)
	copied := filepath.Join(t.TempDir(), "copy")
	copyFolder(t, filepath.Join(c.dir, fmt.Sprint(back)), copied)
	c.restart(back)
	want = append(want, c.fill("b", 10)...)
	c.converge(want)
	await(t, "the leader knows what the follower has", func() bool { return member(lead, back).Match == lead.group.Status().Last })

	c.stop(back)
	c.putBack(back, copied)
	c.restart(back)
	await(t, "the leader says that the follower has gone back", said(lead.id, back, true))
	await(t, "the follower says so", said(back, back, true))
	await(t, "the leader trusts it again", said(lead.id, back, false))
	await(t, "so does the follower", said(back, back, false))
	c.converge(want)
	await(t, "status tells that it counts", func() bool {
		s := c.nodes[back].group.Status()
		return !member(lead, back).Doubt && !s.Doubt && s.Role == raft.Follower
	})
	for id := range c.nodes {
		if id != back && id != lead.id {
			c.stop(id)
			break
		}
	}
	c.converge(append(want, c.fill("c", 5)...))
}

// member is what a node knows of a member.
func member(n *testNode, id raft.NodeID) actors.MemberStatus {
	for _, m := range n.group.Status().Members {
		if m.ID == id {
			return m
		}
	}
	return actors.MemberStatus{}
}
