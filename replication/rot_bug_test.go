package replication

import (
	"errors"
	"testing"
	"time"

	"github.com/troupe-raft/troupe/entry"
	"github.com/troupe-raft/troupe/persister"
	"github.com/troupe-raft/troupe/raft"
)

// An entry that a follower lacks has rotted on the leader's disk. Asking again and again would leave the leader in office, and the
// follower behind for ever: the parent is told, even when the read ends after the leadership did.
func TestRottenLogIsReported(t *testing.T) {
	rot := &persister.CorruptError{Dir: "d", Group: 1, Index: 6, Reason: "block"}
	for name, rest := range map[string]bool{"leading": false, "deposed": true} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, Config{}, 2)
			b.leading(2)
			b.reader.fault = func(raft.Index) ([]*entry.Block, error) {
				if rest {
					b.send(&Rest{Term: 9})
				}
				return nil, rot
			}
			f := b.followers[2]
			f.terms, f.auto = []raft.Term{1, 1, 1, 1, 1}, true
			for _, m := range f.take() {
				f.reply(m)
			}
			b.stage.Advance(time.Minute)
			halted := 0
			for _, m := range b.take() {
				if h, ok := m.(*Halted); ok && errors.Is(h.Err, rot) {
					halted++
				}
			}
			if halted != 1 || b.reader.reads != 1 {
				t.Errorf("told %d times after %d reads", halted, b.reader.reads)
			}
		})
	}
}
