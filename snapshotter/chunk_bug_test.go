package snapshotter

import (
	"slices"
	"testing"
	"time"

	"github.com/troupe-raft/troupe/raft"
	"github.com/troupe-raft/troupe/remote"
)

// Every chunk comes twice, and old ones come again in between; the receiver restarts in the midst of it and the term changes. What is stored is
// the snapshot, once, and a stream of the leader before is turned away (logcabin issue 174, scylladb issue 29092).
func TestRepeatedChunksAreStoredOnce(t *testing.T) {
	const size, step = 1000, 100
	w := newWorld(t, 1, 1, 2)
	file := fileAt(t, 9, size)
	for from := 0; from < len(file); from += step {
		to := min(from+step, len(file))
		chunk := piece(2, 9, file, from, to)
		again := chunk
		if from > 0 {
			again = piece(2, 9, file, from-step, from)
		}
		r := feed(w, chunk, chunk, again)
		if to < len(file) && r[len(r)-1].Offset != int64(to) {
			t.Fatalf("after %d bytes, and some of them again, it wants offset %d", to, r[len(r)-1].Offset)
		}
		if from == 500 {
			w.nodes[2].said = nil
			w.stop(2)
			w.start(2, raft.SnapshotMeta{})
		}
	}
	for _, r := range said[*Received](w, 2) {
		if r.Meta.Index != 9 || r.Term != 2 {
			t.Errorf("%+v", r)
		}
	}
	if got := raw(t, w.nodes[2].fs, 9); !slices.Equal(got, file) {
		t.Fatalf("%d bytes arrived, %d were sent, and they differ", len(got), len(file))
	}
	only(t, w.nodes[2].fs, 9)

	// The leader of term 3 sends a newer snapshot; what the leader of term 2 still sends is neither stored nor mixed in.
	young, old := fileAt(t, 12, size), fileAt(t, 12, size/2)
	r := feed(w, piece(3, 12, young, 0, 300), piece(2, 12, old, 0, 300), piece(3, 12, young, 300, 600))
	if r[0].Offset != 300 || r[1].Refused == "" || r[1].Term != 3 || r[2].Offset != 600 {
		t.Fatalf("%+v, %+v, %+v", r[0], r[1], r[2])
	}
	feed(w, piece(3, 12, young, 600, len(young)))
	if got := raw(t, w.nodes[2].fs, 12); !slices.Equal(got, young) {
		t.Fatal("the newer snapshot is not what its leader sent")
	}
}

// An answer that comes late asks for what was sent already. That is not sent at once, or each such answer would be one more chunk in flight from then on;
// once nothing came back, what was asked for last is sent, since a receiver that has begun again asks so too.
func TestLateAnswersSendNothing(t *testing.T) {
	const retryAfter = 500 * time.Millisecond // as by default
	w, _ := newSender(t, 1, 20_000, 2)
	var offsets []int64
	w.lose = func(_, _ raft.NodeID, message any) bool {
		offsets = append(offsets, message.(*remote.SnapshotChunk).Offset)
		return true
	}
	w.tell(1, &Send{Peer: 2, Term: 2, Leader: 1})
	for _, wanted := range []int64{1000, 2000, 1000, 0, 3000, 2000} {
		w.tell(1, &ChunkReply{From: 2, Message: &remote.SnapshotChunkReply{Term: 2, Index: 9, Offset: wanted}})
	}
	if want := []int64{0, 1000, 2000, 3000}; !slices.Equal(offsets, want) {
		t.Fatalf("chunks at %v were sent, want %v", offsets, want)
	}
	w.stage.Advance(retryAfter)
	if last := offsets[len(offsets)-1]; len(offsets) != 5 || last != 2000 {
		t.Fatalf("chunks at %v were sent, want that at 2000 once more", offsets)
	}
}
