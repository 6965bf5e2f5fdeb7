package snapshotter

import (
	"bytes"
	"errors"
	"hash/crc32"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/troupe-raft/troupe/raft"
	"github.com/troupe-raft/troupe/remote"
)

// A feed hands chunks to node 2 and returns the answers.
func feed(w *world, chunks ...*remote.SnapshotChunk) (replies []*remote.SnapshotChunkReply) {
	w.lose = func(_, _ raft.NodeID, message any) bool {
		if r, ok := message.(*remote.SnapshotChunkReply); ok {
			replies = append(replies, r)
		}
		return true
	}
	for _, c := range chunks {
		w.tell(2, &Chunk{From: 1, Message: c})
	}
	return replies
}

// piece cuts a chunk out of a file.
func piece(term raft.Term, index raft.Index, file []byte, from, to int) *remote.SnapshotChunk {
	return &remote.SnapshotChunk{
		Term: term, Leader: 1, Meta: metaAt(index), Size: int64(len(file)), Sum: crc32.Checksum(file, castagnoli),
		Offset: int64(from), Data: file[from:to], Last: to == len(file),
	}
}

func fileAt(t testing.TB, index raft.Index, size int) []byte {
	fs := newFS()
	mustWrite(t, fs, index, content(uint64(index), size))
	return raw(t, fs, index)
}

func TestReceiverAsksForWhatItWants(t *testing.T) {
	w := newWorld(t, 1, 1, 2)
	f := fileAt(t, 9, 1000)
	r := feed(w, piece(2, 9, f, 500, 600), piece(2, 9, f, 0, 300), piece(2, 9, f, 0, 300), piece(2, 9, f, 400, 500), piece(2, 9, f, 300, 500))
	for i, want := range []int64{0, 300, 300, 300, 500} {
		if r[i].Offset != want || r[i].Done || r[i].Refused != "" || r[i].Index != 9 || r[i].Term != 2 {
			t.Errorf("answer %d: %+v", i, r[i])
		}
	}
}

func TestNewerTransferReplacesOneUnderWay(t *testing.T) {
	w := newWorld(t, 1, 1, 2)
	old, young := fileAt(t, 9, 1000), fileAt(t, 12, 1000)
	r := feed(w,
		piece(2, 9, old, 0, 300),
		piece(2, 12, young, 0, 200),   // newer snapshot of the same leader
		piece(2, 9, old, 300, 400),    // straggler
		piece(3, 9, old, 0, 100),      // newer leader, older snapshot
		piece(2, 12, young, 200, 300), // deposed leader
	)
	if r[0].Offset != 300 || r[1].Offset != 200 || r[3].Offset != 100 || r[2].Refused == "" || r[4].Refused == "" || r[4].Term != 3 {
		for i := range r {
			t.Errorf("answer %d: %+v", i, r[i])
		}
	}
	if got := names(t, w.nodes[2].fs); len(got) != 1 {
		t.Errorf("parts remain: %v", got)
	}
}

func TestHostileChunksAreRefused(t *testing.T) {
	f := fileAt(t, 9, 1000)
	for name, spoil := range map[string]func(*remote.SnapshotChunk){
		"offset wraps":   func(c *remote.SnapshotChunk) { c.Offset = 1<<63 - 10 },
		"end wraps":      func(c *remote.SnapshotChunk) { c.Size, c.Offset = 1<<63-1, 1<<63-11 },
		"negative":       func(c *remote.SnapshotChunk) { c.Offset = -1 },
		"beyond":         func(c *remote.SnapshotChunk) { c.Size = 50 },
		"no size":        func(c *remote.SnapshotChunk) { c.Size, c.Data = 0, nil },
		"last too early": func(c *remote.SnapshotChunk) { c.Last = true },
		"no index":       func(c *remote.SnapshotChunk) { c.Meta.Index = 0 },
		"later term":     func(c *remote.SnapshotChunk) { c.Meta.Term = 7 },
		"no leader":      func(c *remote.SnapshotChunk) { c.Leader = raft.None },
	} {
		w := newWorld(t, 1, 1, 2)
		c := piece(2, 9, f, 0, 100)
		spoil(c)
		if r := feed(w, c); len(r) != 1 || r[0].Refused == "" {
			t.Errorf("%s: %+v", name, r)
		}
		only(t, w.nodes[2].fs)
	}
}

func TestWrongFileIsRefusedAndRemoved(t *testing.T) {
	good := fileAt(t, 9, 1000)
	flipped := bytes.Clone(good)
	flipped[500] ^= 1
	for name, spoil := range map[string]func(c *remote.SnapshotChunk){
		"sum":        func(c *remote.SnapshotChunk) { c.Sum++ },
		"payload":    func(c *remote.SnapshotChunk) { *c = *piece(2, 9, flipped, 0, len(flipped)) },
		"index":      func(c *remote.SnapshotChunk) { c.Meta.Index = 10 },
		"membership": func(c *remote.SnapshotChunk) { c.Meta.Membership = raft.Membership{Voters: []raft.NodeID{1}} },
	} {
		w := newWorld(t, 1, 1, 2)
		c := piece(2, 9, good, 0, len(good))
		spoil(c)
		r := feed(w, c)
		if last := r[len(r)-1]; last.Refused == "" || last.Done {
			t.Errorf("%s: %+v", name, last)
		}
		said[*Abort](w, 2) // nothing was said
		only(t, w.nodes[2].fs)
	}
}

func TestFileOfAnotherGroupIsRefused(t *testing.T) {
	fs := newFS()
	if _, err := write(fs, dir, 7, metaAt(9), writes([]byte("x")), &(&snapshotter{}).stop, usual); err != nil {
		t.Fatal(err)
	}
	f := raw(t, fs, 9)
	w := newWorld(t, 1, 1, 2)
	if r := feed(w, piece(2, 9, f, 0, len(f))); !strings.Contains(r[len(r)-1].Refused, "group 7") {
		t.Errorf("%+v", r[len(r)-1])
	}
}

func TestWhatIsThereIsNotSentAgain(t *testing.T) {
	w := newWorld(t, 1, 1, 2)
	f := fileAt(t, 9, 1000)
	r := feed(w, piece(2, 9, f, 0, len(f)))
	if last := r[len(r)-1]; !last.Done {
		t.Fatalf("%+v", last)
	}
	first := one[*Received](w, 2)
	// Its reply, or the parent's word to the leader, was lost: the leader begins anew, before and after the installation.
	for range 2 {
		if r := feed(w, piece(2, 9, f, 0, 100)); len(r) != 1 || !r[0].Done {
			t.Fatalf("%+v", r[0])
		}
		if again := one[*Received](w, 2); again.Meta.Index != first.Meta.Index {
			t.Errorf("%+v", again)
		}
		w.tell(2, &Kept{Meta: metaAt(9)})
	}
	if r := feed(w, piece(2, 5, fileAt(t, 5, 10), 0, 50)); len(r) != 1 || !r[0].Done {
		t.Errorf("an older snapshot: %+v", r[0])
	}
	only(t, w.nodes[2].fs, 9)
}

func TestInstalledSnapshotEndsAnOlderTransfer(t *testing.T) {
	w := newWorld(t, 1, 1, 2)
	feed(w, piece(2, 9, fileAt(t, 9, 1000), 0, 300))
	mustWrite(t, w.nodes[2].fs, 11, nil)
	w.tell(2, &Kept{Meta: metaAt(11)})
	only(t, w.nodes[2].fs, 11)
}

func TestDiskFaultsOfAReceiverAreAnswered(t *testing.T) {
	f := fileAt(t, 9, 1000)
	failed := 0
	for at, hit := 0, true; hit; at++ {
		w := newWorld(t, 1, 1)
		op := -1 << 30
		hit = false
		mem := newFS()
		w.nodes[2] = &node{id: 2, fs: errorfs.Wrap(mem, errorfs.InjectorFunc(func(errorfs.Op) error {
			if op++; op-1 != at {
				return nil
			}
			hit = true
			return errors.New("disk full")
		}))}
		w.start(2, raft.SnapshotMeta{})
		op = 0
		r := feed(w, piece(2, 9, f, 0, 500), piece(2, 9, f, 500, len(f)))
		last := r[len(r)-1]
		for _, c := range r {
			if c.Refused != "" {
				failed++
			}
		}
		if last.Done {
			only(t, mem, 9)
			continue
		}
		if len(said[*Received](w, 2)) > 0 {
			t.Errorf("operation %d: received, but not done", at)
		}
		op = 1 << 30
		r = feed(w, piece(2, 9, f, 0, 500), piece(2, 9, f, 500, len(f)))
		if last := r[len(r)-1]; !last.Done {
			t.Errorf("operation %d: the next try ends with %+v", at, last)
		}
	}
	if failed < 5 {
		t.Errorf("only %d operations could fail", failed)
	}
}

func TestDeposedLeaderIsTold(t *testing.T) {
	w := newWorld(t, 1, 1, 2)
	w.tell(2, &Orders{Term: 5})
	if r := feed(w, piece(2, 9, fileAt(t, 9, 1000), 0, 100)); len(r) != 1 || r[0].Refused == "" || r[0].Term != 5 {
		t.Errorf("%+v", r)
	}
	only(t, w.nodes[2].fs)
}
