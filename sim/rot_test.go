package sim

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/troupe-raft/troupe/actors"
	"github.com/troupe-raft/troupe/applier"
	"github.com/troupe-raft/troupe/persister"
	"github.com/troupe-raft/troupe/raft"
	"github.com/troupe-raft/troupe/snapshotter"
)

// TestBadDisks: everything that disks can do to replicas happens in runs where little else does.
func TestBadDisks(t *testing.T) {
	var configs []Config
	for seed := range uint64(200) {
		cfg := Config{Seed: seed, Nodes: 3, Spares: -1, Quiet: true, Length: 3 * time.Second, Think: time.Millisecond, Liveness: seed%4 == 0}
		ambush := true
		cfg.Ambush = &ambush
		kinds := []FaultKind{Crash, FailLog, FailRead, FailFile, RestartOnly}
		if seed >= 120 {
			kinds = []FaultKind{Snapshot, CrashIn} // which may tear the snapshot
		}
		for i := range 12 {
			f := cfg.fault(rand.New(rand.NewPCG(seed, uint64(i))), time.Duration(i+1)*200*time.Millisecond, kinds[(int(seed)+i)%len(kinds)], cfg.ids())
			cfg.Faults = append(cfg.Faults, f)
		}
		for at := time.Second; at < cfg.Length; at += time.Second / 4 { // the disk of whoever leads next, before and after it does
			cfg.Faults = append(cfg.Faults, Fault{At: at, Kind: Rot, In: rotting[1+seed%5], N: int(seed) % 3, For: 20 * time.Millisecond})
		}
		configs = append(configs, cfg)
	}
	all := map[string]int{}
	for _, r := range each(configs) {
		complain(t, r)
		for k, v := range r.Counts {
			all[k] += v
		}
	}
	for _, name := range []string{
		"bad data met by the load", "bad data met by the applier", "bad data met by the syncer", "bad data met by a restore", "bad data met by a send", "bad data met by a write",
		"no data for the applier", "no data for the syncer", "no data for a restore", "snapshot file written in part", "snapshot files torn",
	} {
		t.Logf("%s: %d", name, all[name])
		if all[name] == 0 {
			t.Errorf("%q never happened", name)
		}
	}
}

// TestLostSnapshotsAreReplaced: among all other faults one node after the other finds that it cannot read the snapshot that it is to begin from. None of them is lost.
func TestLostSnapshotsAreReplaced(t *testing.T) {
	var configs []Config
	for seed := range uint64(20) {
		cfg := Config{Seed: seed, Nodes: 3, Spares: -1, Length: 2500 * time.Millisecond, Liveness: seed%3 != 0}.withDefaults()
		for _, f := range cfg.Plan() {
			if f.Kind != Rot {
				cfg.Faults = append(cfg.Faults, f)
			}
		}
		for at := 400 * time.Millisecond; at < cfg.Length; at += 500 * time.Millisecond {
			for _, id := range cfg.ids() {
				cfg.Faults = append(cfg.Faults, Fault{At: at, Kind: Snapshot, A: id})
			}
			cfg.Faults = append(cfg.Faults, Fault{At: at + 100*time.Millisecond, Kind: Rot, A: raft.NodeID(1 + seed%3), In: rotFile, N: restarted})
		}
		configs = append(configs, cfg)
	}
	regained := 0
	for _, r := range each(configs) {
		complain(t, r)
		regained += r.Counts[regains]
	}
	if regained < len(configs)/2 {
		t.Errorf("%d snapshots were replaced in %d runs", regained, len(configs))
	}
}

// TestRotIsRefused: whoever takes rotten data for good, or says something else than what is wrong, is found out.
func TestRotIsRefused(t *testing.T) {
	corrupted := corrupt(groupID, 7, "block", nil)
	file := &snapshotter.FileError{Path: "p", Err: errors.New("damaged")}
	for name, c := range map[string]struct {
		wrong    func(*Sim, *disk)
		property string
	}{
		"goes on":               {func(_ *Sim, d *disk) { d.refuses("the syncer", corrupted) }, "bad data is refused"},
		"fails for no reason":   {func(s *Sim, d *disk) { s.replicaFailed(s.nodes[1], corrupted) }, "replicas fail only with their disk"},
		"fails for another":     {func(s *Sim, d *disk) { d.life.met.log = true; s.replicaFailed(s.nodes[1], errRead) }, "replicas fail only with their disk"},
		"blames a whole file":   {func(s *Sim, d *disk) { d.life.met.unread = true; s.replicaFailed(s.nodes[1], file) }, "replicas fail only with their disk"},
		"gives up":              {func(s *Sim, d *disk) { d.life.met.file = true; s.replicaFailed(s.nodes[1], file) }, "replicas fail only with their disk"},
		"restarts over it":      {func(s *Sim, d *disk) { s.event(&actors.ReplicaRestarted{Node: 1, Group: groupID, Reason: corrupted}) }, "replicas crash only when something panicked"},
		"sends a rotten file":   {func(_ *Sim, d *disk) { misuse(d, readThenSend) }, "rot is found"},
		"keeps a rotten part":   {func(_ *Sim, d *disk) { misuse(d, publish) }, "rot is found"},
		"restores a rotten one": {func(s *Sim, d *disk) { s.handled = &applier.Begin{}; misuse(d, readThrough) }, "bad data is refused"},
	} {
		s := New(Config{Seed: 7, Nodes: 3, Quiet: true, Length: time.Second})
		s.clock.AfterFunc(500*time.Millisecond, func() { c.wrong(s, s.nodes[1].disk) })
		if r := s.Run(); r.Violation == nil || !strings.Contains(r.Violation.Property, c.property) {
			t.Errorf("%s: violated %v", name, r.Violation)
		}
	}
}

// misuse has something wrong done with a rotten file.
func misuse(d *disk, wrong func(vfs.FS, string) error) {
	fs := d.fs()
	f, err := fs.Create("f", vfs.WriteCategoryUnspecified)
	if err == nil {
		_, err = f.Write([]byte("content"))
	}
	if n, _ := d.files.inode("f"); n != nil {
		n.flip()
	}
	if err = errors.Join(err, wrong(fs, "f")); err != nil {
		panic(fmt.Sprintf("sim: %v", err))
	}
}

func readThrough(fs vfs.FS, name string) error {
	f, err := fs.Open(name)
	if err == nil {
		_, err = io.ReadAll(f)
	}
	return err
}

func readThenSend(fs vfs.FS, name string) error {
	f, err := fs.Open(name)
	if err == nil {
		_, err = io.ReadAll(f)
	}
	if err == nil {
		_, err = f.ReadAt(make([]byte, 1), 0)
	}
	return err
}

func publish(fs vfs.FS, name string) error { return fs.Rename(name, "whole") }

// TestStoredDataRots: each kind of rot is what the real store would say of it, until what rotted is written anew.
func TestStoredDataRots(t *testing.T) {
	s := New(Config{Seed: 7, Nodes: 1, Spares: -1, Quiet: true, Length: time.Second})
	s.until(func() bool { return len(s.check.log) > 20 })
	d := s.nodes[1].disk
	var rot *persister.CorruptError
	load := func() error {
		_, err := d.image(groupID).state(groupID, d.rotten)
		return err
	}
	for _, what := range []string{rotLog, rotHead} {
		if err := load(); err != nil {
			t.Fatal(err)
		}
		if !d.rot(groupID, what) || !errors.As(load(), &rot) {
			t.Errorf("%s: %v", what, load())
		}
		d.mend(false)
	}
	m := d.image(groupID).clone()
	m.rotHard, m.rotMeta = true, true
	m.apply(&persister.Op{Hard: &raft.HardState{Term: 100}})
	m.apply(&persister.Op{Reset: &raft.SnapshotMeta{Index: 1000, Term: 100}})
	if _, err := m.state(groupID, nil); err != nil {
		t.Errorf("written anew: %v", err)
	}
	for _, b := range d.image(groupID).blocks {
		d.rotten[b] = append([]byte("x"), b.Bytes()...)
	}
	last := d.image(groupID).last().Index
	if _, err := d.life.Blocks(groupID, last, last, 1); !errors.As(err, &rot) || rot.Index == 0 {
		t.Errorf("reading entry %d: %v", last, err)
	}
}
