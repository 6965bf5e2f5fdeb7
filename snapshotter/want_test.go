package snapshotter

import (
	"bytes"
	"errors"
	"testing"

	"github.com/troupe-raft/troupe/raft"
	"github.com/troupe-raft/troupe/remote"
)

// newSufferer is node 2, which cannot read its snapshot at index 9 and wants another one.
func newSufferer(t *testing.T) *world {
	w := newWorld(t, 1, 1, 2)
	mustWrite(t, w.nodes[2].fs, 9, content(9, 1000))
	spoil(t, w.nodes[2].fs, 9)
	w.tell(2, &Kept{Meta: metaAt(9)})
	w.tell(2, &Want{Index: 9})
	return w
}

// A snapshot of the same index takes the place of the one that cannot be read; what is older is here already.
func TestAnotherSnapshotTakesTheRottenOnesPlace(t *testing.T) {
	w := newSufferer(t)
	old, f := fileAt(t, 7, 1000), fileAt(t, 9, 1000)
	if r := feed(w, piece(2, 7, old, 0, 100)); len(r) != 1 || !r[0].Done {
		t.Errorf("an older one: %+v", r)
	}
	if got := one[*Received](w, 2); !got.Here || got.Meta.Index != 9 {
		t.Errorf("%+v", got)
	}
	r := feed(w, piece(2, 9, f, 0, 300))
	w.tell(2, &Kept{Meta: metaAt(9)}) // a snapshotter that restarts is told so again
	r = append(r, feed(w, piece(2, 9, f, 300, len(f)))...)
	w.until(2)
	if got := one[*Received](w, 2); got.Here || got.Meta.Index != 9 || len(r) < 2 || r[0].Offset != 300 || !r[len(r)-1].Done {
		t.Errorf("%+v, %+v", got, r)
	}
	if got, err := payload(w.nodes[2].fs, metaAt(9)); err != nil || !bytes.Equal(got, content(9, 1000)) {
		t.Errorf("%d bytes: %v", len(got), err)
	}
	only(t, w.nodes[2].fs, 9)
	if r := feed(w, piece(2, 9, f, 0, 300)); len(r) != 1 || !r[0].Done {
		t.Errorf("once more: %+v", r)
	}
}

// A later one will do. It has come once it is whole, and what cannot be read stays until the replica begins from the other.
func TestLaterSnapshotTakesTheRottenOnesPlace(t *testing.T) {
	w := newSufferer(t)
	f := fileAt(t, 12, 1000)
	feed(w, piece(2, 12, f, 0, len(f)))
	w.until(2)
	if got := one[*Received](w, 2); got.Here || got.Meta.Index != 12 {
		t.Errorf("%+v", got)
	}
	feed(w, piece(3, 12, f, 0, 100)) // of a newer leader, who has not heard
	if got := one[*Received](w, 2); got.Here || got.Meta.Index != 12 || got.Term != 3 {
		t.Errorf("%+v", got)
	}
	only(t, w.nodes[2].fs, 9, 12)
	w.tell(2, &Kept{Meta: metaAt(12)})
	only(t, w.nodes[2].fs, 12)
}

// Who asks for a snapshot from an index on gets none that is older: another one is taken.
func TestOlderSnapshotIsNotSent(t *testing.T) {
	w := newWorld(t, 1, 1, 2)
	mustWrite(t, w.nodes[1].fs, 9, content(9, 1000))
	w.tell(1, &Kept{Meta: metaAt(9)})
	send := &Send{Peer: 2, Term: 2, Leader: 1, AtLeast: 10}
	w.tell(1, send)
	told := said[any](w, 1)
	among[*WantCapture](t, told)
	if sent := among[*Sent](t, told); !errors.Is(sent.Err, ErrNoSnapshot) || sent.Peer != 2 {
		t.Errorf("%+v", sent)
	}
	w.tell(1, &Captured{Meta: metaAt(12), Write: writes(content(12, 1000))})
	one[*Taken](w, 1)
	var chunks []raft.Index
	w.lose = func(_, _ raft.NodeID, m any) bool {
		if c, ok := m.(*remote.SnapshotChunk); ok {
			chunks = append(chunks, c.Meta.Index)
		}
		return false
	}
	w.send(1, send)
	w.until(1)
	if sent := one[*Sent](w, 1); sent.Err != nil || sent.Index != 12 || len(chunks) == 0 || chunks[0] != 12 {
		t.Errorf("%+v, chunks of %v", sent, chunks)
	}
}
