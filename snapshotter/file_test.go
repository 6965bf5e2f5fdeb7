package snapshotter

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/iotest"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/troupe-raft/troupe/raft"
)

func TestFileRoundTrip(t *testing.T) {
	for _, cut := range []sizes{usual, {1, 16}, {64, 256 << 10}, {MaxPieceBytes, 100}} {
		for _, size := range []int{0, 1, cut.piece - 1, cut.piece, cut.piece + 1, 5*cut.piece + 7} {
			roundTrip(t, size, cut)
		}
	}
}

func roundTrip(t *testing.T, size int, cut sizes) {
	t.Helper()
	fs, want := newFS(), content(1, size)
	inBits := func(w io.Writer) error {
		for rest := want; len(rest) > 0; {
			n := min(len(rest), 1+rand.IntN(cut.piece*2))
			if _, err := w.Write(rest[:n]); err != nil {
				return err
			}
			rest = rest[n:]
		}
		return nil
	}
	size64, err := write(fs, dir, 7, metaAt(9), inBits, new(atomic.Bool), cut)
	if err != nil {
		t.Fatal(err)
	}
	path := fs.PathJoin(dir, fileName(9, 2))
	if info, err := fs.Stat(path); err != nil || info.Size() != size64 {
		t.Errorf("size %d, %v", size64, err)
	}
	if got, err := payload(fs, metaAt(9)); err != nil || !bytes.Equal(got, want) {
		t.Errorf("size %d: %d bytes came back, %v", size, len(got), err)
	}
	group, meta, err := Verify(fs, path)
	if err != nil || group != 7 || meta.Index != 9 || meta.Term != 2 || !meta.Membership.Equal(members) {
		t.Errorf("%d %+v %v", group, meta, err)
	}
}

func TestFileGolden(t *testing.T) {
	fs := newFS()
	mustWrite(t, fs, 9, []byte("state"))
	const want = "545250534e415001000000216014f7820000000000000001000000000000000900000000000000029501930102039090900000000566db68df73746174650000000000000000000000000000000566db68df"
	if got := hex.EncodeToString(raw(t, fs, 9)); got != want {
		t.Errorf("the file is\n%s, want\n%s", got, want)
	}
}

func raw(t testing.TB, fs vfs.FS, index raft.Index) []byte {
	t.Helper()
	f, err := fs.Open(fs.PathJoin(dir, fileName(index, 2)))
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(f)
	if err = errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
	return b
}

func put(t testing.TB, fs vfs.FS, path string, b []byte) {
	t.Helper()
	f, err := fs.Create(path, vfs.WriteCategoryUnspecified)
	if err != nil {
		t.Fatal(err)
	}
	_, err = f.Write(slices.Clone(b))
	if err = errors.Join(err, f.Sync(), f.Close(), syncDir(fs, dir)); err != nil {
		t.Fatal(err)
	}
}

func TestDamageAnywhereIsFound(t *testing.T) {
	fs := newFS()
	mustWrite(t, fs, 9, content(1, 300))
	good := raw(t, fs, 9)
	path := fs.PathJoin(dir, fileName(9, 2))
	check := func(what string, b []byte) {
		put(t, fs, path, b)
		var fault *FileError
		if _, _, err := Verify(fs, path); !errors.As(err, &fault) || fault.Path != path {
			t.Errorf("%s: Verify says %v", what, err)
		}
		if _, err := payload(fs, metaAt(9)); !errors.As(err, &fault) || fault.Path != path {
			t.Errorf("%s: Open says %v", what, err)
		}
	}
	for i := range good {
		for bit := range 8 {
			bad := slices.Clone(good)
			bad[i] ^= 1 << bit
			check(fmt.Sprintf("bit %d of byte %d flipped", bit, i), bad)
		}
		check(fmt.Sprintf("cut to %d bytes", i), good[:i])
	}
	check("a byte too many", append(slices.Clone(good), 0))
}

func TestPiecesOutOfOrderAreFound(t *testing.T) {
	fs := newFS()
	mustWrite(t, fs, 9, content(1, 2*usual.piece))
	b := raw(t, fs, 9)
	end := len(b) - 20
	first, second := b[end-2*(usual.piece+8):end-(usual.piece+8)], b[end-(usual.piece+8):end]
	swapped := slices.Concat(b[:end-2*(usual.piece+8)], second, first, b[end:])
	put(t, fs, fs.PathJoin(dir, fileName(9, 2)), swapped)
	if _, err := payload(fs, metaAt(9)); !errors.Is(err, errDamaged) {
		t.Error(err)
	}
}

func TestOpenRefusesAnotherSnapshot(t *testing.T) {
	fs := newFS()
	mustWrite(t, fs, 9, []byte("x"))
	b := raw(t, fs, 9)
	put(t, fs, fs.PathJoin(dir, fileName(10, 2)), b)
	if _, err := Open(fs, dir, metaAt(10), 0); err == nil {
		t.Error("a file under another's name was opened")
	}
	other := metaAt(9)
	other.Membership = raft.Membership{Voters: []raft.NodeID{1}}
	if _, err := Open(fs, dir, other, 0); err == nil {
		t.Error("a file with another membership was opened")
	}
	if _, err := Open(fs, dir, metaAt(8), 0); err == nil || !strings.Contains(err.Error(), fileName(8, 2)) {
		t.Errorf("a missing file: %v", err)
	}
}

func TestListKnowsFinishedFilesOnly(t *testing.T) {
	fs := newFS()
	for _, i := range []raft.Index{12, 3, 7} {
		mustWrite(t, fs, i, nil)
	}
	for _, name := range []string{fileName(99, 2) + ".tmp", "snap-1-2.troupe", fileName(98, 2) + ".100.00000000.part", "other"} {
		put(t, fs, fs.PathJoin(dir, name), nil)
	}
	ids, err := List(fs, dir)
	if err != nil || !slices.Equal(ids, []raft.EntryID{{Index: 3, Term: 2}, {Index: 7, Term: 2}, {Index: 12, Term: 2}}) {
		t.Errorf("%v %v", ids, err)
	}
	if ids, err := List(fs, "nowhere"); err != nil || len(ids) > 0 {
		t.Errorf("%v %v", ids, err)
	}
}

// TestCrashAtEveryOperation cuts the power before each operation with the disk, and lets any part of what was not synced survive.
func TestCrashAtEveryOperation(t *testing.T) {
	old, young := content(1, 100), content(2, 3*usual.piece)
	crashes := 0
	for at := 0; ; at++ {
		done := true
		for _, survives := range []int{0, 30, 70, 100} {
			mem := newFS()
			mustWrite(t, mem, 5, old)
			var (
				after *vfs.MemFS
				op    int
			)
			counting := errorfs.Wrap(mem, errorfs.InjectorFunc(func(errorfs.Op) error {
				if op == at {
					after = mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: survives, RNG: rand.New(rand.NewPCG(uint64(at), uint64(survives)))})
				}
				op++
				return nil
			}))
			mustWrite(t, counting, 6, young)
			if after == nil { // the crash comes after write has returned
				after = mem.CrashClone(vfs.CrashCloneCfg{})
				if got, err := payload(after, metaAt(6)); err != nil || !bytes.Equal(got, young) {
					t.Fatalf("a snapshot that was written is gone: %v", err)
				}
				continue
			}
			done = false
			crashes++
			if got, err := payload(after, metaAt(5)); err != nil || !bytes.Equal(got, old) {
				t.Fatalf("crash at operation %d: the old snapshot is gone: %v", at, err)
			}
			ids, err := List(after, dir)
			if err != nil {
				t.Fatal(err)
			}
			for _, id := range ids {
				if _, _, err := Verify(after, after.PathJoin(dir, fileName(id.Index, id.Term))); err != nil {
					t.Fatalf("crash at operation %d, %d%% survives: a half snapshot under its final name: %v", at, survives, err)
				}
			}
			if err := tidy(after, dir, 5); err != nil {
				t.Fatal(err)
			}
			if ids, err := List(after, dir); err != nil || len(names(t, after)) != len(ids) {
				t.Fatalf("leftovers remain: %v %v", names(t, after), err)
			}
		}
		if done {
			break
		}
	}
	if crashes < 20 {
		t.Errorf("only %d crashes were tried", crashes)
	}
}

// TestFaultAtEveryOperation fails each operation with the disk in turn.
func TestFaultAtEveryOperation(t *testing.T) {
	failed := 0
	for at, hit := 0, true; hit; at++ {
		mem, op := newFS(), 0
		mustWrite(t, mem, 5, []byte("old"))
		hit = false
		faulty := errorfs.Wrap(mem, errorfs.InjectorFunc(func(o errorfs.Op) error {
			if op++; op-1 != at {
				return nil
			}
			hit = true
			return fmt.Errorf("disk full at %v of %s", o.Kind, o.Path)
		}))
		_, err := write(faulty, dir, 1, metaAt(6), writes(content(2, 2*usual.piece)), new(atomic.Bool), usual)
		if err == nil {
			only(t, mem, 5, 6)
			continue
		}
		failed++
		if !strings.Contains(err.Error(), "disk full") || !strings.Contains(err.Error(), fileName(6, 2)) {
			t.Fatalf("operation %d: %v", at, err)
		}
		only(t, mem, 5)
		mustWrite(t, mem, 6, []byte("again"))
	}
	if failed < 5 {
		t.Errorf("only %d operations could fail", failed)
	}
}

// TestFaultKeepsTheSnapshotOfThatName writes a snapshot of an index and term that a durable file is of already: the log may have
// been dropped for it. Whatever operation with the disk fails, a whole one must be there, also after a power cut.
func TestFaultKeepsTheSnapshotOfThatName(t *testing.T) {
	good := content(1, 2*usual.piece)
	failed := map[errorfs.OpKind]int{}
	for at, hit := 0, true; hit; at++ {
		mem, op := newFS(), 0
		mustWrite(t, mem, 6, good)
		hit = false
		faulty := errorfs.Wrap(mem, errorfs.InjectorFunc(func(o errorfs.Op) error {
			if op++; op-1 != at {
				return nil
			}
			hit = true
			failed[o.Kind]++
			return errors.New("disk full")
		}))
		_, err := write(faulty, dir, 1, metaAt(6), writes(good), new(atomic.Bool), usual)
		for what, fs := range map[string]vfs.FS{"now": mem, "after a power cut": mem.CrashClone(vfs.CrashCloneCfg{})} {
			if got, reading := payload(fs, metaAt(6)); reading != nil || !bytes.Equal(got, good) {
				t.Errorf("operation %d failed with %v: %s the snapshot is %d bytes, %v", at, err, what, len(got), reading)
			}
		}
		only(t, mem, 6)
	}
	for _, kind := range []errorfs.OpKind{errorfs.OpCreate, errorfs.OpFileWrite, errorfs.OpFileSync, errorfs.OpRename, errorfs.OpOpenDir, errorfs.OpStat} {
		if failed[kind] == 0 {
			t.Errorf("nothing of kind %d failed: %v", kind, failed)
		}
	}
}

func TestUserFaultsLeaveNothing(t *testing.T) {
	stopped := new(atomic.Bool)
	for name, c := range map[string]struct {
		write func(io.Writer) error
		want  string
	}{
		"error": {func(io.Writer) error { return errors.New("no state today") }, "no state today"},
		"panic": {func(io.Writer) error { panic("user bug") }, "user bug"},
		"stop": {func(w io.Writer) error {
			stopped.Store(true)
			_, err := w.Write([]byte("late"))
			return err
		}, ErrStopped.Error()},
	} {
		stopped.Store(false)
		fs := newFS()
		_, err := write(fs, dir, 1, metaAt(6), c.write, stopped, usual)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
		only(t, fs)
	}
}

// A disk that does not give a file is no damage of the file: the reason is the disk's own, whatever was being read.
func TestUnreadableIsNotDamaged(t *testing.T) {
	fs := newFS()
	mustWrite(t, fs, 9, content(1, 300))
	good := raw(t, fs, 9)
	broken := errors.New("broken disk")
	for n := range len(good) + 1 {
		in := io.MultiReader(bytes.NewReader(good[:n]), iotest.ErrReader(broken))
		r := &reader{path: "p", in: bufio.NewReaderSize(in, 16)}
		err := r.header()
		if err == nil {
			_, err = io.Copy(io.Discard, r)
		}
		if !errors.Is(err, broken) || errors.Is(err, errDamaged) {
			t.Fatalf("after %d bytes: %v", n, err)
		}
	}
}
