package history

import (
	"sync"
	"testing"
)

func TestRecorder(t *testing.T) {
	now := int64(10)
	r := NewRecorder(func() int64 { return now })
	a := r.Begin(Op{Client: 1, Kind: Append, Key: "k", Arg: "a"})
	b := r.Begin(Op{Client: 2, Kind: Put, Key: "k", Arg: "b"})
	now = 5 // a clock that goes back
	c := r.Begin(Op{Client: 3, Kind: Put, Key: "k", Arg: "c"})
	r.Note("something")
	now = 20
	a.Answer(func(o *Op) { o.Saw = Some("a") })
	b.Failed()
	c.Unknown()
	r.Begin(Op{Client: 4, Kind: Get, Key: "k"}).Answer(nil)
	r.Begin(Op{Client: 5, Kind: Delete, Key: "k"})
	want := []Op{
		{Client: 1, Kind: Append, Key: "k", Arg: "a", Saw: Some("a"), Call: 10, Return: 20},
		{Client: 3, Kind: Put, Key: "k", Arg: "c", Call: 12, Return: Never},
		{Client: 4, Kind: Get, Key: "k", Call: 21, Return: 22},
		{Client: 5, Kind: Delete, Key: "k", Call: 23, Return: Never},
	}
	got := r.Ops()
	if len(got) != len(want) {
		t.Fatalf("%v", got)
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("%+v, want %+v", got[i], want[i])
		}
	}
	if notes := r.Notes(); len(notes) != 1 || notes[0] != (Note{Time: 13, Text: "something"}) {
		t.Errorf("notes %v", notes)
	}
}

// TestRecorderOfMany: no two events of concurrent clients share a time, and calls come in order.
func TestRecorderOfMany(t *testing.T) {
	r := NewRecorder(func() int64 { return 0 })
	var wg sync.WaitGroup
	for client := range 4 {
		wg.Go(func() {
			for range 100 {
				r.Begin(Op{Client: client, Kind: Put}).Answer(nil)
			}
		})
	}
	wg.Wait()
	seen, last := map[int64]bool{}, int64(0)
	for _, o := range r.Ops() {
		if o.Call <= last || o.Return <= o.Call || seen[o.Call] || seen[o.Return] {
			t.Fatalf("%+v after %d", o, last)
		}
		last, seen[o.Call], seen[o.Return] = o.Call, true, true
	}
	if len(seen) != 800 {
		t.Errorf("%d times", len(seen))
	}
}
