package persister

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/troupe-raft/troupe/entry"
	"github.com/troupe-raft/troupe/raft"
)

// A saboteur makes operations fail once it is armed.
type saboteur struct {
	armed atomic.Bool
	hits  atomic.Int64
	err   error
	fails func(op errorfs.Op) bool
}

func (s *saboteur) MaybeError(op errorfs.Op) error {
	if s.armed.Load() && s.fails(op) {
		s.hits.Add(1)
		return &fs.PathError{Op: "inject", Path: op.Path, Err: s.err}
	}
	return nil
}

func (s *saboteur) String() string { return "saboteur" }

func on(suffix string, kinds ...errorfs.OpKind) func(errorfs.Op) bool {
	return func(op errorfs.Op) bool {
		for _, k := range kinds {
			if op.Kind == k && strings.HasSuffix(filepath.Base(op.Path), suffix) {
				return true
			}
		}
		return false
	}
}

func anyWrite(op errorfs.Op) bool {
	switch op.Kind {
	case errorfs.OpFileWrite, errorfs.OpFileWriteAt, errorfs.OpFileSync, errorfs.OpFileSyncData, errorfs.OpFileSyncTo,
		errorfs.OpCreate, errorfs.OpRename, errorfs.OpLink, errorfs.OpRemove, errorfs.OpRemoveAll, errorfs.OpMkdirAll:
		return true
	}
	return false
}

// TestFailStop breaks one store's disk in every way, while another store of the process goes on. The broken one must tell
// its groups, acknowledge nothing, close in time, and be found as after a power cut when it is opened again.
func TestFailStop(t *testing.T) {
	for name, s := range map[string]*saboteur{
		"log write":              {err: syscall.EIO, fails: on(".log", errorfs.OpFileWrite)},
		"log sync":               {err: syscall.EIO, fails: on(".log", errorfs.OpFileSync, errorfs.OpFileSyncData)},
		"disk full":              {err: syscall.ENOSPC, fails: anyWrite},
		"new log":                {err: syscall.ENOSPC, fails: on(".log", errorfs.OpCreate)},
		"folder sync":            {err: syscall.EIO, fails: on("pebble", errorfs.OpFileSync)},
		"table write":            {err: syscall.ENOSPC, fails: on(".sst", errorfs.OpFileWrite)},
		"table create":           {err: syscall.EMFILE, fails: on(".sst", errorfs.OpCreate)},
		"table sync":             {err: syscall.EIO, fails: on(".sst", errorfs.OpFileSync, errorfs.OpFileSyncData)},
		"manifest write or sync": {err: syscall.EIO, fails: func(op errorfs.Op) bool { return anyWrite(op) && strings.Contains(op.Path, "MANIFEST") }},
	} {
		t.Run(name, func(t *testing.T) { failStop(t, s) })
	}
}

func failStop(t *testing.T, s *saboteur) {
	mem := vfs.NewCrashableMem()
	cfg := config(errorfs.Wrap(mem, s), "d")
	cfg.MemTableBytes = 256 << 10
	r := start(t, cfg)
	other := start(t, config(vfs.NewMem(), "d"))
	other.loaded(1)
	for g := range raft.GroupID(3) {
		r.loaded(g)
	}
	acked := raft.Index(0)
	for acked < 20 {
		r.write(1, padded(1, acked+1, 1, 1000))
		acked++
	}
	s.armed.Store(true)
	sent := acked
	for range 3000 { // enough to flush several memtables, if nothing fails before
		sent++
		r.send(&Write{
			Group: 1, Blocks: []*entry.Block{padded(1, sent, 1, 1000)}, Ack: &raft.Persisted{Last: sent}, ReplyTo: r.me,
			Then: []Delivery{{r.me, sent}},
		})
	}
	told := 0
	for told < 3 {
		switch m := expect[any](r).(type) {
		case raft.Index:
			if m != acked+1 {
				t.Fatalf("entry %d let go after %d", m, acked)
			}
		case *Persisted:
			acked = m.Ack.Last
		case *StoreFailed:
			if !errors.Is(m.Err, s.err) {
				t.Fatalf("failed with %v, want %v", m.Err, s.err)
			}
			told++
		}
	}
	if s.hits.Load() == 0 {
		t.Error("nothing was sabotaged")
	}
	r.send(&Load{Group: 2, ReplyTo: r.me})
	for {
		if f, ok := expect[any](r).(*StoreFailed); ok && f != nil {
			break
		}
	}
	if _, err := r.store.Blocks(1, 1, 1, 1); !errors.Is(err, s.err) {
		t.Errorf("reading a failed store: %v", err)
	}
	for i := range raft.Index(5) {
		other.write(1, block(1, i+1, 1))
	}
	other.stopped()
	if err := r.stop(); !errors.Is(err, s.err) {
		t.Errorf("close says %v", err)
	}
	r = start(t, config(mem.CrashClone(vfs.CrashCloneCfg{}), "d"))
	defer r.stopped()
	st := r.loaded(1)
	if last := st.Runs[0].Last; last < acked {
		t.Errorf("log ends at %d, acknowledged was %d", last, acked)
	}
}

// TestOpenOnFailingDisk opens a store with a log to replay on a disk that takes no tables any more. Open must say so instead of trying
// for ever, and open once the disk is well again.
func TestOpenOnFailingDisk(t *testing.T) {
	for name, s := range map[string]*saboteur{
		"table write":  {err: syscall.ENOSPC, fails: on(".sst", errorfs.OpFileWrite)},
		"table create": {err: syscall.EMFILE, fails: on(".sst", errorfs.OpCreate)},
		"manifest":     {err: syscall.EIO, fails: func(op errorfs.Op) bool { return anyWrite(op) && strings.Contains(op.Path, "MANIFEST") }},
		"new log":      {err: syscall.ENOSPC, fails: on(".log", errorfs.OpCreate)},
		"note":         {err: syscall.EIO, fails: on(newestTemp, errorfs.OpFileWrite)},
		"all":          {err: syscall.EROFS, fails: anyWrite},
	} {
		mem := vfs.NewCrashableMem()
		r := start(t, config(mem, "d"))
		r.loaded(1)
		r.write(1, padded(1, 1, 10, 100))
		cut := mem.CrashClone(vfs.CrashCloneCfg{}) // the log is not flushed
		r.stopped()
		s.armed.Store(true)
		opened := make(chan error, 1)
		go func() {
			store, err := Open(config(errorfs.Wrap(cut, s), "d"))
			if err == nil {
				err = errors.Join(errors.New("it opens"), store.Close())
			}
			opened <- err
		}()
		select {
		case err := <-opened:
			if !errors.Is(err, s.err) || s.hits.Load() == 0 {
				t.Errorf("%s: got %v", name, err)
			}
		case <-time.After(patience):
			t.Fatalf("%s: Open hangs", name)
		}
		r = start(t, config(cut, "d"))
		r.loaded(1)
		if got := r.log(1, 1, 10); got != "1/1 2/1 3/1 4/1 5/1 6/1 7/1 8/1 9/1 10/1 " {
			t.Errorf("%s: once the disk is well there is %s", name, got)
		}
		r.stopped()
	}
}

// A log that could not be noted takes no other's place: the one before is still noted, and must not be removed, or no later start would open.
func TestLogStaysUntilTheNextIsNoted(t *testing.T) {
	s := &saboteur{err: syscall.EIO, fails: on(newestTemp, errorfs.OpFileWrite)}
	r := start(t, config(errorfs.Wrap(vfs.NewMem(), s), "d"))
	noted := r.store.ice.newest
	s.armed.Store(true)
	if err := r.store.ice.note("999999.log"); !errors.Is(err, s.err) {
		t.Errorf("got %v", err)
	}
	if err := r.store.ice.forget("888888.log"); err != nil || r.store.ice.newest != noted {
		t.Errorf("it takes %q for noted, %v", r.store.ice.newest, err)
	}
	if err := r.store.ice.forget(noted); !errors.Is(err, s.err) || r.store.ice.newest != noted {
		t.Errorf("it takes %q for noted, %v", r.store.ice.newest, err)
	}
	s.armed.Store(false)
	r.stopped()
}

// TestLogStaysWhileItIsNoted removes the newest log on a disk that cannot note that there is none. The log must stay, or the next start
// would miss it.
func TestLogStaysWhileItIsNoted(t *testing.T) {
	mem := vfs.NewMem()
	s := &saboteur{err: syscall.EIO, fails: on(newestTemp, errorfs.OpFileWrite)}
	r := start(t, config(errorfs.Wrap(mem, s), "d"))
	s.armed.Store(true)
	log := "d/pebble/" + r.store.ice.newest
	if err := r.store.ice.Remove(log); err != nil {
		t.Errorf("got %v", err)
	}
	if _, err := mem.Stat(log); err != nil || s.hits.Load() != 1 || !errors.Is(r.store.Failed(), syscall.EIO) {
		t.Errorf("%v; %d faults, %v", err, s.hits.Load(), r.store.Failed())
	}
	if err := r.stop(); !errors.Is(err, syscall.EIO) {
		t.Errorf("close says %v", err)
	}
	r = start(t, config(mem, "d"))
	r.stopped()
}

// TestUnremovable keeps a destroyed group's snapshots from being removed. The group is gone all the same, the store goes on, and
// they go when it is opened next.
func TestUnremovable(t *testing.T) {
	mem := vfs.NewMem()
	s := &saboteur{err: syscall.EIO, fails: func(op errorfs.Op) bool { return op.Kind == errorfs.OpRemoveAll }}
	r := start(t, config(errorfs.Wrap(mem, s), "d"))
	r.loaded(1)
	r.loaded(2)
	dir := r.store.SnapshotDir(1)
	if err := mem.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	s.armed.Store(true)
	r.send(&Destroy{Group: 1, ReplyTo: r.me})
	if d := expect[*Destroyed](r); d.Err != nil {
		t.Errorf("got %+v", d)
	}
	r.write(2, block(1, 1, 1)) // its acknowledgement comes after the removal was tried
	if _, err := mem.Stat(dir); s.hits.Load() != 1 || err != nil {
		t.Errorf("%d removals failed, %v", s.hits.Load(), err)
	}
	r.stopped()
	r = start(t, config(mem, "d"))
	defer r.stopped()
	if _, err := mem.Stat(dir); err == nil {
		t.Error("the snapshots are still there")
	}
	if l := r.load(1); !l.Fresh {
		t.Errorf("got %+v", l)
	}
	r.loaded(2)
	if got := r.log(2, 1, 1); got != "1/1 " {
		t.Errorf("the other group has %s", got)
	}
}

// TestReadError of a log is told to its group, and to no other.
func TestReadError(t *testing.T) {
	mem := vfs.NewMem()
	s := &saboteur{err: syscall.EIO, fails: on(".sst", errorfs.OpFileReadAt, errorfs.OpFileRead, errorfs.OpOpen)}
	r := start(t, config(mem, "d"))
	r.loaded(1)
	r.write(1, padded(1, 1, 10, 4000)) // more than the blocks of the table that opening reads
	r.stopped()
	r = start(t, config(errorfs.Wrap(mem, s), "d")) // its log is a table now
	defer r.stop()
	s.armed.Store(true)
	if l := r.load(1); l.Err == nil || !errors.Is(l.Err, syscall.EIO) {
		t.Errorf("got %+v", l)
	}
	if s.hits.Load() == 0 {
		t.Error("nothing was sabotaged")
	}
}

// TestStuckDisk never answers a sync. Close must give up.
func TestStuckDisk(t *testing.T) {
	s := &turnstile{held: make(chan struct{}, 1)}
	cfg := config(errorfs.Wrap(vfs.NewMem(), s), "d")
	cfg.CloseWithin = 1
	r := start(t, cfg)
	r.loaded(1)
	for len(s.held) > 0 {
		<-s.held
	}
	s.gate.Lock()
	r.send(hardWrite(r, 1, 1))
	<-s.held
	if err := r.stop(); err == nil || !strings.Contains(err.Error(), "did not answer") {
		t.Errorf("close says %v", err)
	}
	s.gate.Unlock()
	if err := r.store.Close(); err != nil && !strings.Contains(err.Error(), "did not answer") {
		t.Errorf("close says %v", err)
	}
	<-r.store.closed
}

func TestCloseTwice(t *testing.T) {
	r := start(t, config(vfs.NewMem(), "d"))
	r.loaded(1)
	r.stopped()
	if err := r.store.Close(); err != nil {
		t.Error(err)
	}
	if _, err := r.store.Blocks(1, 1, 1, 1); !errors.Is(err, ErrClosed) {
		t.Errorf("reading a closed store: %v", err)
	}
	got := make(chan error, 2)
	r.store.Commit(nil, func(err error) { got <- err })
	r.store.Load(1, func(_ raft.State, _ bool, err error) { got <- err })
	for range 2 {
		if err := <-got; !errors.Is(err, ErrClosed) {
			t.Errorf("a closed store says %v", err)
		}
	}
	_ = fmt.Sprint(r.store.SnapshotDir(1))
}
