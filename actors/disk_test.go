package actors_test

import (
	"errors"
	"os"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/troupe-raft/troupe/actors"
	"github.com/troupe-raft/troupe/raft"
)

// A disk that fills or fails stops its node's acknowledgements at once, with the reason; the others go on.
func TestFailedDiskStopsItsNodeOnly(t *testing.T) {
	for name, c := range map[string]struct {
		op  errorfs.OpKind
		err error
	}{
		"full disk":   {errorfs.OpFileWrite, syscall.ENOSPC},
		"failed sync": {errorfs.OpFileSyncData, syscall.EIO},
	} {
		t.Run(name, func(t *testing.T) { failDisk(t, c.op, c.err) })
	}
}

func failDisk(t *testing.T, kind errorfs.OpKind, fault error) {
	var broken [4]atomic.Bool
	var hits atomic.Int64
	c := newCluster(t, 3, func(c *testCluster) {
		c.host = func(id raft.NodeID, cfg *actors.HostConfig) {
			cfg.FS = errorfs.Wrap(vfs.Default, errorfs.InjectorFunc(func(op errorfs.Op) error {
				sync := op.Kind == errorfs.OpFileSync || op.Kind == errorfs.OpFileSyncData || op.Kind == errorfs.OpFileSyncTo
				if broken[id].Load() && (op.Kind == kind || sync && kind == errorfs.OpFileSyncData) {
					hits.Add(1)
					return fault
				}
				return nil
			}))
		}
	})
	c.propose("before")
	lead := c.leader()
	broken[lead.id].Store(true)
	_, err := lead.group.Propose(withDeadline(t), []byte("lost?"))
	if err == nil {
		// The quorum of the others may have committed it; what the leader's disk lacks it must not count itself.
		t.Log("committed by the others")
	} else if !errors.Is(err, actors.ErrIndeterminate) && !errors.Is(err, actors.ErrNotLeader) && !errors.Is(err, actors.ErrStopped) {
		t.Errorf("got %v", err)
	}
	await(t, "the node with the failed disk says so", func() bool { return lead.group.Status().Err != nil })
	if hits.Load() == 0 {
		t.Fatal("the fault was never injected")
	}
	if s := lead.group.Status(); !s.Stopped || !errors.Is(s.Err, fault) {
		t.Errorf("status %+v", s)
	}
	if _, err := lead.group.Propose(withDeadline(t), []byte("x")); !errors.Is(err, actors.ErrStopped) || !errors.Is(err, fault) {
		t.Errorf("got %v, want ErrStopped with the cause", err)
	}
	delete(c.nodes, lead.id)
	c.propose("after")
	if err := lead.host.Stop(withDeadline(t)); !errors.Is(err, fault) {
		t.Errorf("Stop reports %v", err)
	}
}

// A folder that is not this node's, or not readable, is refused in one line that names it.
func TestForeignFoldersAreRefused(t *testing.T) {
	dir := t.TempDir()
	start := func(node raft.NodeID, cluster, dir string) error {
		h, err := actors.StartHost(newSystem(), actors.HostConfig{Node: node, Cluster: cluster, Listen: "127.0.0.1:0", Dir: dir, Log: quiet()})
		if err == nil {
			err = h.Stop(withDeadline(t))
		}
		return err
	}
	mine := filepath.Join(dir, "1")
	if err := start(1, "a", mine); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "file")
	stray := filepath.Join(dir, "stray")
	if err := errors.Join(os.WriteFile(file, nil, 0o600), os.Mkdir(stray, 0o700), os.WriteFile(filepath.Join(stray, "x"), nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	for what, err := range map[string]error{
		"another node":    start(2, "a", mine),
		"another cluster": start(1, "b", mine),
		"a file":          start(1, "a", file),
		"not ours":        start(1, "a", stray),
	} {
		if err == nil {
			t.Errorf("%s: started", what)
			continue
		}
		if text := err.Error(); !contains(text, dir) || contains(text, "\n") {
			t.Errorf("%s: %q does not name the folder in one line", what, text)
		}
	}
	if err := start(1, "a", mine); err != nil {
		t.Errorf("the rightful owner: %v", err)
	}
	identity := filepath.Join(mine, "IDENTITY")
	damage(t, identity)
	if err := start(1, "a", mine); err == nil || !contains(err.Error(), identity) {
		t.Errorf("damaged identity: %v", err)
	}
}

// Every byte of the newest log file matters: a store that was damaged refuses or keeps all that it acknowledged.
func TestDamagedLogIsNeverServedAsIfWhole(t *testing.T) {
	c := newCluster(t, 1)
	want := c.fill("entry ", 20)
	c.stop(1)
	logs, err := filepath.Glob(filepath.Join(c.dir, "1", "*", "*.log"))
	if more, _ := filepath.Glob(filepath.Join(c.dir, "1", "*.log")); err != nil || len(logs)+len(more) == 0 {
		t.Fatalf("no write-ahead log below %s: %v", c.dir, err)
	} else {
		logs = append(logs, more...)
	}
	damaged := 0
	for _, path := range logs {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if len(b) < 200 {
			continue
		}
		b[len(b)/3] ^= 1
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		damaged++
	}
	if damaged == 0 {
		t.Fatal("the store left no write-ahead log of any size")
	}
	h, err := actors.StartHost(newSystem(), actors.HostConfig{Node: 1, Cluster: "test", Listen: "127.0.0.1:0", Dir: filepath.Join(c.dir, "1"), Log: quiet()})
	if err != nil {
		t.Logf("refused: %v", err)
		return
	}
	defer h.Stop(withDeadline(t))
	l := &ledger{}
	g, err := actors.StartGroup(h, actors.GroupConfig{Group: 1, Members: []raft.NodeID{1}, StateMachine: func() actors.StateMachine { return l }})
	if err != nil {
		t.Fatal(err)
	}
	await(t, "it fails or has everything", func() bool { return g.Status().Err != nil || len(l.all()) == len(want) })
	t.Logf("status: %v, applied %d", g.Status().Err, len(l.all()))
}
