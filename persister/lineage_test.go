package persister

import (
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/troupe-raft/troupe/raft"
)

// speak starts a store, has it speak, and closes it.
func speak(t *testing.T, cfg Config) raft.Incarnation {
	t.Helper()
	s, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	i, err := s.Speak()
	if again, err2 := s.Speak(); err != nil || err2 != nil || again != i || s.Incarnation() != i {
		t.Errorf("spoke as %v and then as %v: %v, %v", i, again, err, err2)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return i
}

// TestStartsAreTold: each start on a folder is another one, and counts above those before that spoke. Those that never did do not count.
func TestStartsAreTold(t *testing.T) {
	disk := vfs.NewCrashableMem()
	cfg := config(disk, "d")
	first := speak(t, cfg)
	if first.Store == 0 || first.Start != 1 || first.Nonce == 0 {
		t.Fatalf("the first is %+v", first)
	}
	for range 3 {
		if err := openClose(t, cfg); err != nil {
			t.Fatal(err)
		}
	}
	second := speak(t, cfg)
	if second.Store != first.Store || second.Start != 2 || second.Nonce == first.Nonce {
		t.Errorf("after %+v came %+v", first, second)
	}
	cfg.FS = disk.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 0})
	if third := speak(t, cfg); third.Store != first.Store || third.Start != 3 {
		t.Errorf("after %+v and a power cut came %+v", second, third)
	}
	cfg.Dir = "other"
	if other := speak(t, cfg); other.Store == first.Store || other.Start != 1 {
		t.Errorf("another folder is %+v, the first one %+v", other, first)
	}
}

// TestRenewedFolder is another one from then on.
func TestRenewedFolder(t *testing.T) {
	cfg := config(vfs.NewMem(), "d")
	was := speak(t, cfg)
	s, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	now, err := s.Renew()
	if spoken, err2 := s.Speak(); err != nil || err2 != nil || now.Store == was.Store || now.Start != 1 || spoken != now {
		t.Errorf("%+v became %+v and speaks as %+v: %v, %v", was, now, spoken, err, err2)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if next := speak(t, cfg); next.Store != now.Store || next.Start != 2 {
		t.Errorf("after %+v came %+v", now, next)
	}
}

// TestPeersAreRemembered through a power cut from the moment that they were met.
func TestPeersAreRemembered(t *testing.T) {
	disk := vfs.NewCrashableMem()
	cfg := config(disk, "d")
	s, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	want := map[raft.NodeID]raft.Acquaintance{
		2:  {Incarnation: raft.Incarnation{Store: 1 << 63, Start: 7, Nonce: 3}},
		3:  {Incarnation: raft.Incarnation{Store: 9, Start: 1, Nonce: 4}, Forked: true},
		9:  {Incarnation: raft.Incarnation{Store: 8, Start: 2, Nonce: 5}, Readmitted: true, LetIn: [8]uint64{8, 6}},
		10: {Incarnation: raft.Incarnation{Store: 8, Start: 3, Nonce: 6}, Readmitted: true, LetIn: [8]uint64{8, 7, 6, 5, 4, 3, 2, 1}},
	}
	for node, a := range want {
		for _, a := range []raft.Acquaintance{{Incarnation: raft.Incarnation{Store: 1}}, a, a} {
			if err := s.Meet(node, a); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, a := range []raft.Acquaintance{want[2], {}, {}} {
		if err := s.Meet(5, a); err != nil {
			t.Fatal(err)
		}
	}
	if got := s.Met(); !maps.Equal(got, want) {
		t.Errorf("met %v", got)
	}
	cut := disk.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 0})
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := s.Meet(2, want[3]); err == nil {
		t.Error("a closed store remembers")
	}
	cfg.FS = cut
	if s, err = Open(cfg); err != nil {
		t.Fatal(err)
	}
	if got := s.Met(); !maps.Equal(got, want) {
		t.Errorf("after a power cut: %v", got)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	for _, content := range []string{"", "[]\n00000000\n", string(summed([]byte("{}")))} {
		if err := writeFile(cut, "d/"+peersName, []byte(content)); err != nil {
			t.Fatal(err)
		}
		refusal(t, openClose(t, cfg), peersName, ErrDamaged)
	}
}

// TestIdentityThatCannotBeKept ends the store: whoever is not sure to be remembered must not speak, and whom it does not remember it must not hear.
func TestIdentityThatCannotBeKept(t *testing.T) {
	for name, note := range map[string]func(*Store) error{
		"speak": func(s *Store) error { _, err := s.Speak(); return err },
		"renew": func(s *Store) error { _, err := s.Renew(); return err },
		"meet":  func(s *Store) error { return s.Meet(2, raft.Acquaintance{Incarnation: raft.Incarnation{Store: 1}}) },
	} {
		bad := &saboteur{err: syscall.EIO, fails: on(".tmp", errorfs.OpFileSync)}
		s, err := Open(config(errorfs.Wrap(vfs.NewMem(), bad), "d"))
		if err != nil {
			t.Fatal(err)
		}
		bad.armed.Store(true)
		if err := note(s); err == nil || s.Failed() == nil {
			t.Errorf("%s: %v, the store: %v", name, err, s.Failed())
		}
		bad.armed.Store(false)
		if err := note(s); err == nil {
			t.Errorf("%s: tried again", name)
		}
		_ = s.Close()
	}
}

// TestFormerFolders opens what a release without incarnations wrote: it keeps what it has, and is one store from then on. Its founders are not
// known, whatever it is told now.
func TestFormerFolders(t *testing.T) {
	cfg := config(vfs.Default, t.TempDir())
	if err := openClose(t, cfg); err != nil {
		t.Fatal(err)
	}
	former := summed([]byte(`{"format":1,"cluster":"test","node":1,"ready":true}`))
	if err := os.WriteFile(filepath.Join(cfg.Dir, identityName), former, 0o600); err != nil {
		t.Fatal(err)
	}
	cfg.Founders = 7
	first := speak(t, cfg)
	if first.Store == 0 || first.Start != 1 {
		t.Errorf("the first is %+v", first)
	}
	if second := speak(t, cfg); second.Store != first.Store || second.Start != 2 {
		t.Errorf("after %+v came %+v", first, second)
	}
	s, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if got := s.Founders(); got != 0 {
		t.Errorf("its founders are %d", got)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	cfg.Dir = t.TempDir()
	if s, err = Open(cfg); err != nil {
		t.Fatal(err)
	}
	if got := s.Founders(); got != 7 {
		t.Errorf("the founders of a new folder are %d", got)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestRenewedFolderRemembersNobody: what an older copy remembers of others is of no use to the folder that it becomes, after a restart neither.
func TestRenewedFolderRemembersNobody(t *testing.T) {
	disk := vfs.NewCrashableMem()
	s, err := Open(config(disk, "d"))
	if err != nil {
		t.Fatal(err)
	}
	for node := range raft.NodeID(3) {
		if err := s.Meet(node+2, raft.Acquaintance{Incarnation: raft.Incarnation{Store: 9, Start: 4, Nonce: 7}}); err != nil {
			t.Fatal(err)
		}
	}
	next, err := s.Renew()
	if err != nil || len(s.Met()) > 0 {
		t.Errorf("remembers %v, %v", s.Met(), err)
	}
	for what, disk := range map[string]*vfs.MemFS{"cut short": disk.CrashClone(vfs.CrashCloneCfg{}), "closed": disk} {
		if what == "closed" {
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
		}
		again, err := Open(config(disk, "d"))
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		if i := again.Incarnation(); i.Store != next.Store || len(again.Met()) > 0 {
			t.Errorf("%s: %+v remembers %v", what, i, again.Met())
		}
		if err := again.Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestFolderIsRenewedAtOnce cuts the power before every change of the disk while an older copy becomes a folder of its own. It is the one that it was, and
// remembers, or another one, which does not.
func TestFolderIsRenewedAtOnce(t *testing.T) {
	disk := vfs.NewCrashableMem()
	eye := &witness{disk: disk, rng: rand.New(rand.NewPCG(1, 2))}
	s, err := Open(config(errorfs.Wrap(disk, eye), "d"))
	if err != nil {
		t.Fatal(err)
	}
	before, err := s.Speak()
	if err != nil {
		t.Fatal(err)
	}
	peers := met{2: acquaintance(1)}
	meet(t, s, meeting{2, peers[2]})
	eye.take()
	after, err := s.Renew()
	if err != nil {
		t.Fatal(err)
	}
	cuts := append(eye.take(), remains{disk: disk.CrashClone(vfs.CrashCloneCfg{}), note: "renewed"})
	for _, c := range cuts {
		again := opened(t, c.disk)
		i, got := again.Incarnation(), again.Met()
		if was := i.Store == before.Store && maps.Equal(got, peers); !was && (i.Store != after.Store || len(got) > 0) {
			t.Errorf("%s: folder %d, which was %d and became %d, remembers %v", c.note, i.Store, before.Store, after.Store, got)
		}
		meet(t, again, meeting{3, acquaintance(5)})
		closed(t, again)
		if next := opened(t, c.disk); next.Met()[3] != acquaintance(5) || next.Incarnation().Store == after.Store && len(next.Met()) > 1 {
			t.Errorf("%s: then it remembers %v", c.note, next.Met())
		} else {
			closed(t, next)
		}
	}
	closed(t, s)
}
