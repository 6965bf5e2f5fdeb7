package persister

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/cockroachdb/pebble/v2/vfs"
	"go.uber.org/goleak"

	"github.com/troupe-raft/troupe/entry"
	"github.com/troupe-raft/troupe/raft"
	"github.com/troupe-raft/troupe/stage"
)

// TestMain looks for goroutines left behind, but for the timer that protoactor starts with the first dead letter.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/asynkron/protoactor-go/actor.NewDeadLetter.NewThrottle.func4.1"))
}

// patience bounds every wait, so that a test hangs for no longer.
const patience = 20 * time.Second

// brief says that a test is to do a part of its work, and logs why.
func brief(t testing.TB, part string) bool {
	switch {
	case testing.Short():
		t.Logf("-short: %s", part)
	case raced:
		t.Logf("under the race detector: %s", part)
	default:
		return false
	}
	return true
}

var quiet = slog.New(slog.NewTextHandler(io.Discard, nil))

// A rig is a store with its persister, and somebody who talks to it.
type rig struct {
	t      testing.TB
	store  *Store
	system *actor.ActorSystem
	stage  *stage.Live
	pid    *actor.PID
	me     *actor.PID
	inbox  chan any
}

func config(fs vfs.FS, dir string) Config {
	return Config{Dir: dir, FS: fs, Cluster: "test", Node: 1, Log: quiet}
}

// start opens a store and spawns its persister.
func start(t testing.TB, cfg Config, opts ...Option) *rig {
	t.Helper()
	store, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	r := serve(t, store, opts...)
	r.store = store
	return r
}

// serve spawns a persister on any storage.
func serve(t testing.TB, storage Storage, opts ...Option) *rig {
	t.Helper()
	r := &rig{t: t, stage: stage.NewLive(), inbox: make(chan any, 1<<16)}
	r.system = actor.NewActorSystem(actor.WithLoggerFactory(func(*actor.ActorSystem) *slog.Logger { return quiet }))
	r.pid = r.system.Root.Spawn(Props(r.stage, storage, append([]Option{WithLogger(quiet)}, opts...)...))
	r.me = r.probe(r.inbox)
	return r
}

// probe spawns an actor that passes what it gets on to inbox.
func (r *rig) probe(inbox chan any) *actor.PID {
	return r.system.Root.Spawn(stage.Props(r.stage, func() actor.Actor {
		return actor.ReceiveFunc(func(ctx actor.Context) {
			switch m := ctx.Message().(type) {
			case actor.SystemMessage, actor.AutoReceiveMessage:
			default:
				inbox <- m
			}
		})
	}))
}

func (r *rig) send(m any) { r.system.Root.Send(r.pid, m) }

// expect returns the next message, which must be a T.
func expect[T any](r *rig) T {
	r.t.Helper()
	select {
	case m := <-r.inbox:
		if want, ok := m.(T); ok {
			return want
		}
		r.t.Fatalf("got %T %+v, want %T", m, m, *new(T))
	case <-time.After(patience):
		r.t.Fatalf("no %T came", *new(T))
	}
	panic("unreachable")
}

// nothing checks that no message is waiting.
func (r *rig) nothing() {
	r.t.Helper()
	select {
	case m := <-r.inbox:
		r.t.Fatalf("unexpected %T %+v", m, m)
	default:
	}
}

// stop ends the actors, then the store, whose error it returns.
func (r *rig) stop() error {
	r.t.Helper()
	if err := r.system.Root.PoisonFuture(r.pid).Wait(); err != nil {
		r.t.Errorf("stop: %v", err)
	}
	var err error
	if r.store != nil {
		err = r.store.Close()
	}
	if err := r.system.Root.PoisonFuture(r.me).Wait(); err != nil {
		r.t.Errorf("stop: %v", err)
	}
	r.stage.Close()
	r.system.Shutdown()
	return err
}

func (r *rig) stopped() {
	r.t.Helper()
	if err := r.stop(); err != nil {
		r.t.Errorf("close: %v", err)
	}
}

func (r *rig) load(g raft.GroupID) *Loaded {
	r.t.Helper()
	r.send(&Load{Group: g, Founding: founding, ReplyTo: r.me})
	return expect[*Loaded](r)
}

// loaded loads a group that must be fine.
func (r *rig) loaded(g raft.GroupID) raft.State {
	r.t.Helper()
	l := r.load(g)
	if l.Err != nil {
		r.t.Fatal(l.Err)
	}
	if want := r.bytes(g, l.State); l.State.Bytes != want {
		r.t.Errorf("a log of %d bytes was loaded, stored are %d", l.State.Bytes, want)
	}
	return sizeless(l.State)
}

// bytes is the size of all blocks of a loaded log.
func (r *rig) bytes(g raft.GroupID, s raft.State) (n int) {
	r.t.Helper()
	if len(s.Runs) == 0 {
		return 0
	}
	blocks, err := r.store.Blocks(g, s.Prev.Index+1, s.Runs[len(s.Runs)-1].Last, 1<<30)
	if err != nil {
		r.t.Fatal(err)
	}
	for _, b := range blocks {
		n += b.Size()
	}
	return n
}

// sizeless is a state without the size of its log, which depends on how entries are encoded.
func sizeless(s raft.State) raft.State {
	s.Bytes = 0
	return s
}

// write stores blocks, with the term that they need, and waits.
func (r *rig) write(g raft.GroupID, blocks ...*entry.Block) {
	r.t.Helper()
	last := blocks[len(blocks)-1]
	hard := raft.HardState{Term: last.Term(), Vote: 1}
	r.send(&Write{Group: g, Hard: &hard, Blocks: blocks, Ack: &raft.Persisted{Last: last.Last(), Term: last.Term()}, ReplyTo: r.me})
	if p := expect[*Persisted](r); p.Group != g || p.Ack.Last != last.Last() {
		r.t.Fatalf("got %+v", p)
	}
}

var founding = raft.Membership{Voters: []raft.NodeID{1, 2, 3}, Members: []raft.Member{{ID: 1, Addr: "a:1"}}}

// block makes a block of count commands that say where they are.
func block(term raft.Term, first raft.Index, count int) *entry.Block {
	return padded(term, first, count, 0)
}

func padded(term raft.Term, first raft.Index, count, size int) *entry.Block {
	var b entry.Builder
	for i := range count {
		b.Append(raft.Command, 0, 0, 0, append(fmt.Appendf(nil, "%d/%d ", first+raft.Index(i), term), bytes.Repeat([]byte("x"), size)...))
	}
	return b.Seal(term, first)
}

// log reads a group's log from index from on, as index/term pairs, through Blocks of few bytes each.
func (r *rig) log(g raft.GroupID, from, to raft.Index) string {
	r.t.Helper()
	var b bytes.Buffer
	for from <= to {
		blocks, err := r.store.Blocks(g, from, to, 200)
		if err != nil {
			r.t.Fatal(err)
		}
		for _, block := range blocks {
			for e := range block.All() {
				if want := fmt.Sprintf("%d/%d ", e.Index, e.Term); e.Kind == raft.Command && !bytes.HasPrefix(e.Data, []byte(want)) {
					r.t.Fatalf("entry %d holds %q", e.Index, e.Data)
				}
				if e.Index >= from {
					fmt.Fprintf(&b, "%d/%d ", e.Index, e.Term)
				}
			}
			from = block.Last() + 1
		}
	}
	return b.String()
}
