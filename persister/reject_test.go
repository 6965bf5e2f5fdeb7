package persister

import (
	"errors"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/troupe-raft/troupe/entry"
	"github.com/troupe-raft/troupe/raft"
)

// waiting is a write that stores nothing and lets a promise go: what a follower sends for a block that it holds already.
func waiting(r *rig, g raft.GroupID, promise string) *Write {
	return &Write{Group: g, Then: []Delivery{{r.me, promise}}, Ack: &raft.Persisted{Last: 99}, ReplyTo: r.me}
}

// gap is a write of group 1 that breaks an invariant.
func gap(r *rig) *Write {
	return &Write{Group: 1, Blocks: []*entry.Block{block(1, 90, 1)}, Ack: &raft.Persisted{Last: 90}, ReplyTo: r.me}
}

func (r *rig) refusal(what string) {
	r.t.Helper()
	switch m := expect[any](r).(type) {
	case *StoreFailed:
		var broken *invariantError
		if !errors.As(m.Err, &broken) || broken.group != 1 {
			r.t.Fatalf("%s: got %v", what, m.Err)
		}
	default:
		r.t.Fatalf("%s: got %T %v, want *StoreFailed", what, m, m)
	}
}

// busy is a rig of two groups, the first with three entries, whose disk syncs a write of the second until its gate is unlocked: what comes
// now waits behind it.
func busy(t *testing.T, fs vfs.FS, opts ...Option) (*rig, *turnstile) {
	t.Helper()
	disk := &turnstile{held: make(chan struct{}, 1)}
	r := start(t, config(errorfs.Wrap(fs, disk), "d"), opts...)
	r.loaded(1)
	r.loaded(2)
	r.write(1, block(1, 1, 3))
	for len(disk.held) > 0 {
		<-disk.held
	}
	disk.gate.Lock()
	r.send(hardWrite(r, 2, 1))
	<-disk.held
	return r, disk
}

// TestNothingOfARejectedGroupLeaves has a group break an invariant and then let go a promise that rests on the
// rejected write. It must not leave: not while the rejection is on its way, and not later.
func TestNothingOfARejectedGroupLeaves(t *testing.T) {
	for name, spoil := range map[string]func(*rig){
		"gap": func(r *rig) { r.send(gap(r)) },
		"released": func(r *rig) {
			r.send(&Release{Group: 1})
			r.send(&Write{Group: 1, Blocks: []*entry.Block{block(1, 4, 1)}, ReplyTo: r.me})
		},
		"compacted too far": func(r *rig) {
			r.send(&Compact{Group: 1, Meta: raft.SnapshotMeta{Index: 2, Term: 1}, Through: 3, ReplyTo: r.me})
		},
	} {
		t.Run(name, func(t *testing.T) {
			r, disk := busy(t, vfs.NewMem())
			defer r.stopped()
			spoil(r)
			r.send(waiting(r, 1, "on its way"))
			r.send(waiting(r, 2, "sound"))
			r.nothing()
			disk.gate.Unlock()
			expect[*Persisted](r)
			r.refusal("the rejected write")
			r.refusal("on its way")
			if s := expect[string](r); s != "sound" { // of another group, in the same flight
				t.Errorf("got %s", s)
			}
			expect[*Persisted](r)
			for range 3 { // each finds the persister idle, or the one before just landed
				r.send(waiting(r, 1, "idle"))
				r.refusal("idle")
			}
			r.loaded(1)
			r.send(waiting(r, 1, "loaded again"))
			if s := expect[string](r); s != "loaded again" {
				t.Errorf("got %s", s)
			}
			expect[*Persisted](r)
			r.nothing()
		})
	}
}

// TestNothingOfAnUnloadedGroupLeaves: a group that was never loaded, is loading, was released or destroyed
// has no log that a promise could rest on.
func TestNothingOfAnUnloadedGroupLeaves(t *testing.T) {
	p := newPaper()
	p.reject = 1
	r := serve(t, p)
	defer r.stopped()
	refused := func(what string) {
		t.Helper()
		r.send(waiting(r, 1, what))
		p.next(t, "commit 1") // the storage is asked, even when nothing is on its way
		p.land(nil)
		expect[*StoreFailed](r)
		r.nothing()
	}
	refused("never loaded")
	r.send(&Load{Group: 1, ReplyTo: r.me})
	p.next(t, "load 1")
	refused("loading")
	p.loaded(raft.State{}, false, nil)
	expect[*Loaded](r)
	r.send(waiting(r, 1, "loaded"))
	if s := expect[string](r); s != "loaded" {
		t.Errorf("got %s", s)
	}
	expect[*Persisted](r)
	r.send(&Release{Group: 1})
	p.next(t, "forget 1")
	refused("released")
	r.send(&Load{Group: 1, ReplyTo: r.me})
	p.next(t, "load 1")
	p.loaded(raft.State{}, false, errors.New("unreadable"))
	p.next(t, "forget 1")
	expect[*Loaded](r)
	refused("unreadable")
}

// TestRejectionIsKnownWhenTheFlightIsBack: the rejected group's next promise is sent from within the answer to the write
// before it, so that it arrives between the landing of the flight and the persister's knowledge of it.
func TestRejectionIsKnownWhenTheFlightIsBack(t *testing.T) {
	p := newPaper()
	r := serve(t, p)
	defer r.stopped()
	p.known(r, 1)
	p.rejects(1)
	r.send(hardWrite(r, 1, 1))
	p.next(t, "commit 1")
	f := p.flying()
	r.send(waiting(r, 1, "before it lands"))
	p.next(t, "commit 1")
	f(nil)
	expect[*StoreFailed](r)
	r.send(waiting(r, 1, "after it landed"))
	p.next(t, "commit 1")
	p.land(nil)
	expect[*StoreFailed](r)
	p.land(nil)
	expect[*StoreFailed](r)
	r.nothing()
}

// TestRejectionLeavesNothingUnsynced has a write rejected when all that its batch holds was applied already, so that there is nothing
// left to sync but what came before it, whose acknowledgement waits for that.
func TestRejectionLeavesNothingUnsynced(t *testing.T) {
	mem := vfs.NewCrashableMem()
	r, disk := busy(t, mem, WithInFlight(1))
	defer r.stopped()
	r.send(&Write{Group: 1, Hard: &raft.HardState{Term: 2}, Blocks: []*entry.Block{block(2, 4, 7)}, Ack: &raft.Persisted{Last: 10}, ReplyTo: r.me})
	r.send(&Write{Group: 1, Blocks: []*entry.Block{block(1, 9, 1)}, ReplyTo: r.me}) // of a term before, in place of a newer one
	disk.gate.Unlock()
	expect[*Persisted](r)
	if p := expect[*Persisted](r); p.Ack.Last != 10 {
		t.Fatalf("got %+v", p)
	}
	left := start(t, config(mem.CrashClone(vfs.CrashCloneCfg{}), "d"))
	defer left.stopped()
	if st := left.loaded(1); len(st.Runs) != 2 || st.Runs[1].Last != 10 {
		t.Errorf("acknowledged was up to 10, after a power cut there is %+v", st.Runs)
	}
	r.refusal("the term before")
}
