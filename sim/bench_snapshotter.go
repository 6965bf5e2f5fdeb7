package sim

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/troupe-raft/troupe/entry"
	"github.com/troupe-raft/troupe/raft"
	"github.com/troupe-raft/troupe/remote"
	"github.com/troupe-raft/troupe/snapshotter"
	"github.com/troupe-raft/troupe/stage"
)

// benchDir is where they keep their snapshots.
const benchDir = "snapshots/1-1"

// metaAt is what a snapshot of an index says of itself.
func metaAt(i raft.Index) raft.SnapshotMeta {
	return raft.SnapshotMeta{Index: i, Term: 2, Membership: raft.Membership{Voters: []raft.NodeID{1, 2, 3}}}
}

// putSnapshotter has one of node 1 on a file system, whose messages to others its parent gets. It knows of a snapshot at an index.
func (b *bench) putSnapshotter(fs *brittle, newest raft.Index, chunk int) {
	b.put(func(s stage.Stage, out *slog.Logger) *actor.Props {
		return snapshotter.Props(snapshotter.Config{
			Group: 1, Node: 1, Stage: s, FS: fs, Dir: benchDir, ChunkBytes: chunk, PieceBytes: 8, BufferBytes: []int{1, 7, 40}[b.rand.IntN(3)], StallAfter: 2 * time.Second,
			Sender: func(raft.NodeID) *actor.PID { return b.parent }, Log: out,
		})
	})
	b.heard("snapshotter.OnDuty")
	orders := &snapshotter.Orders{Term: 2}
	if newest > 0 {
		orders.Snapshot = metaAt(newest)
	}
	b.tell(orders)
	b.heard()
	b.orders = orders
}

// content is what a state machine writes.
func content(i raft.Index) string { return fmt.Sprintf("the state of entry %d, in a few pieces", i) }

// take has a snapshot taken, and returns what became of it.
func (b *bench) take(i raft.Index) error {
	p := &promise{}
	b.tell(&snapshotter.Take{Waiter: p})
	b.heard("snapshotter.WantCapture")
	b.tell(&snapshotter.Captured{Meta: metaAt(i), Write: func(w io.Writer) error { _, err := io.WriteString(w, content(i)); return err }})
	said := b.heard("snapshotter.Taken")
	if len(said) != 1 {
		return errBad
	}
	taken := said[0].(*snapshotter.Taken)
	b.demand(p.told == 1 && (p.err == nil) == (taken.Err == nil), "whoever asked for a snapshot is told %d times: %v; the group: %v", p.told, p.err, taken.Err)
	return taken.Err
}

// whole demands that a snapshot can be read.
func (b *bench) whole(fs *brittle, i raft.Index) {
	r, err := snapshotter.Open(fs, benchDir, metaAt(i), 0)
	if err == nil {
		var got []byte
		got, err = io.ReadAll(r)
		b.demand(err != nil || string(got) == content(i), "the snapshot of entry %d holds %q", i, got)
	}
	b.demand(err == nil, "the snapshot of entry %d cannot be read: %v", i, err)
}

// fileOf is a whole file of a snapshot.
func (b *bench) fileOf(i raft.Index) []byte {
	fs := &brittle{tree: newTree()}
	b.putSnapshotter(fs, 0, 0)
	b.demand(b.take(i) == nil, "no snapshot is taken")
	b.whole(fs, i)
	ids, err := snapshotter.List(fs, benchDir)
	b.demand(err == nil && len(ids) == 1 && ids[0] == raft.EntryID{Index: i, Term: 2}, "there are %v: %v", ids, err)
	var data []byte
	fs.each(func(_ string, n *inode) { data = n.data })
	return data
}

// snapshotPath is the name of its file.
func snapshotPath(i raft.Index) string {
	return fmt.Sprintf("%s/snap-%020d-%020d.troupe", benchDir, i, 2)
}

// brittleTakes: whatever operation fails as a snapshot is taken, it is not taken for whole unless it is, and the next one succeeds.
func (b *bench) brittleTakes() {
	for n := 1; ; n++ {
		fs := &brittle{tree: newTree(), panics: b.rand.IntN(4) == 0}
		b.putSnapshotter(fs, 0, 0)
		fs.left = n
		err := b.take(5)
		ended := fs.left > 0
		fs.left = 0
		b.mayPanic(fs)
		if err == nil {
			b.whole(fs, 5)
		}
		b.pass(10 * time.Second)
		b.demand(b.take(6) == nil, "no snapshot is taken after one that failed at operation %d: %v", n, err)
		b.whole(fs, 6)
		if ended || b.sim.check.first != nil {
			return
		}
	}
}

// mayPanic forgives the panics that a file system made.
func (b *bench) mayPanic(fs *brittle) {
	if fs.panics {
		b.loud["actor panicked"] = false
	}
}

// chunksOf cuts a file into pieces of so many bytes.
func chunksOf(file []byte, term raft.Term, meta raft.SnapshotMeta, size int) (all []*remote.SnapshotChunk) {
	for at := 0; at < len(file); at += size {
		end := min(at+size, len(file))
		all = append(all, &remote.SnapshotChunk{
			Term: term, Leader: 2, Meta: meta, Size: int64(len(file)), Sum: crc32.Checksum(file, castagnoli), Offset: int64(at), Data: file[at:end], Last: end == len(file),
		})
	}
	return all
}

// receive sends a file as a leader would, from where the receiver wants it, and returns the last answer.
func (b *bench) receive(file []byte, term raft.Term, meta raft.SnapshotMeta) (last *remote.SnapshotChunkReply) {
	at := int64(0)
	for range 200 {
		all := chunksOf(file[at:], term, meta, 60)
		m := &remote.SnapshotChunk{Term: term, Leader: 2, Meta: meta, Size: int64(len(file)), Sum: crc32.Checksum(file, castagnoli), Offset: at, Last: true}
		if len(all) > 0 {
			m.Data = all[0].Data
			m.Last = at+int64(len(m.Data)) == m.Size
		}
		b.tell(&snapshotter.Chunk{From: 2, Message: m})
		for _, r := range b.replies() {
			if last = r; last.Done || last.Refused != "" {
				return last
			}
			at = last.Offset
		}
	}
	return last
}

// replies takes the answers to chunks that were sent. What the parent was told is left.
func (b *bench) replies() (all []*remote.SnapshotChunkReply) {
	b.said = slices.DeleteFunc(b.said, func(m any) bool {
		if post, ok := m.(*remote.Post); ok {
			if r, ok := post.Envelope.Message.(*remote.SnapshotChunkReply); ok {
				all = append(all, r)
				return true
			}
		}
		return false
	})
	return all
}

// brittleReceipts: whatever operation fails as one arrives, nothing is taken for whole that is not, and another try succeeds.
func (b *bench) brittleReceipts() {
	file := b.fileOf(7)
	for n := 1; ; n++ {
		fs := &brittle{tree: newTree(), panics: b.rand.IntN(4) == 0}
		switch b.rand.IntN(4) { // what a transfer before left behind
		case 0:
			fs.leave(benchDir+"/snap-x.part", "xx")
		case 1:
			fs.leave(fmt.Sprintf("%s.%d.%08x.part", snapshotPath(7), len(file), crc32.Checksum(file, castagnoli)), string(file)+"more")
		case 2:
			fs.leave(fmt.Sprintf("%s.%d.%08x.part", snapshotPath(7), len(file), crc32.Checksum(file, castagnoli)), string(file[:len(file)/2])+"x")
		}
		b.putSnapshotter(fs, 0, 0)
		fs.left = n
		r := b.receive(file, 2, metaAt(7))
		ended := fs.left > 0
		fs.left = 0
		b.said = nil
		b.mayPanic(fs)
		if r == nil || !r.Done {
			r = b.receive(file, 2, metaAt(7))
			if r != nil && !r.Done { // the part of it that was left was not the sender's
				r = b.receive(file, 2, metaAt(7))
			}
		}
		b.demand(r != nil && r.Done, "a snapshot does not arrive after operation %d failed: %+v", n, r)
		b.demand(len(b.said) == 0 || strings.HasSuffix(fmt.Sprintf("%T", b.said[0]), "Received") || fs.panics, "it says %v", b.said)
		b.said = nil
		b.whole(fs, 7)
		if ended || b.sim.check.first != nil {
			return
		}
	}
}

// leave puts a file there.
func (f *brittle) leave(name, data string) {
	_ = f.tree.MkdirAll(benchDir, 0)
	n, _ := f.create(name)
	_, _ = n.Write([]byte(data))
	_ = n.Sync()
}

// parts are the places of a snapshot file: where each begins, the pieces' and the trailer's heads too.
func parts(file []byte) (at []int) {
	at = []int{0, 8}
	for next := 8; next+8 <= len(file); {
		size := int(binary.BigEndian.Uint32(file[next:]))
		at = append(at, next+4, next+8)
		if next += 8 + size; size == 0 {
			return append(at, next, next+8, len(file)-1)
		}
		at = append(at, next)
	}
	return at
}

// piece is one as a file has it.
func piece(b []byte) []byte {
	head := binary.BigEndian.AppendUint32(nil, uint32(len(b)))
	return append(binary.BigEndian.AppendUint32(head, crc32.Checksum(b, castagnoli)), b...)
}

// headed is a file whose header is another one, with a checksum that is right.
func headed(file, header []byte) []byte {
	size := int(binary.BigEndian.Uint32(file[8:]))
	return slices.Concat(file[:8], piece(header), file[16+size:])
}

// damagedFiles: a file that is damaged in any of its parts, or is another one's, is neither begun from, nor sent, nor taken.
func (b *bench) damagedFiles() {
	file := b.fileOf(7)
	header := file[16 : 16+binary.BigEndian.Uint32(file[8:])]
	other := func(at int, v byte) []byte {
		h := slices.Clone(header)
		h[at] = v
		return headed(file, h)
	}
	bad := [][]byte{
		nil, append(slices.Clone(file), 0), headed(file, header[:20]), headed(file, append(slices.Clone(header[:24]), 0xff)), other(7, 9), other(15, 8), other(23, 1),
		headed(file, entry.AppendMembership(slices.Clone(header[:24]), raft.Membership{Voters: []raft.NodeID{9}})),
	}
	for _, at := range parts(file) {
		broken := slices.Clone(file)
		broken[at] ^= byte(1 + b.rand.IntN(255))
		bad = append(bad, broken, file[:at])
		if b.rand.IntN(2) == 0 {
			bad = append(bad, slices.Concat(file[:at], []byte("?"), file[at:]))
		}
	}
	for n, data := range bad {
		what := fmt.Sprintf("file %d of %d bytes", n, len(data))
		b.putSnapshotter(&brittle{tree: newTree()}, 0, 0)
		if len(data) > 0 {
			r := b.receive(data, 2, metaAt(7))
			b.demand(r != nil && !r.Done && r.Refused != "", "%s is taken: %+v", what, r)
		}
		fs := &brittle{tree: newTree()}
		fs.leave(snapshotPath(7), string(data))
		if r, err := snapshotter.Open(fs, benchDir, metaAt(7), 1+b.rand.IntN(64)); err == nil {
			_, err = io.ReadAll(r)
			b.demand(err != nil || n == 4, "%s is read", what) // whose group it is of Open does not ask
		}
		b.putSnapshotter(fs, 7, 0)
		b.tell(&snapshotter.Send{Peer: 3, Term: 2, Leader: 1})
		if n != 4 {
			b.heard("snapshotter.Unusable", "snapshotter.WantCapture", "snapshotter.Sent")
		}
	}
	b.putSnapshotter(&brittle{tree: newTree()}, 0, 0)
	sum := chunksOf(file, 2, metaAt(7), len(file))[0]
	sum.Sum++
	b.tell(&snapshotter.Chunk{From: 2, Message: sum})
	r := b.replies()
	b.demand(len(r) > 0 && r[len(r)-1].Refused != "", "a file with another checksum than its sender's is taken: %+v", r)
	fs := &brittle{tree: newTree()}
	if ids, err := snapshotter.List(fs, benchDir); len(ids) > 0 || err != nil {
		b.demand(false, "no folder holds %v: %v", ids, err)
	}
	fs.leave(snapshotPath(7), string(file))
	fs.left = 1
	_, err := snapshotter.Open(fs, benchDir, metaAt(7), 64)
	b.demand(errors.Is(err, errInjected), "a file that cannot be opened: %v", err)
	fs.left = 1
	_, err = snapshotter.List(fs, benchDir)
	b.demand(errors.Is(err, errInjected), "a folder that cannot be read: %v", err)
}

// strayChunks: what no leader of now sends is refused, and what is of another transfer does not disturb the one that is under way.
func (b *bench) strayChunks() {
	file := b.fileOf(7)
	fs := &brittle{tree: newTree()}
	meta := metaAt(7)
	all := chunksOf(file, 3, meta, 50)
	from := func(m *remote.SnapshotChunk) any { return &snapshotter.Chunk{From: 2, Message: m} }
	refused := func(m *remote.SnapshotChunk, why string) {
		b.tell(from(m))
		r := b.replies()
		b.demand(len(r) == 1 && r[0].Refused == why && !r[0].Done, "a chunk %+v is answered %+v, not %q", m, r, why)
	}
	b.put(func(s stage.Stage, out *slog.Logger) *actor.Props {
		return snapshotter.Props(snapshotter.Config{Group: 1, Node: 1, Stage: s, FS: fs, Dir: benchDir, Sender: func(raft.NodeID) *actor.PID { return b.parent }, Log: out})
	})
	b.heard("snapshotter.OnDuty")
	b.tell(from(all[0]), &strangeMessage{})
	b.heard() // before there are orders
	b.demand(b.loud["unexpected message"], "a message that nobody knows goes unnoticed")
	b.putSnapshotter(fs, 0, 0)
	b.tell(from(all[0]), &snapshotter.Captured{Meta: metaAt(9)}) // which nobody asked for
	b.heard("remote.Post")
	for _, spoil := range []func(m *remote.SnapshotChunk){
		func(m *remote.SnapshotChunk) { m.Size = 0 }, func(m *remote.SnapshotChunk) { m.Offset = -1 }, func(m *remote.SnapshotChunk) { m.Offset = m.Size + 1 },
		func(m *remote.SnapshotChunk) { m.Last = !m.Last }, func(m *remote.SnapshotChunk) { m.Meta.Term = m.Term + 1 }, func(m *remote.SnapshotChunk) { m.Leader = raft.None },
	} {
		m := *all[1]
		spoil(&m)
		refused(&m, "chunk is malformed")
	}
	refused(chunksOf(file, 2, meta, 50)[1], "its leader's term is over")
	smaller := chunksOf(file, 3, metaAt(6), 50)
	refused(smaller[0], "a newer snapshot is arriving")
	refused(chunksOf(append(slices.Clone(file), 1), 3, meta, 50)[1], "a newer snapshot is arriving") // of the same index, and not from its beginning
	for _, m := range all[1:] {
		b.system.Root.Send(b.daemon, from(m))
	}
	b.system.Root.Send(b.daemon, from(all[len(all)-1]))
	for _, m := range smaller {
		b.system.Root.Send(b.daemon, from(m)) // while the whole file is verified, or after it
	}
	b.pass(0)
	done := 0
	for _, r := range b.replies() {
		if b.demand(r.Index == 7 || r.Done, "an answer to a straggler: %+v", r); r.Done {
			done++
		}
	}
	b.demand(done > 0, "a snapshot did not arrive beside stragglers")
	b.said = nil
	b.whole(fs, 7)

	b.name = "a part that is not needed any more cannot be removed"
	b.putSnapshotter(fs, 7, 0)
	b.tell(from(chunksOf(file, 3, metaAt(8), 50)[0]))
	fs.left = 1
	b.tell(&snapshotter.Kept{Meta: metaAt(9)})
	b.heard("remote.Post")
	b.demand(b.loud["unfinished snapshot remains"], "nobody says so")
}

// stopAmid: a snapshotter that stops at any operation of its workers answers who waits, and leaves nothing that is taken for whole and is not.
func (b *bench) stopAmid() {
	file := b.fileOf(7)
	for n := 1; ; n += 1 + b.rand.IntN(min(n, 12)) {
		fs := &brittle{tree: newTree()}
		fs.leave(snapshotPath(7), string(file))
		b.putSnapshotter(fs, 7, 20)
		stop := func() {
			b.system.Root.Stop(b.daemon)
			b.stage.Run(nil, 3)
		}
		fs.left, fs.amid = n, stop
		takers := []*promise{{}, {}}
		b.tell(&snapshotter.Take{Waiter: takers[0]})
		b.system.Root.Send(b.daemon, &snapshotter.Captured{Meta: metaAt(9), Write: func(w io.Writer) error {
			if b.rand.IntN(4) == 0 {
				stop()
			}
			_, err := w.Write(bytes.Repeat([]byte("x"), 100))
			return err
		}})
		for _, m := range chunksOf(file, 3, metaAt(8), 50) {
			b.system.Root.Send(b.daemon, &snapshotter.Chunk{From: 2, Message: m})
		}
		b.system.Root.Send(b.daemon, &snapshotter.Send{Peer: 3, Term: 3, Leader: 1})
		b.pass(0)
		b.system.Root.Send(b.daemon, &snapshotter.Take{Waiter: takers[1]})
		b.system.Root.Stop(b.daemon)
		b.pass(0)
		b.demand(takers[0].told == 1, "who wanted a snapshot is told %d times as it stops at operation %d", takers[0].told, n)
		b.said = nil
		ids, err := snapshotter.List(&brittle{tree: fs.tree}, benchDir)
		b.demand(err == nil && len(ids) > 0, "there are %v: %v", ids, err)
		for _, id := range ids {
			_, meta, err := snapshotter.Verify(&brittle{tree: fs.tree}, snapshotPath(id.Index))
			b.demand(err == nil && meta.Index == id.Index, "what it left of entry %d: %v", id.Index, err)
		}
		if fs.left > 0 || b.sim.check.first != nil {
			return
		}
	}
}

// straySends: a transfer ends when it must, and what comes late of one that has ended changes nothing.
func (b *bench) straySends() {
	file := b.fileOf(7)
	fs := &brittle{tree: newTree()}
	begin := func(term raft.Term) {
		fs.leave(snapshotPath(7), string(file))
		b.putSnapshotter(fs, 7, 40)
		b.tell(&snapshotter.Send{Peer: 3, Term: term, Leader: 1})
		b.heard("remote.Post")
	}
	answer := func(r remote.SnapshotChunkReply) any { return &snapshotter.ChunkReply{From: 3, Message: &r} }
	ends := func(what string, m ...any) {
		b.name = "a transfer ends: " + what
		b.tell(m...)
		said := b.heard("snapshotter.Sent")
		b.demand(len(said) == 1 && said[0].(*snapshotter.Sent).Err != nil, "%v", said)
		b.tell(answer(remote.SnapshotChunkReply{Term: 2, Index: 7, Offset: 40}))
		b.heard()
	}
	begin(2)
	ends("its receiver is in a newer term", answer(remote.SnapshotChunkReply{Term: 9, Index: 7}))
	begin(2)
	ends("its receiver wants what is not there", answer(remote.SnapshotChunkReply{Term: 2, Index: 7, Offset: 1 << 40}))
	begin(2)
	ends("its receiver wants what was before it", answer(remote.SnapshotChunkReply{Term: 2, Index: 7, Offset: -1}))
	begin(2)
	fs.left = 1
	ends("its file cannot be read", answer(remote.SnapshotChunkReply{Term: 2, Index: 7, Offset: 40}))
	begin(2)
	ends("its leader leads no more", &snapshotter.Abort{Term: 2})

	b.name = "a transfer that runs is asked for again"
	begin(2)
	b.tell(&snapshotter.Send{Peer: 3, Term: 2, Leader: 1})
	b.heard()
	b.name = "a transfer's file cannot be opened"
	b.putSnapshotter(fs, 7, 40)
	fs.left = 1
	b.tell(&snapshotter.Send{Peer: 3, Term: 2, Leader: 1})
	b.heard("snapshotter.Unusable", "snapshotter.WantCapture", "snapshotter.Sent")

	b.name = "a transfer is of a newer term"
	begin(2)
	b.tell(&snapshotter.Send{Peer: 3, Term: 4, Leader: 1})
	b.heard("snapshotter.Sent", "remote.Post")
	b.tell(&snapshotter.Send{Peer: 2, Term: 3, Leader: 1})
	sent := b.heard("snapshotter.Sent")
	b.demand(len(sent) == 1 && errors.Is(sent[0].(*snapshotter.Sent).Err, snapshotter.ErrAborted), "one of an older term ends: %+v", sent)

	b.name = "a transfer is over before its file is read"
	b.putSnapshotter(fs, 7, 40)
	b.tell(&snapshotter.Send{Peer: 3, Term: 2, Leader: 1}, &snapshotter.Abort{Term: 2})
	b.heard("snapshotter.Sent")
	b.name = "a transfer's file makes its worker panic"
	fs.left, fs.panics = 1, true
	b.tell(&snapshotter.Send{Peer: 3, Term: 2, Leader: 1})
	b.heard("snapshotter.Unusable", "snapshotter.WantCapture", "snapshotter.Sent")

	b.name = "the timer of a chunk comes when it is answered"
	*fs = brittle{tree: fs.tree}
	for range 4 {
		begin(2)
		b.stage.SetCost(100 * time.Millisecond)
		for range 6 {
			b.tell(answer(remote.SnapshotChunkReply{Term: 2, Index: 7, Offset: 40 * int64(1+b.rand.IntN(2))}))
			b.pass(time.Duration(b.rand.Int64N(int64(time.Second))))
		}
		b.tell(answer(remote.SnapshotChunkReply{Term: 2, Index: 7, Done: true}))
		b.pass(time.Minute)
		ended := 0
		for _, m := range b.said {
			if _, ok := m.(*snapshotter.Sent); ok {
				ended++
			}
		}
		b.demand(ended == 1, "it ends %d times", ended)
		b.said = nil
	}
}
