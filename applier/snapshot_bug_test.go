package applier

import (
	"bytes"
	"fmt"
	"io"
	"testing"

	"github.com/troupe-raft/troupe/entry"
	"github.com/troupe-raft/troupe/raft"
)

// A snapshot holds the state of the very index that it names, sessions included, although entries are applied before it is written: a replica
// that crashes then and starts from it applies each entry after it once (the etcd 3.5 inconsistency, etcd issue 13766).
func TestSnapshotHoldsTheStateOfItsIndex(t *testing.T) {
	var opening entry.Builder
	opening.Append(raft.OpenSession, 0, 0, 1000, EncodeOpen(hour))
	opening.Append(raft.Command, 1, 1, 1001, []byte("a"))
	log := []*entry.Block{opening.Seal(1, 1), sessionCommand(1, 3, 2, "b"), block(1, 4, "c")}

	before := newRig(t, &recorder{})
	before.begin()
	before.send(&Committed{Through: raft.EntryID{Index: 2, Term: 1}, Blocks: log[:1]})
	expect[*Applied](before)
	before.send(&Capture{ReplyTo: before.parent})
	c := expect[*Captured](before)
	if c.Err != nil || c.Meta.Index != 2 {
		t.Fatalf("%+v", c)
	}
	before.send(&Committed{Through: raft.EntryID{Index: 4, Term: 1}, Blocks: log[1:]})
	expect[*Applied](before)
	var file bytes.Buffer
	if err := c.Write(&file); err != nil {
		t.Fatal(err)
	}

	after := newRig(t, &recorder{})
	after.send(&Begin{Meta: c.Meta, Open: func() (io.ReadCloser, error) { return io.NopCloser(&file), nil }})
	expect[*Begun](after)
	o := newOutcome()
	after.send(&Committed{Through: raft.EntryID{Index: 4, Term: 1}, Blocks: log[1:], Waiters: []Waiting{{3, o}}})
	if got := expect[*Applied](after); got.Index != 4 {
		t.Fatalf("%+v", got)
	}
	if got, want := fmt.Sprint(after.machine.applied), "[restored [2:a] 3:b 4:c]"; got != want {
		t.Errorf("after the restart %s, want %s", got, want)
	}
	if o.wait(t); o.err != nil || o.index != 3 || o.result != "r-b" {
		t.Errorf("the session's command after the snapshot: %+v", o)
	}
}

func sessionCommand(session uint64, index raft.Index, seq uint64, data string) *entry.Block {
	var b entry.Builder
	b.Append(raft.Command, session, seq, 1000+int64(index), []byte(data))
	return b.Seal(1, index)
}
