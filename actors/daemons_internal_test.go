package actors

import (
	"errors"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/troupe-raft/troupe/applier"
	"github.com/troupe-raft/troupe/raft"
	"github.com/troupe-raft/troupe/snapshotter"
	"github.com/troupe-raft/troupe/stage"
)

// A warden supervises nobody.
type warden struct{ actor.Supervisor }

func (warden) StopChildren(...*actor.PID)    {}
func (warden) RestartChildren(...*actor.PID) {}

// A daemon panics at a message before it has noted who waits for it: they are told, and their credit comes back.
func TestMessageThatADaemonPanicsAtIsAnswered(t *testing.T) {
	system := actor.NewActorSystem()
	defer system.Shutdown()
	group := system.Root.Spawn(actor.PropsFromFunc(func(actor.Context) {}))
	apply, snapshot := actor.NewPID("local", "applier"), actor.NewPID("local", "snapshotter")
	handle := &Group{system: system, credit: newCredit(10, 10)}
	handle.pid.Store(group)
	r := &replica{handle: handle, daemons: daemons{applier: apply, snapshotter: snapshot}, supervision: &stage.Backoff{Stage: stage.NewSeeded(1)}}
	for name, c := range map[string]struct {
		child   *actor.PID
		kind    requestKind
		message func(*request) any
		want    error
	}{
		"read": {apply, readRequest, func(q *request) any {
			return &applier.Barrier{Index: 7, Waiter: readers{q}}
		}, ErrStopped},
		"snapshot": {snapshot, snapshotRequest, func(q *request) any {
			return &actor.MessageEnvelope{Message: &snapshotter.Take{Waiter: q}}
		}, snapshotter.ErrStopped},
	} {
		q := &request{kind: c.kind, done: make(chan struct{}, 1), handle: handle}
		if q.kind.needsCredit() && !r.takeCredit(q) {
			t.Fatalf("%s: no credit", name)
		}
		r.HandleFailure(system, warden{}, c.child, actor.NewRestartStatistics(), "a panic", c.message(q))
		select {
		case <-q.done:
			if !errors.Is(q.err, c.want) {
				t.Errorf("%s: answered %v", name, q.err)
			}
		case <-time.After(10 * time.Second):
			t.Errorf("%s: no answer", name)
		}
	}
	if n, _ := handle.credit.inUse(); n != 0 {
		t.Errorf("credit for %d entries is gone", n)
	}
}

// A mute context panics at the first message that is sent.
type mute struct{ actor.Context }

func (mute) Send(*actor.PID, any) { panic("injected") }

// A replica panics while it hands a read over to the applier: the crash that follows still knows of the read.
func TestPanicAmidAReadLeavesNobodyWaiting(t *testing.T) {
	q := &request{kind: readRequest, done: make(chan struct{}, 1), handle: &Group{credit: newCredit(1, 1)}}
	r := &replica{ctx: mute{}, handle: q.handle, rounds: map[uint64][]*request{1: {q}}}
	func() {
		defer func() {
			if recover() == nil {
				t.Error("no panic")
			}
		}()
		r.readDone(raft.ReadDone{ID: 1, Index: 7})
	}()
	r.answerAll(ErrStopped)
	if !errors.Is(q.err, ErrStopped) {
		t.Errorf("answered %v", q.err)
	}
}
