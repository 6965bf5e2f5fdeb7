package persister

import (
	"bytes"
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/troupe-raft/troupe/raft"
)

// populate returns a disk with a store that was cut short, and the state of its group 1.
func populate(t testing.TB) (*vfs.MemFS, raft.State) {
	t.Helper()
	disk := vfs.NewCrashableMem()
	r := start(t, config(disk, "d"))
	r.loaded(1)
	r.write(1, block(1, 1, 3))
	r.write(1, block(2, 3, 20))
	r.send(&Compact{Group: 1, Meta: raft.SnapshotMeta{Index: 2, Term: 1, Membership: founding}, Through: 2, ReplyTo: r.me})
	expect[*Compacted](r)
	r.write(1, padded(2, 23, 2, 700))
	for i := range raft.Term(8) {
		r.send(&Write{Group: 1, Hard: &raft.HardState{Term: 3 + i}, Ack: &raft.Persisted{}, ReplyTo: r.me})
		expect[*Persisted](r)
	}
	state := r.loaded(1)
	cut := disk.CrashClone(vfs.CrashCloneCfg{})
	r.stopped()
	return cut, state
}

// flushed returns the disk after a restart, which makes tables of the log, and a clean end.
func flushed(t *testing.T, disk *vfs.MemFS) *vfs.MemFS {
	t.Helper()
	r := start(t, config(disk, "d"))
	r.loaded(1)
	r.stopped()
	return disk
}

// outcome opens a damaged store. It must refuse, refuse its group, or have lost nothing.
func outcome(t *testing.T, disk vfs.FS, want raft.State, what string) (refused bool) {
	t.Helper()
	store, err := Open(config(disk, "d"))
	if err != nil {
		var refusal *OpenError
		if !errors.As(err, &refusal) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: refused with %T %v", what, err, err)
		}
		return true
	}
	defer store.Close()
	type result struct {
		state raft.State
		fresh bool
		err   error
	}
	done := make(chan result, 1)
	store.Load(1, func(s raft.State, fresh bool, err error) { done <- result{s, fresh, err} })
	got := <-done
	if got.err != nil {
		return true
	}
	if got.fresh || !reflect.DeepEqual(sizeless(got.state), want) {
		t.Errorf("%s: silently became fresh %v\n%+v, was\n%+v", what, got.fresh, got.state, want)
	}
	return false
}

// TestFlippedBits flips bits all over a store's files, cut short or cleanly closed.
func TestFlippedBits(t *testing.T) {
	step := 13
	if testing.Short() {
		step = 41
	}
	cut, want := populate(t)
	for name, disk := range map[string]*vfs.MemFS{
		"cut short": cut,
		"closed":    flushed(t, cut.CrashClone(vfs.CrashCloneCfg{})),
	} {
		refused := map[string]int{}
		for _, file := range files(t, disk) {
			content, err := readFile(disk, file)
			if err != nil {
				t.Fatal(err)
			}
			for i := 0; i < len(content); i += step {
				bad := bytes.Clone(content)
				bad[i] ^= 1 << (i % 8)
				copied := disk.CrashClone(vfs.CrashCloneCfg{})
				if err := writeFile(copied, file, bad); err != nil {
					t.Fatal(err)
				}
				if outcome(t, copied, want, name+", "+file) {
					refused[kindOf(file)]++
				}
			}
		}
		t.Logf("%s: refused %v", name, refused)
		for _, kind := range []string{"IDENTITY", "MANIFEST"} {
			if refused[kind] == 0 {
				t.Errorf("%s: no damage of a %s was noticed", name, kind)
			}
		}
	}
}

func kindOf(file string) string {
	name := file[strings.LastIndexByte(file, '/')+1:]
	if i := strings.IndexAny(name, "-."); i > 0 && name[0] >= 'A' {
		return name[:i]
	}
	return name[strings.LastIndexByte(name, '.')+1:]
}

func files(t testing.TB, fs vfs.FS) (paths []string) {
	t.Helper()
	for _, dir := range []string{"d", "d/pebble"} {
		names, err := fs.List(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			if info, err := fs.Stat(dir + "/" + name); err == nil && !info.IsDir() && info.Size() > 0 {
				paths = append(paths, dir+"/"+name)
			}
		}
	}
	return paths
}

// TestMissingFiles removes each file and the database. Nobody misses those that were about to be removed anyway.
func TestMissingFiles(t *testing.T) {
	cut, want := populate(t)
	closed := flushed(t, cut.CrashClone(vfs.CrashCloneCfg{}))
	missed := map[string]int{}
	for name, disk := range map[string]*vfs.MemFS{"cut short": cut, "closed": closed} {
		for _, file := range append(files(t, disk), "d/pebble") {
			copied := disk.CrashClone(vfs.CrashCloneCfg{})
			if err := copied.RemoveAll(file); err != nil {
				t.Fatal(err)
			}
			if outcome(t, copied, want, name+", without "+file) {
				missed[kindOf(file)]++
			}
		}
		names, err := disk.List("d/pebble")
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range names {
			if !strings.HasPrefix(file, "marker.manifest") {
				continue
			}
			copied := disk.CrashClone(vfs.CrashCloneCfg{})
			if err := copied.Remove("d/pebble/" + file); err != nil {
				t.Fatal(err)
			}
			if !outcome(t, copied, want, name+", without "+file) {
				t.Errorf("%s: nobody misses %s", name, file)
			}
		}
	}
	for _, kind := range []string{"IDENTITY", "MANIFEST", "log", "sst", "pebble"} {
		if missed[kind] == 0 {
			t.Errorf("nobody misses a %s; missed are %v", kind, missed)
		}
	}
}

// TestNewestLogIsMissed has Pebble begin a new log while the store runs: what is in it then is newer than the opening that was counted.
func TestNewestLogIsMissed(t *testing.T) {
	disk := vfs.NewCrashableMem()
	r := start(t, config(disk, "d"))
	r.loaded(1)
	r.write(1, block(1, 1, 3))
	if err := r.store.db.Flush(); err != nil {
		t.Fatal(err)
	}
	r.write(1, block(1, 4, 2))
	want := r.loaded(1)
	cut := disk.CrashClone(vfs.CrashCloneCfg{})
	r.stopped()
	newest := ""
	for _, file := range files(t, cut) {
		if kindOf(file) == "log" {
			newest = max(newest, file)
		}
	}
	if err := cut.Remove(newest); err != nil {
		t.Fatal(err)
	}
	if !outcome(t, cut, want, "without "+newest) {
		t.Errorf("nobody misses %s", newest)
	}
}

// TestEmptiedFiles makes each file zero bytes long, and each sector zero.
func TestEmptiedFiles(t *testing.T) {
	cut, want := populate(t)
	closed := flushed(t, cut.CrashClone(vfs.CrashCloneCfg{}))
	for _, file := range files(t, closed) {
		copied := closed.CrashClone(vfs.CrashCloneCfg{})
		if err := writeFile(copied, file, nil); err != nil {
			t.Fatal(err)
		}
		outcome(t, copied, want, "empty "+file)
	}
	for _, file := range files(t, cut) {
		content, err := readFile(cut, file)
		if err != nil {
			t.Fatal(err)
		}
		for at := 0; at+scanSector <= len(content)-scanSector; at += scanSector { // the last one may look torn
			bad := bytes.Clone(content)
			clear(bad[at : at+scanSector])
			copied := cut.CrashClone(vfs.CrashCloneCfg{})
			if err := writeFile(copied, file, bad); err != nil {
				t.Fatal(err)
			}
			outcome(t, copied, want, "zeroed sector of "+file)
		}
	}
}
