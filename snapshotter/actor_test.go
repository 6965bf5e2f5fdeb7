package snapshotter

import (
	"bytes"
	"errors"
	"io"
	"log/slog"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/troupe-raft/troupe/raft"
	"github.com/troupe-raft/troupe/remote"
	"github.com/troupe-raft/troupe/stage"
)

// newTaker is a world of one node that snapshots every ten entries.
func newTaker(t *testing.T, wrap func(vfs.FS) vfs.FS) *world {
	w := newWorld(t, 1)
	w.nodes[1] = &node{id: 1, fs: wrap(newFS()), every: 10}
	w.start(1, raft.SnapshotMeta{})
	return w
}

func plain(fs vfs.FS) vfs.FS { return fs }

func captured(index raft.Index) *Captured {
	return &Captured{Meta: metaAt(index), Write: writes([]byte("state"))}
}

func TestSnapshotIsTakenWhenDue(t *testing.T) {
	w := newTaker(t, plain)
	w.tell(1, &Applied{Index: 9})
	said[any](w, 1)
	w.tell(1, &Applied{Index: 10})
	w.tell(1, &Applied{Index: 11})
	one[*WantCapture](w, 1)
	w.tell(1, captured(11))
	if taken := one[*Taken](w, 1); taken.Err != nil || taken.Meta.Index != 11 || taken.Size == 0 {
		t.Errorf("%+v", taken)
	}
	only(t, w.nodes[1].fs, 11)
	w.tell(1, &Applied{Index: 20})
	if got := said[any](w, 1); len(got) > 0 {
		t.Errorf("nine entries later: %T", got[0])
	}
	w.tell(1, &Applied{Index: 21})
	one[*WantCapture](w, 1)
}

func TestNothingIsTakenBeforeOrders(t *testing.T) {
	s := &snapshotter{Config: Config{Every: 10, Stage: stage.NewSeeded(1)}, applied: 100}
	s.consider(nil) // would need a context to ask for a capture
}

func TestTakeJoinsAndAnswersWithTheNewest(t *testing.T) {
	w := newTaker(t, plain)
	var first, second, third, empty outcome
	w.tell(1, &Take{Waiter: &empty})
	one[*WantCapture](w, 1)
	w.tell(1, captured(0))
	if said[any](w, 1); empty.calls != 1 || empty.index != 0 || empty.err != nil {
		t.Errorf("nothing applied: %+v", empty)
	}
	w.tell(1, &Take{Waiter: &first})
	w.tell(1, &Take{Waiter: &second})
	one[*WantCapture](w, 1)
	w.tell(1, captured(3))
	one[*Taken](w, 1)
	w.tell(1, &Take{Waiter: &third})
	one[*WantCapture](w, 1)
	w.tell(1, captured(3))
	if got := said[any](w, 1); len(got) > 0 {
		t.Errorf("nothing was applied since, but %T", got[0])
	}
	for i, o := range []*outcome{&first, &second, &third} {
		if o.calls != 1 || o.index != 3 || o.err != nil {
			t.Errorf("waiter %d: %+v", i, o)
		}
	}
}

func TestFailedSnapshotIsTriedAgainLater(t *testing.T) {
	full := true
	w := newTaker(t, func(fs vfs.FS) vfs.FS {
		return errorfs.Wrap(fs, errorfs.InjectorFunc(func(o errorfs.Op) error {
			if full && o.Kind == errorfs.OpFileWrite {
				return errors.New("no space left on device")
			}
			return nil
		}))
	})
	var forced outcome
	w.tell(1, &Take{Waiter: &forced})
	one[*WantCapture](w, 1)
	w.tell(1, captured(10))
	if taken := one[*Taken](w, 1); taken.Err == nil {
		t.Fatal("a full disk was not noticed")
	}
	if forced.err == nil {
		t.Error("the waiter was told nothing of it")
	}
	only(t, w.nodes[1].fs)
	w.tell(1, &Applied{Index: 20})
	if got := said[any](w, 1); len(got) > 0 {
		t.Fatalf("%T right after a failure", got[0])
	}
	w.stage.Advance(time.Second)
	full = false
	w.tell(1, &Applied{Index: 21})
	one[*WantCapture](w, 1)
	w.tell(1, captured(21))
	if taken := one[*Taken](w, 1); taken.Err != nil {
		t.Error(taken.Err)
	}
}

func TestRefusedCaptureAndUserPanicAreReported(t *testing.T) {
	for name, c := range map[string]*Captured{
		"refused": {Err: errors.New("not now")},
		"panic":   {Meta: metaAt(4), Write: func(io.Writer) error { panic("user bug") }},
	} {
		w := newTaker(t, plain)
		w.tell(1, &Take{Waiter: &outcome{}})
		one[*WantCapture](w, 1)
		w.tell(1, c)
		if taken := one[*Taken](w, 1); taken.Err == nil {
			t.Errorf("%s: %+v", name, taken)
		}
		only(t, w.nodes[1].fs)
	}
}

func TestPauseDoublesUpToItsLimit(t *testing.T) {
	if c := (Config{}).withDefaults(); c.pauseAfter(1) != time.Second || c.pauseAfter(2) != 2*time.Second || c.pauseAfter(1000) != 5*time.Minute {
		t.Errorf("%v %v %v", c.pauseAfter(1), c.pauseAfter(2), c.pauseAfter(1000))
	}
}

func TestOrdersTidyWhatACrashLeft(t *testing.T) {
	w := newWorld(t, 1, 1)
	fs := w.nodes[1].fs
	for _, i := range []raft.Index{3, 5, 8} {
		mustWrite(t, fs, i, nil)
	}
	for _, name := range []string{fileName(9, 2) + ".tmp", fileName(5, 2) + ".100.00000000.part"} {
		put(t, fs, fs.PathJoin(dir, name), []byte("half"))
	}
	w.stop(1)
	w.start(1, metaAt(5))
	only(t, fs, 5, 8)
	w.tell(1, &Kept{Meta: metaAt(8)})
	only(t, fs, 8)
}

func TestOldFileStaysWhileItIsSent(t *testing.T) {
	w := newWorld(t, 1, 1, 2)
	mustWrite(t, w.nodes[1].fs, 5, content(1, 5000))
	w.tell(1, &Kept{Meta: metaAt(5)})
	w.lose = func(_, _ raft.NodeID, message any) bool {
		_, reply := message.(*remote.SnapshotChunkReply)
		return reply
	}
	w.tell(1, &Send{Peer: 2, Term: 2, Leader: 1})
	mustWrite(t, w.nodes[1].fs, 9, content(2, 100))
	w.tell(1, &Kept{Meta: metaAt(9)})
	only(t, w.nodes[1].fs, 5, 9)
	w.lose = nil
	w.until(1)
	if sent := one[*Sent](w, 1); sent.Err != nil || sent.Index != 5 {
		t.Fatalf("%+v", sent)
	}
	only(t, w.nodes[1].fs, 9)
}

// A live snapshotter, for what needs real concurrency.
func live(t *testing.T) (system *actor.ActorSystem, parent, snap *actor.PID, said chan any) {
	s := stage.NewLive()
	t.Cleanup(s.Close)
	system = actor.NewActorSystem(actor.WithLoggerFactory(func(*actor.ActorSystem) *slog.Logger { return quiet }))
	t.Cleanup(stage.DropDeadLetters(system)) // as a host does
	said = make(chan any, 100)
	born := make(chan *actor.PID, 1)
	network := system.Root.Spawn(stage.Props(s, func() actor.Actor {
		return actor.ReceiveFunc(func(c actor.Context) {
			if post, ok := c.Message().(*remote.Post); ok {
				said <- post.Envelope.Message
			}
		})
	}, stage.WithLogger(quiet)))
	parent = system.Root.Spawn(stage.Props(s, func() actor.Actor {
		return actor.ReceiveFunc(func(c actor.Context) {
			switch m := c.Message().(type) {
			case *actor.Started:
				born <- c.Spawn(Props(Config{Group: 1, Node: 1, Stage: s, FS: newFS(), Dir: dir, Log: quiet, Sender: func(raft.NodeID) *actor.PID { return network }}))
			case *OnDuty:
				c.Respond(&Orders{Term: 2})
				said <- m
			case actor.SystemMessage, actor.AutoReceiveMessage:
			default:
				said <- m
			}
		})
	}, stage.WithLogger(quiet)))
	snap = <-born
	t.Cleanup(func() {
		for _, pid := range []*actor.PID{parent, network} {
			if err := system.Root.StopFuture(pid).Wait(); err != nil {
				t.Error(err)
			}
		}
	})
	next[*OnDuty](t, said)
	system.Root.Send(snap, &Orders{Term: 2})
	return system, parent, snap, said
}

func next[T any](t *testing.T, said chan any) T {
	t.Helper()
	select {
	case m := <-said:
		v, ok := m.(T)
		if !ok {
			t.Fatalf("got %T, want %T", m, v)
		}
		return v
	case <-time.After(deadline):
		t.Fatalf("no %T", *new(T))
		panic("unreachable")
	}
}

func TestBlockedWriteHoldsNothingUp(t *testing.T) {
	system, _, snap, said := live(t)
	took := &outcome{done: make(chan struct{})}
	system.Root.Send(snap, &Take{Waiter: took})
	next[*WantCapture](t, said)
	entered, resume := make(chan struct{}), make(chan struct{})
	system.Root.Send(snap, &Captured{Meta: metaAt(4), Write: func(w io.Writer) error {
		close(entered)
		<-resume
		_, err := w.Write([]byte("state"))
		return err
	}})
	<-entered
	system.Root.Send(snap, &Kept{Meta: metaAt(1)}) // must not take the file under way for a leftover
	system.Root.Send(snap, &Chunk{From: 2, Message: &remote.SnapshotChunk{Term: 2, Leader: 2, Meta: metaAt(9), Size: 10, Data: []byte("12345")}})
	if reply := next[*remote.SnapshotChunkReply](t, said); reply.Offset != 5 {
		t.Errorf("%+v", reply)
	}
	close(resume)
	if taken := next[*Taken](t, said); taken.Err != nil {
		t.Error(taken.Err)
	}
	<-took.done
	if took.index != 4 || took.err != nil {
		t.Errorf("%+v", took)
	}
}

func TestStopEndsAWriteUnderWay(t *testing.T) {
	system, _, snap, said := live(t)
	took := &outcome{done: make(chan struct{})}
	system.Root.Send(snap, &Take{Waiter: took})
	next[*WantCapture](t, said)
	entered, result := make(chan struct{}), make(chan error, 1)
	system.Root.Send(snap, &Captured{Meta: metaAt(4), Write: func(w io.Writer) error {
		close(entered)
		block := bytes.Repeat([]byte("state"), 1000)
		for {
			if _, err := w.Write(block); err != nil {
				result <- err
				return err
			}
		}
	}})
	<-entered
	if err := system.Root.StopFuture(snap).Wait(); err != nil {
		t.Fatal(err)
	}
	<-took.done
	select {
	case err := <-result:
		if !errors.Is(err, ErrStopped) || !errors.Is(took.err, ErrStopped) {
			t.Errorf("Write got %v, the waiter %v", err, took.err)
		}
	default:
		t.Error("the snapshotter stopped before its worker")
	}
	late := &outcome{done: make(chan struct{})}
	(&Take{Waiter: late}).Dropped()
	if !errors.Is(late.err, ErrStopped) {
		t.Errorf("%+v", late)
	}
}

func TestConfigNamesEveryFault(t *testing.T) {
	err := Config{ChunkBytes: -1, RetryAfter: -1, Retries: -1}.Validate()
	if err == nil {
		t.Fatal("taken")
	}
	for _, want := range []string{"Stage", "Dir", "ChunkBytes", "RetryAfter", "Retries"} {
		if !bytes.Contains([]byte(err.Error()), []byte(want)) {
			t.Errorf("%v does not name %s", err, want)
		}
	}
}
