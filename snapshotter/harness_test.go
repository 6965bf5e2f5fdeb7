package snapshotter

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/cockroachdb/pebble/v2/vfs"
	"go.uber.org/goleak"

	"github.com/troupe-raft/troupe/raft"
	"github.com/troupe-raft/troupe/remote"
	"github.com/troupe-raft/troupe/stage"
)

// throttle counts dead letters for a second and ends by itself.
var throttle = goleak.IgnoreTopFunction("github.com/asynkron/protoactor-go/actor.NewDeadLetter.NewThrottle.func4.1")

func TestMain(m *testing.M) { goleak.VerifyTestMain(m, throttle) }

const (
	dir       = "store/snapshots"
	deadline  = 30 * time.Second
	manySteps = 200_000
)

var (
	quiet   = slog.New(slog.DiscardHandler)
	members = raft.Membership{Voters: []raft.NodeID{1, 2, 3}}
)

func metaAt(index raft.Index) raft.SnapshotMeta {
	return raft.SnapshotMeta{Index: index, Term: 2, Membership: members}
}

// content is what the test's state machines write: it looks random, so that no two pieces are alike.
func content(seed uint64, size int) []byte {
	b := make([]byte, size)
	r := rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8)})
	r.Read(b)
	return b
}

func writes(b []byte) func(io.Writer) error {
	return func(w io.Writer) error { _, err := w.Write(b); return err }
}

func newFS() *vfs.MemFS {
	fs := vfs.NewCrashableMem()
	if err := makeDir(fs, dir); err != nil {
		panic(err)
	}
	return fs
}

func mustWrite(t testing.TB, fs vfs.FS, index raft.Index, b []byte) {
	t.Helper()
	if _, err := write(fs, dir, 1, metaAt(index), writes(b), new(atomic.Bool), usual); err != nil {
		t.Fatal(err)
	}
}

func payload(fs vfs.FS, meta raft.SnapshotMeta) ([]byte, error) {
	r, err := Open(fs, dir, meta, 0)
	if err != nil {
		return nil, err
	}
	b, err := io.ReadAll(r)
	return b, errors.Join(err, r.Close())
}

func names(t testing.TB, fs vfs.FS) []string {
	t.Helper()
	list, err := fs.List(dir)
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(list)
	return list
}

// only checks what is in the folder.
func only(t testing.TB, fs vfs.FS, indices ...raft.Index) {
	t.Helper()
	var want []string
	for _, i := range indices {
		want = append(want, fileName(i, 2))
	}
	if got := names(t, fs); !slices.Equal(got, want) {
		t.Fatalf("the folder holds\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// A world is a few nodes' snapshotters on a seeded stage, each with a parent that notes what it is told, and a network.
type world struct {
	t      testing.TB
	stage  *stage.Seeded
	system *actor.ActorSystem
	nodes  map[raft.NodeID]*node
	lose   func(from, to raft.NodeID, message any) bool
	chunks []*remote.SnapshotChunk // that were delivered
}

type node struct {
	id     raft.NodeID
	fs     vfs.FS
	parent *actor.PID
	snap   *actor.PID
	said   []any
	every  uint64
}

func newWorld(t testing.TB, seed uint64, ids ...raft.NodeID) *world {
	w := &world{t: t, stage: stage.NewSeeded(seed), nodes: map[raft.NodeID]*node{}}
	w.system = actor.NewActorSystem(actor.WithLoggerFactory(func(*actor.ActorSystem) *slog.Logger { return quiet }))
	t.Cleanup(stage.DropDeadLetters(w.system)) // as a host does
	for _, id := range ids {
		w.nodes[id] = &node{id: id, fs: newFS()}
		w.start(id, raft.SnapshotMeta{})
	}
	return w
}

// start gives a node a snapshotter and orders for it.
func (w *world) start(id raft.NodeID, snapshot raft.SnapshotMeta) {
	n := w.nodes[id]
	n.snap = nil
	cfg := Config{
		Group: 1, Node: id, Stage: w.stage, FS: n.fs, Dir: dir, Every: n.every, ChunkBytes: 1000, Log: quiet,
		Sender: func(to raft.NodeID) *actor.PID { return w.link(id, to) },
	}
	if err := cfg.Validate(); err != nil {
		w.t.Fatal(err)
	}
	n.parent = w.system.Root.Spawn(stage.Props(w.stage, func() actor.Actor {
		return actor.ReceiveFunc(func(c actor.Context) {
			switch m := c.Message().(type) {
			case *actor.Started:
				n.snap = c.Spawn(Props(cfg))
			case *OnDuty:
				c.Send(n.snap, &Orders{Term: 2, Snapshot: snapshot})
			case actor.SystemMessage, actor.AutoReceiveMessage:
			default:
				n.said = append(n.said, m)
			}
		})
	}, stage.WithLogger(quiet)))
	w.settle()
}

// stop ends a node's snapshotter between any two messages.
func (w *world) stop(id raft.NodeID) {
	w.system.Root.Stop(w.nodes[id].parent)
	w.stage.Run(func() bool {
		_, alive := w.system.ProcessRegistry.GetLocal(w.nodes[id].parent.Id)
		return !alive
	}, manySteps)
}

// link makes the way from one node to another.
func (w *world) link(from, to raft.NodeID) *actor.PID {
	name := fmt.Sprintf("link-%d-%d", from, to)
	if pid := actor.NewPID(w.system.Address(), name); w.alive(pid) {
		return pid
	}
	pid, err := w.system.Root.SpawnNamed(stage.Props(w.stage, func() actor.Actor {
		return actor.ReceiveFunc(func(c actor.Context) {
			post, ok := c.Message().(*remote.Post)
			if !ok || w.lose != nil && w.lose(from, to, post.Envelope.Message) {
				return
			}
			switch m := post.Envelope.Message.(type) {
			case *remote.SnapshotChunk:
				copied := *m
				copied.Data = slices.Clone(m.Data)
				w.chunks = append(w.chunks, &copied)
				c.Send(w.nodes[to].snap, &Chunk{From: from, Message: &copied})
			case *remote.SnapshotChunkReply:
				c.Send(w.nodes[to].snap, &ChunkReply{From: from, Message: m})
			}
		})
	}, stage.WithLogger(quiet)), name)
	if err != nil {
		w.t.Fatal(err)
	}
	return pid
}

func (w *world) alive(pid *actor.PID) bool {
	_, ok := w.system.ProcessRegistry.GetLocal(pid.Id)
	return ok
}

// settle does all that can be done without time passing.
func (w *world) settle() { w.stage.Advance(0) }

func (w *world) send(id raft.NodeID, m any) {
	w.system.Root.Send(w.nodes[id].snap, m)
}

// tell sends and settles.
func (w *world) tell(id raft.NodeID, m any) {
	w.send(id, m)
	w.settle()
}

// said returns, and forgets, what a node's parent was told, which must be of one type.
func said[T any](w *world, id raft.NodeID) []T {
	w.t.Helper()
	var out []T
	for _, m := range w.nodes[id].said {
		v, ok := m.(T)
		if !ok {
			w.t.Fatalf("node %d's parent was told %T %+v, want %T", id, m, m, *new(T))
		}
		out = append(out, v)
	}
	w.nodes[id].said = nil
	return out
}

// one returns the only thing that was said.
func one[T any](w *world, id raft.NodeID) T {
	w.t.Helper()
	all := said[T](w, id)
	if len(all) != 1 {
		w.t.Fatalf("node %d's parent was told %d %T, want one", id, len(all), *new(T))
	}
	return all[0]
}

// until runs the world until a node's parent was told something.
func (w *world) until(id raft.NodeID) {
	w.t.Helper()
	if !w.stage.Run(func() bool { return len(w.nodes[id].said) > 0 }, manySteps) {
		w.t.Fatalf("node %d's parent was told nothing", id)
	}
}

// outcome is a Waiter.
type outcome struct {
	calls int
	index raft.Index
	err   error
	done  chan struct{}
}

func (o *outcome) Resolve(index raft.Index, _ []byte, err error) {
	if o.calls++; o.calls == 1 {
		o.index, o.err = index, err
		if o.done != nil {
			close(o.done)
		}
	}
}
