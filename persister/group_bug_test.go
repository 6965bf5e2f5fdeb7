package persister

import (
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/troupe-raft/troupe/raft"
)

// A group that is made again under the id of a destroyed one begins with nothing: neither its ancestor's log nor its vote comes
// back, at once or after a restart (nats-server issue 7774).
func TestNextGroupOfAnIdSeesNothingOfTheFirst(t *testing.T) {
	disk := vfs.NewMem()
	r := start(t, config(disk, "d"))
	r.loaded(1)
	r.write(1, block(7, 1, 5), block(8, 6, 5))
	ancestor := r.store.SnapshotDir(1)
	r.send(&Destroy{Group: 1, ReplyTo: r.me})
	expect[*Destroyed](r)
	for _, restart := range []bool{false, true} {
		if restart {
			r.stopped()
			r = start(t, config(disk, "d"))
		}
		if dir := r.store.SnapshotDir(1); dir == ancestor {
			t.Errorf("restart %v: the snapshots of both are in %s", restart, dir)
		}
		l := r.load(1)
		if l.Err != nil || l.State.Hard.Vote != raft.None && !restart || l.Fresh == restart {
			t.Fatalf("restart %v: %+v", restart, l)
		}
		want := raft.Index(0)
		if restart {
			want = 3
		}
		last := raft.Index(0)
		for _, run := range l.State.Runs {
			last = run.Last
		}
		if last != want || l.State.Hard.Term > 2 {
			t.Fatalf("restart %v: the log ends at %d in term %d: %+v", restart, last, l.State.Hard.Term, l.State)
		}
		if !restart {
			r.write(1, block(2, 1, 3))
		}
	}
	if got := r.log(1, 1, 3); got != "1/2 2/2 3/2 " {
		t.Errorf("got %s", got)
	}
	r.stopped()
}
