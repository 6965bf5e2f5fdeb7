package persister

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/troupe-raft/troupe/raft"
)

// rotated returns a disk with a store that began another log while it ran and ended cleanly, and the state of its group 1, of which the log has
// a part. It hands out what a power cut would have left just before the end, too.
func rotated(t *testing.T) (disk, cut *vfs.MemFS, want raft.State) {
	t.Helper()
	disk = vfs.NewCrashableMem()
	closed(t, opened(t, disk))
	r := start(t, config(disk, "d"))
	r.loaded(1)
	r.write(1, block(1, 1, 3))
	if err := r.store.db.Flush(); err != nil {
		t.Fatal(err)
	}
	r.write(1, padded(1, 4, 2, 900))
	r.write(1, block(2, 6, 2))
	want = r.loaded(1)
	cut = disk.CrashClone(vfs.CrashCloneCfg{})
	r.stopped()
	return disk, cut, want
}

func newestOf(t *testing.T, disk *vfs.MemFS) string {
	t.Helper()
	line, ok := unsummed(must(readFile(disk, "d/"+newestName)))
	if !ok {
		t.Fatal("no newest log is noted")
	}
	return "d/pebble/" + string(line)
}

// TestClosedLogIsCut: a log that was closed cleanly is not torn, wherever it ends or reads as zeros.
func TestClosedLogIsCut(t *testing.T) {
	disk, _, want := rotated(t)
	file := newestOf(t, disk)
	whole := must(readFile(disk, file))
	for at := 0; at < len(whole); at += 1 + at%5 {
		zeroed := bytes.Clone(whole)
		clear(zeroed[at:])
		for what, content := range map[string][]byte{"cut off": bytes.Clone(whole[:at]), "zeros": zeroed} {
			if bytes.Equal(content, whole) {
				continue
			}
			copied := disk.CrashClone(vfs.CrashCloneCfg{})
			if err := writeFile(copied, file, content); err != nil {
				t.Fatal(err)
			}
			if err := openClose(t, config(copied, "d")); !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), file) {
				t.Errorf("%s from byte %d of %d on: %v", what, at, len(whole), err)
			}
		}
	}
	if outcome(t, disk, want, "untouched") {
		t.Error("a folder that lacks nothing is refused")
	}
}

// TestTornLogOpens: what a power cut leaves of a log that was not closed opens, also where the opening before ended cleanly.
func TestTornLogOpens(t *testing.T) {
	_, cut, _ := rotated(t)
	file := newestOf(t, cut)
	whole := must(readFile(cut, file))
	for length := 0; length < len(whole); length += 7 {
		copied := cut.CrashClone(vfs.CrashCloneCfg{})
		if err := writeFile(copied, file, bytes.Clone(whole[:length])); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if err := openClose(t, config(copied, "d")); err != nil {
				t.Fatalf("torn at byte %d of %d: %v", length, len(whole), err)
			}
		}
	}
}

// TestEveryClosedLogIsNoted: a store may end with several logs, whose memtables were not written to tables yet.
func TestEveryClosedLogIsNoted(t *testing.T) {
	disk := vfs.NewCrashableMem()
	s := opened(t, disk)
	for _, name := range []string{"d/pebble/000777.log", "d/pebble/000778.log"} {
		f, err := s.ice.Create(name, vfs.WriteCategoryUnspecified)
		if err != nil {
			t.Fatal(err)
		}
		for range 3 {
			if _, err := f.Write([]byte("record")); err != nil {
				t.Fatal(err)
			}
		}
		if err := errors.Join(f.Sync(), f.Close()); err != nil {
			t.Fatal(err)
		}
	}
	closed(t, s)
	id, ok := decodeIdentity(must(readFile(disk, "d/"+identityName)))
	if !ok || !slices.Contains(id.Logs, closedLog{"000777.log", 18}) || !slices.Contains(id.Logs, closedLog{"000778.log", 18}) {
		t.Errorf("noted are %v", id.Logs)
	}
}

// TestClosedLogsAtEveryBoundary cuts the power before every change of the disk while a store opens, begins other logs and ends, several times, and again
// while what remains opens and ends: it always opens.
func TestClosedLogsAtEveryBoundary(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	disk := vfs.NewCrashableMem()
	eye := &witness{disk: disk, rng: rand.New(rand.NewPCG(seed, 2))}
	cuts := 0
	for round := range 4 {
		r := start(t, config(errorfs.Wrap(disk, eye), "d"))
		r.loaded(1)
		r.write(1, block(1, 1+raft.Index(4*round), 4))
		if round%2 == 1 {
			if err := r.store.db.Flush(); err != nil {
				t.Fatal(err)
			}
		}
		if round == 2 {
			r.loaded(2)
			r.write(2, block(1, 1, 4))
		}
		r.stopped()
		for i, c := range eye.take() {
			cuts++
			var again witness
			fs := vfs.FS(c.disk)
			if i%12 == round {
				again.disk, again.rng = c.disk, rand.New(rand.NewPCG(seed, uint64(cuts)))
				fs = errorfs.Wrap(c.disk, &again)
			}
			if err := openClose(t, config(fs, "d")); err != nil {
				t.Fatalf("seed %d, round %d, %s: %v", seed, round, c.note, err)
			}
			second := again.take()
			for i := cuts % 19; i < len(second); i += 19 {
				cuts++
				for range 2 {
					if err := openClose(t, config(second[i].disk, "d")); err != nil {
						t.Fatalf("seed %d, round %d, %s, then %s: %v", seed, round, c.note, second[i].note, err)
					}
				}
			}
		}
	}
	if t.Logf("%d power cuts", cuts); cuts < 500 {
		t.Error("there must have been more power cuts")
	}
}

// TestClosedLogIsMissed: of the logs that a clean end noted none may be missing, also where it is not the newest one. A start that is cut short removes
// those whose tables it has written, and the next one opens all the same.
func TestClosedLogIsMissed(t *testing.T) {
	disk := vfs.NewCrashableMem()
	r := start(t, config(disk, "d"))
	r.loaded(1)
	r.write(1, block(1, 1, 3))
	if err := r.store.db.Flush(); err != nil { // the log that holds the latest opening is missed by that
		t.Fatal(err)
	}
	r.write(1, block(1, 4, 2))
	file := newestOf(t, disk)
	f, err := r.store.ice.Create("d/pebble/000777.log", vfs.WriteCategoryUnspecified) // a newer one, whose memtable is empty
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		t.Fatal(err)
	}
	want := r.loaded(1)
	r.stopped()
	untouched, eye := disk.CrashClone(vfs.CrashCloneCfg{}), &witness{disk: disk.CrashClone(vfs.CrashCloneCfg{}), rng: rand.New(rand.NewPCG(1, 2))}
	if err := openClose(t, config(errorfs.Wrap(eye.disk, eye), "d")); err != nil {
		t.Fatal(err)
	}
	for _, c := range eye.take() {
		if err := openClose(t, config(c.disk, "d")); err != nil {
			t.Errorf("%s: %v", c.note, err)
		}
	}
	if err := disk.Remove(file); err != nil {
		t.Fatal(err)
	}
	refusal(t, openClose(t, config(disk, "d")), file, ErrDamaged)
	if outcome(t, untouched, want, "untouched") {
		t.Error("a folder that lacks nothing is refused")
	}
}
