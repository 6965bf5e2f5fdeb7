package persister

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
)

// A gremlin fails the nth change of the disk, and all later ones if it stays.
type gremlin struct {
	nth   int64
	stays bool

	count atomic.Int64
	mu    sync.Mutex
	first *errorfs.Op // that failed
	hits  int
}

func (g *gremlin) MaybeError(op errorfs.Op) error {
	if !anyWrite(op) {
		return nil
	}
	if n := g.count.Add(1); n < g.nth || n > g.nth && !g.stays {
		return nil
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.hits++; g.first == nil {
		g.first = &op
	}
	return &fs.PathError{Op: "inject", Path: op.Path, Err: syscall.EIO}
}

func (g *gremlin) String() string { return "gremlin" }

// hit returns what failed first, or nil.
func (g *gremlin) hit() *errorfs.Op {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.first
}

// TestErrorAtEveryBoundary fails each change of the disk in turn, once or from then on, while groups are founded, write, are
// compacted, reset, loaded again and destroyed. The store must not open, or fail and tell every group; and what is on the disk, with
// the power cut or not, must open again, hold all that was promised and nothing that was not asked for.
func TestErrorAtEveryBoundary(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	part := brief(t, "every seventh change of the disk only")
	for _, stays := range []bool{false, true} {
		step := 1
		if stays {
			step = 3
		}
		if part {
			step *= 7
		}
		kinds, outcomes := map[string]int{}, map[string]int{}
		for n := 1; ; n += step {
			g := &gremlin{nth: int64(n), stays: stays}
			outcome := faulty(t, g, seed)
			if g.hit() == nil {
				break
			}
			kinds[fmt.Sprintf("%d %s", g.hit().Kind, kindOf(g.hit().Path))]++
			outcomes[outcome]++
		}
		t.Logf("stays %v: %v, %v", stays, outcomes, kinds)
		if outcomes["failed"] < 100/step || outcomes["not opened"] < 60/step || len(kinds) < 12/step {
			t.Errorf("too little was tried: %v, %v", outcomes, kinds)
		}
	}
}

// faulty runs a world on a disk that fails, and says what came of it.
func faulty(t *testing.T, g *gremlin, seed uint64) (outcome string) {
	t.Helper()
	disk := vfs.NewCrashableMem()
	cfg := config(errorfs.Wrap(disk, g), "d")
	cfg.MemTableBytes = 64 << 10
	var w *world
	promised, sent := new(atomic.Int64), new(atomic.Int64)
	store, err := Open(cfg)
	if err != nil {
		outcome = "not opened"
		if !strings.Contains(err.Error(), syscall.EIO.Error()) || g.hit() == nil { // some of it Pebble puts in words only
			t.Fatalf("open: %v", err)
		}
		w = &world{rig: &rig{t: t}}
		for i := range w.groups {
			w.groups[i].keep()
		}
	} else {
		r := serve(t, store)
		r.store = store
		w = newWorld(r, seed)
		w.opening = g.hit() != nil
		w.told = func(n int) { promised.Store(max(promised.Load(), int64(n))) }
		w.sends = func(n int) { sent.Store(int64(n)) }
		outcome = w.until(80, g)
	}
	what := fmt.Sprintf("change %d of the disk failed, which is %v, %s", g.nth, g.hit(), outcome)
	c := remains{promised: int(promised.Load()), sent: int(sent.Load())}
	c.disk, c.note = disk.CrashClone(vfs.CrashCloneCfg{}), what+", power cut"
	w.recover(c)
	c.disk, c.note = disk, what
	w.recover(c)
	return outcome
}

// until plays until the store fails or there are so many changes, and ends it.
func (w *world) until(changes int, g *gremlin) (outcome string) {
	w.t.Helper()
	for len(w.order) < changes && w.play() {
	}
	failed := w.store.Failed()
	if failed != nil {
		w.afterFailure(failed)
	}
	err := w.stop()
	op := g.hit()
	switch {
	case op == nil && (failed != nil || err != nil):
		w.t.Fatalf("failed without a fault: %v, %v", failed, err)
	case op == nil:
		return "unharmed"
	case failed != nil && !errors.Is(err, syscall.EIO):
		w.t.Fatalf("failed with %v, close says %v", failed, err)
	case failed != nil:
		return "failed"
	case strings.Contains(op.Path, snapshotsName): // the test's own files, and what a destroyed group leaves
		return "unharmed"
	case w.opening && op.Kind == errorfs.OpRemove: // of what opening has replaced: it is removed another time
		return "unharmed"
	case !errors.Is(err, syscall.EIO):
		w.t.Fatalf("%v failed, close says %v", op, err)
	}
	return "failed while closing"
}

// afterFailure checks that every loaded group is told and that nothing is promised any more.
func (w *world) afterFailure(failed error) {
	w.t.Helper()
	if !errors.Is(failed, syscall.EIO) {
		w.t.Fatalf("failed with %v", failed)
	}
	loaded := 0
	for i := range w.groups {
		if w.groups[i].alive {
			loaded++
		}
	}
	for w.failed < loaded {
		switch m := expect[any](w.rig).(type) {
		case *StoreFailed:
			if !errors.Is(m.Err, syscall.EIO) {
				w.t.Fatalf("told of %v", m.Err)
			}
			w.failed++
		case *Persisted, *Compacted, *Destroyed: // of changes that were durable before, or of a group that nobody speaks for any more
		default:
			w.t.Fatalf("got %T %+v", m, m)
		}
	}
	late := *w.rig
	late.inbox = make(chan any, 16)
	late.me = w.probe(late.inbox)
	const nobody = 99
	for told := false; !told; { // the failure may still be on its way to the persister
		late.send(&Load{Group: nobody, ReplyTo: late.me})
		switch m := expect[any](&late).(type) {
		case *StoreFailed:
			told = true
		case *Loaded:
			if !errors.Is(m.Err, syscall.EIO) {
				w.t.Fatalf("loaded %+v", m)
			}
		default:
			w.t.Fatalf("got %T %+v", m, m)
		}
	}
	for _, m := range []any{
		hardWrite(&late, nobody, 1, Delivery{late.me, "promise"}), &Write{Group: 1, Then: []Delivery{{late.me, "promise"}}, ReplyTo: late.me},
		&Compact{Group: 1, ReplyTo: late.me}, &Destroy{Group: 1, ReplyTo: late.me},
	} {
		late.send(m)
		if f := expect[*StoreFailed](&late); !errors.Is(f.Err, syscall.EIO) {
			w.t.Fatalf("%T after the failure is answered %v", m, f.Err)
		}
	}
	late.nothing()
	if err := w.system.Root.PoisonFuture(late.me).Wait(); err != nil {
		w.t.Error(err)
	}
}
