package snapshotter

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/troupe-raft/troupe/raft"
	"github.com/troupe-raft/troupe/remote"
)

// newSender is a world in which node 1 has a snapshot at index 9 of so many bytes.
func newSender(t testing.TB, seed uint64, size int, receivers ...raft.NodeID) (*world, []byte) {
	w := newWorld(t, seed, append([]raft.NodeID{1}, receivers...)...)
	b := content(seed, size)
	mustWrite(t, w.nodes[1].fs, 9, b)
	w.tell(1, &Kept{Meta: metaAt(9)})
	return w, b
}

// arrivedWhole checks that a node has the snapshot and said so.
func (w *world) arrivedWhole(id raft.NodeID, want []byte) {
	w.t.Helper()
	for _, r := range said[*Received](w, id) {
		if r.From != 1 || r.Leader != 1 || r.Term != 2 || r.Meta.Index != 9 || !r.Meta.Membership.Equal(members) {
			w.t.Errorf("%+v", r)
		}
	}
	if got, err := payload(w.nodes[id].fs, metaAt(9)); err != nil || !bytes.Equal(got, want) {
		w.t.Fatalf("node %d has %d bytes of %d: %v", id, len(got), len(want), err)
	}
	only(w.t, w.nodes[id].fs, 9)
}

func TestTransferToTwoAtOnceOverALossyNetwork(t *testing.T) {
	for seed := range uint64(20) {
		w, b := newSender(t, seed, 20_000, 2, 3)
		dice := rand.New(rand.NewPCG(seed, 0))
		w.lose = func(_, to raft.NodeID, message any) bool {
			if c, ok := message.(*remote.SnapshotChunk); ok && dice.IntN(8) == 0 {
				w.send(to, &Chunk{From: 1, Message: c}) // twice, and out of order
			}
			return dice.IntN(4) == 0
		}
		w.send(1, &Send{Peer: 2, Term: 2, Leader: 1})
		w.send(1, &Send{Peer: 3, Term: 2, Leader: 1})
		w.send(1, &Send{Peer: 3, Term: 2, Leader: 1}) // joins
		if !w.stage.Run(func() bool { return len(w.nodes[1].said) == 2 }, manySteps) {
			t.Fatalf("seed %d: %d transfers ended", seed, len(w.nodes[1].said))
		}
		for _, sent := range said[*Sent](w, 1) {
			if sent.Err != nil || sent.Index != 9 {
				t.Errorf("seed %d: %+v", seed, sent)
			}
		}
		w.arrivedWhole(2, b)
		w.arrivedWhole(3, b)
	}
}

// stallAfter lets so many chunks through and then nothing.
func (w *world) stallAfter(chunks int) {
	w.lose = func(_, _ raft.NodeID, message any) bool {
		if _, ok := message.(*remote.SnapshotChunk); ok {
			chunks--
		}
		return chunks < 0
	}
}

func TestReceiverThatRestartedGoesOn(t *testing.T) {
	w, b := newSender(t, 1, 20_000, 2)
	w.stallAfter(12)
	w.tell(1, &Send{Peer: 2, Term: 2, Leader: 1})
	w.stop(2)
	w.start(2, raft.SnapshotMeta{})
	w.lose, w.chunks = nil, nil
	w.until(1)
	one[*Sent](w, 1)
	w.arrivedWhole(2, b)
	for _, c := range w.chunks {
		if c.Offset < 12_000 {
			t.Errorf("the chunk at %d was sent again", c.Offset)
		}
	}
}

func TestSenderThatRestartedGoesOn(t *testing.T) {
	w, b := newSender(t, 1, 20_000, 2)
	w.stallAfter(12)
	w.tell(1, &Send{Peer: 2, Term: 2, Leader: 1})
	w.stop(1)
	w.start(1, metaAt(9))
	w.lose, w.chunks = nil, nil
	w.send(1, &Send{Peer: 2, Term: 2, Leader: 1})
	w.until(1)
	one[*Sent](w, 1)
	w.arrivedWhole(2, b)
	if len(w.chunks) > 12 { // one that asks, and the rest
		t.Errorf("%d chunks were sent for what was missing", len(w.chunks))
	}
}

func TestReceiverSurvivesPowerCuts(t *testing.T) {
	for seed := range uint64(20) {
		w, b := newSender(t, seed, 20_000, 2)
		dice := rand.New(rand.NewPCG(seed, 1))
		w.send(1, &Send{Peer: 2, Term: 2, Leader: 1})
		for range 3 {
			w.stage.Run(nil, 20+dice.IntN(60))
			after := w.nodes[2].fs.(*vfs.MemFS).CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 50, RNG: dice})
			w.stop(2)
			w.nodes[2].fs = after
			w.start(2, raft.SnapshotMeta{})
			ids, err := List(after, dir)
			if err != nil {
				t.Fatal(err)
			}
			for _, id := range ids {
				if _, _, err := Verify(after, after.PathJoin(dir, fileName(id.Index, id.Term))); err != nil {
					t.Fatalf("seed %d: %v", seed, err)
				}
			}
		}
		for tries := 0; ; tries++ {
			if len(w.nodes[1].said) == 0 {
				w.until(1)
			}
			if one[*Sent](w, 1).Err == nil {
				break
			}
			if tries == 3 {
				t.Fatalf("seed %d: no transfer succeeds", seed)
			}
			w.send(1, &Send{Peer: 2, Term: 2, Leader: 1})
		}
		got, err := payload(w.nodes[2].fs, metaAt(9))
		ids, _ := List(w.nodes[2].fs, dir)
		if len(ids) == 0 {
			// Done was said before the last power cut took nothing back: what is Done is durable.
			t.Fatalf("seed %d: Done, but no file", seed)
		}
		if err != nil || !bytes.Equal(got, b) {
			t.Fatalf("seed %d: %v", seed, err)
		}
	}
}

func TestResumedGarbageStartsOver(t *testing.T) {
	w, b := newSender(t, 1, 20_000, 2)
	w.stallAfter(5)
	w.tell(1, &Send{Peer: 2, Term: 2, Leader: 1})
	w.stop(2)
	fs := w.nodes[2].fs
	part := names(t, fs)
	if len(part) != 1 || !strings.HasSuffix(part[0], ".part") {
		t.Fatalf("%v", part)
	}
	put(t, fs, fs.PathJoin(dir, part[0]), make([]byte, 7000)) // what a power cut may leave
	w.start(2, raft.SnapshotMeta{})
	w.lose = nil
	w.until(1)
	if sent := one[*Sent](w, 1); sent.Err != nil {
		t.Fatal(sent.Err)
	}
	w.arrivedWhole(2, b)
}

func TestRottenFileIsNotSent(t *testing.T) {
	w, _ := newSender(t, 1, 5000, 2)
	spoil(t, w.nodes[1].fs, 9)
	w.tell(1, &Send{Peer: 2, Term: 2, Leader: 1})
	var fault *FileError
	if sent := among[*Sent](t, said[any](w, 1)); !errors.As(sent.Err, &fault) || !strings.Contains(fault.Path, fileName(9, 2)) {
		t.Errorf("%v", sent.Err)
	}
	if len(w.chunks) > 0 {
		t.Error("a chunk was sent")
	}
}

func TestNewerTermEndsTransfers(t *testing.T) {
	for name, newer := range map[string]any{
		"abort":  &Abort{Term: 2},
		"orders": &Orders{Term: 3},
		"reply":  &ChunkReply{From: 2, Message: &remote.SnapshotChunkReply{Term: 3, Index: 9}},
		"chunk":  &Chunk{From: 3, Message: &remote.SnapshotChunk{Term: 3, Leader: 3, Meta: metaAt(8), Size: 10, Last: false}},
		"send":   &Send{Peer: 3, Term: 3, Leader: 1},
	} {
		w, _ := newSender(t, 1, 20_000, 2, 3)
		w.stallAfter(5)
		w.tell(1, &Send{Peer: 2, Term: 2, Leader: 1})
		said[any](w, 1)
		w.tell(1, newer)
		var sent []*Sent
		for _, m := range said[any](w, 1) {
			if s, ok := m.(*Sent); ok && s.Peer == 2 {
				sent = append(sent, s)
			}
		}
		if len(sent) != 1 || sent[0].Err == nil {
			t.Errorf("%s: %d transfers ended", name, len(sent))
		}
		w.tell(1, &Send{Peer: 2, Term: 1, Leader: 1})
		if old := one[*Sent](w, 1); old.Err == nil {
			t.Errorf("%s: a transfer of an old term began", name)
		}
	}
}

func TestTransferGoesOnUnderANewTerm(t *testing.T) {
	w, b := newSender(t, 1, 20_000, 2)
	w.stallAfter(5)
	w.tell(1, &Send{Peer: 2, Term: 2, Leader: 1})
	w.lose, w.chunks = nil, nil
	w.send(1, &Send{Peer: 2, Term: 3, Leader: 1})
	w.stage.Run(func() bool { return len(w.nodes[1].said) == 2 }, manySteps)
	if sent := said[*Sent](w, 1); len(sent) != 2 || !errors.Is(sent[0].Err, ErrAborted) || sent[1].Err != nil {
		t.Fatalf("%+v", sent)
	}
	if r := one[*Received](w, 2); r.Term != 3 {
		t.Errorf("%+v", r)
	}
	for _, c := range w.chunks[1:] {
		if c.Offset < 5000 {
			t.Errorf("the chunk at %d was sent again", c.Offset)
		}
	}
	if got, err := payload(w.nodes[2].fs, metaAt(9)); err != nil || !bytes.Equal(got, b) {
		t.Error(err)
	}
}

func TestSilenceEndsATransfer(t *testing.T) {
	w, _ := newSender(t, 1, 20_000, 2)
	w.lose = func(raft.NodeID, raft.NodeID, any) bool { return true }
	w.send(1, &Send{Peer: 2, Term: 2, Leader: 1})
	w.until(1)
	if sent := one[*Sent](w, 1); sent.Err == nil {
		t.Error("nobody answered, and all is well")
	}
	if got := w.stage.Clock().Now(); got > 21*500*time.Millisecond {
		t.Errorf("it took %v", got)
	}
}

func TestReceiverThatNeverFinishesEndsATransfer(t *testing.T) {
	w, _ := newSender(t, 1, 20_000, 2)
	size := int64(len(raw(t, w.nodes[1].fs, 9)))
	w.lose = func(_, to raft.NodeID, message any) bool {
		if c, ok := message.(*remote.SnapshotChunk); ok {
			w.send(1, &ChunkReply{From: 2, Message: &remote.SnapshotChunkReply{Term: c.Term, Index: 9, Offset: size}})
		}
		return true
	}
	w.send(1, &Send{Peer: 2, Term: 2, Leader: 1})
	w.until(1)
	if sent := one[*Sent](w, 1); sent.Err == nil || !strings.Contains(sent.Err.Error(), "no progress") {
		t.Errorf("%+v", sent)
	}
}

func TestNothingToSend(t *testing.T) {
	w := newWorld(t, 1, 1, 2)
	w.tell(1, &Send{Peer: 2, Term: 2, Leader: 1})
	all := said[any](w, 1)
	if len(all) != 2 {
		t.Fatalf("%d messages", len(all))
	}
	if sent, ok := all[0].(*Sent); !ok || !errors.Is(sent.Err, ErrNoSnapshot) {
		t.Errorf("%T", all[0])
	}
	if _, ok := all[1].(*WantCapture); !ok { // so that the next try finds one
		t.Errorf("%T", all[1])
	}
}

func TestAnswersToOtherTransfersAreIgnored(t *testing.T) {
	w, _ := newSender(t, 1, 20_000, 2)
	w.stallAfter(5)
	w.tell(1, &Send{Peer: 2, Term: 2, Leader: 1})
	for _, r := range []*remote.SnapshotChunkReply{
		{Term: 2, Index: 5, Done: true},
		{Term: 1, Index: 9, Done: true},
		{Term: 2, Index: 5, Refused: "superseded"},
	} {
		w.tell(1, &ChunkReply{From: 2, Message: r})
	}
	w.tell(1, &ChunkReply{From: 3, Message: &remote.SnapshotChunkReply{Term: 2, Index: 9, Done: true}})
	if got := said[*Sent](w, 1); len(got) > 0 {
		t.Fatalf("%+v", got[0])
	}
	w.tell(1, &ChunkReply{From: 2, Message: &remote.SnapshotChunkReply{Term: 2, Index: 9, Offset: 1 << 40}})
	if sent := one[*Sent](w, 1); sent.Err == nil {
		t.Error("an offset beyond the file was taken")
	}
}
