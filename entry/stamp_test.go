package entry

import (
	"testing"

	"github.com/troupe-raft/troupe/raft"
)

// A block knows the last of its timed entries' stamps, however it came about. Stamps of the rules' own entries in old logs are of calendars.
func TestStampOfABlock(t *testing.T) {
	entries := []Entry{
		{Kind: raft.NoOp, Stamp: 900},
		{Kind: raft.NoOp, Seq: Timed, Stamp: 10},
		{Kind: raft.Command, Stamp: 800},
		{Kind: raft.Command, Seq: 1, Stamp: 700},
		{Kind: raft.Command, Session: 1, Stamp: 20},
		{Kind: raft.OpenSession, Stamp: 30},
		{Kind: raft.Reconfigure, Stamp: 600},
		{Kind: raft.CloseSession, Session: 1, Stamp: 25},
		{Kind: raft.Reconfigure, Seq: Timed, Stamp: 40},
		{Kind: 31, Session: 1, Seq: 1, Stamp: 500},
	}
	want := []int64{0, 10, 10, 10, 20, 30, 30, 30, 40, 40}
	var b Builder
	add := func(entries []Entry) {
		for _, e := range entries {
			b.Append(e.Kind, e.Session, e.Seq, e.Stamp, e.Data)
		}
	}
	for n := range entries {
		add(entries[:n+1])
		block := b.Seal(1, 1)
		if block.Stamp() != want[n] {
			t.Errorf("the first %d entries: stamp %d, want %d", n+1, block.Stamp(), want[n])
		}
		if again, err := Decode(block.Bytes()); err != nil || again.Stamp() != want[n] {
			t.Errorf("the first %d entries, decoded: stamp %d, want %d, %v", n+1, again.Stamp(), want[n], err)
		}
	}
	add(entries)
	whole := b.Seal(1, 1)
	for last := 1; last < len(entries); last++ {
		if part := whole.Slice(1, raft.Index(last)); part.Stamp() != want[last-1] {
			t.Errorf("a part of %d entries: stamp %d, want %d", last, part.Stamp(), want[last-1])
		}
	}
	if part := whole.Slice(7, 8); part.Stamp() != 25 {
		t.Errorf("entries 7 and 8: stamp %d, want 25", part.Stamp())
	}
}
