package persister

import (
	"fmt"
	"testing"

	"github.com/troupe-raft/troupe/raft"
)

// TestAnswersBeforeAStuckDiskAreBounded has peers ask a group without end while the disk is stuck. What is answered is of no term or entry that is
// not on the disk yet, so that all of it waits: the latest answers leave in their order, and the others cost nothing.
func TestAnswersBeforeAStuckDiskAreBounded(t *testing.T) {
	p := newPaper()
	r := serve(t, p, WithInFlight(1), WithAnswers(3))
	defer r.stopped()
	p.known(r, 1)
	p.known(r, 2)
	say := func(format string, args ...any) Delivery { return Delivery{r.me, fmt.Sprintf(format, args...)} }
	r.send(hardWrite(r, 2, 1))
	p.next(t, "commit 1") // and the disk is stuck
	for i := range 1000 {
		r.send(&Write{Group: 1, Then: []Delivery{say("early %d", i)}, ReplyTo: r.me})
	}
	r.send(&Write{Group: 2, Then: []Delivery{say("other group")}, ReplyTo: r.me})
	r.send(hardWrite(r, 1, 2, say("term")))
	for i := range 1000 {
		r.send(&Write{Group: 1, Then: []Delivery{say("late %d, once", i), say("late %d, twice", i)}, ReplyTo: r.me})
	}
	r.send(&Write{Group: 1, Then: []Delivery{say("acknowledged")}, Ack: &raft.Persisted{Last: 9}, ReplyTo: r.me})
	r.send(&Release{Group: 9}) // what has gathered goes out
	p.next(t, "commit 5")
	p.next(t, "forget 9")
	p.land(nil)
	expect[*Persisted](r)
	p.land(nil)
	for _, want := range []string{
		"early 997", "early 998", "early 999", "other group", "term", "Persisted",
		"late 997, once", "late 997, twice", "late 998, once", "late 998, twice", "late 999, once", "late 999, twice", "acknowledged", "Persisted",
	} {
		got := expect[any](r)
		if _, ok := got.(*Persisted); ok {
			got = "Persisted"
		}
		if got != want {
			t.Fatalf("got %v, want %s", got, want)
		}
	}
}

// TestAnswersOfARejectedGroup: none leaves, however many were put together, and the group is told.
func TestAnswersOfARejectedGroup(t *testing.T) {
	p := newPaper()
	r := serve(t, p, WithInFlight(1))
	defer r.stopped()
	p.known(r, 1)
	p.known(r, 2)
	r.send(hardWrite(r, 2, 1))
	p.next(t, "commit 1")
	p.rejects(1)
	for range 10 {
		r.send(&Write{Group: 1, Then: []Delivery{{r.me, "promise"}}, ReplyTo: r.me})
	}
	r.send(&Release{Group: 9})
	p.next(t, "commit 1")
	p.next(t, "forget 9")
	p.land(nil)
	expect[*Persisted](r)
	p.land(nil)
	expect[*StoreFailed](r)
	r.send(hardWrite(r, 2, 2))
	p.next(t, "commit 1")
	p.land(nil)
	expect[*Persisted](r)
}
