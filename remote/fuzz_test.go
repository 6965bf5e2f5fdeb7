package remote

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/troupe-raft/troupe/entry"
	"github.com/troupe-raft/troupe/internal/allocs"
	"github.com/troupe-raft/troupe/raft"
)

// mend gives a frame the sum of its heads, so that the fuzzer gets past it.
func mend(b []byte) {
	if len(b) < frameHeader {
		return
	}
	if heads := binary.BigEndian.Uint32(b[8:]); int64(heads) <= int64(len(b)-frameHeader) {
		binary.BigEndian.PutUint32(b[4:], frameSum(b[:frameHeader], b[frameHeader:frameHeader+int(heads)]))
	}
}

// FuzzFrame takes any bytes for what a connection brings, as they are and with sums that fit. What is accepted is sound, no
// flipped bit of it is, and memory is taken in proportion to what has arrived, not to what was announced.
func FuzzFrame(f *testing.F) {
	for _, c := range golden {
		f.Add(encode(f, c.envelope), true, uint(99))
	}
	f.Add(encode(f, golden[2].envelope, golden[8].envelope, golden[7].envelope), false, uint(2000))
	f.Add(announcing(1<<30-8, 1<<30-100, nil), false, uint(0))
	f.Fuzz(func(t *testing.T, b []byte, mended bool, bit uint) {
		const limit = 1 << 20
		if mended {
			b = bytes.Clone(b)
			mend(b)
		}
		allocs.AtMost(t, 32*len(b)+2*firstGrowth, func() {
			for d := newDeframer(b, limit); ; {
				if _, _, err := d.next(); err != nil {
					return
				}
			}
		})
		d := newDeframer(b, limit)
		for rest := b; ; {
			batch, size, err := d.next()
			if err != nil {
				return
			}
			if size < frameHeader || size > limit || size > len(rest) {
				t.Fatalf("a frame of %d bytes in %d, the limit is %d", size, len(rest), limit)
			}
			reencode(t, batch)
			bad := bytes.Clone(rest[:size])
			bit %= uint(size) * 8
			bad[bit/8] ^= 1 << (bit % 8)
			if _, _, err := newDeframer(bad, limit).next(); err == nil {
				t.Fatalf("bit %d flipped and accepted", bit)
			}
			rest = rest[size:]
		}
	})
}

// FuzzHeads takes any bytes for the heads of a frame: those of every kind of message, without their payload.
func FuzzHeads(f *testing.F) {
	for _, c := range golden {
		head, err := head(c.envelope)
		if err != nil {
			f.Fatal(err)
		}
		bytes := 0
		payloads(c.envelope.Message, func(b []byte) { bytes += len(b) })
		f.Add(head, bytes)
		f.Add(append(head, head...), 2*bytes)
	}
	f.Fuzz(func(t *testing.T, b []byte, payload int) {
		var h heads
		var err error
		allocs.AtMost(t, 64*len(b)+4<<10, func() {
			h = newHeads(kinds, newest)
			err = h.decode(b, payload)
		})
		if err != nil {
			return
		}
		announced := 0
		for _, w := range h.wants {
			announced += w.bytes
		}
		if announced != payload || len(h.batch) > maxBatch {
			t.Fatalf("%d messages, %d bytes of payload, want %d", len(h.batch), announced, payload)
		}
		if len(h.wants) == 0 {
			reencode(t, h.batch)
		}
	})
}

// FuzzMessages has every kind of message, with any content, make the trip.
func FuzzMessages(f *testing.F) {
	for i := range byte(4) {
		choices := make([]byte, 4<<10)
		if _, err := rand.NewChaCha8([32]byte{i}).Read(choices); err != nil {
			f.Fatal(err)
		}
		f.Add(choices)
	}
	f.Fuzz(rapid.MakeFuzz(roundTrip))
}

// FuzzHandshake takes any bytes for either side's greeting.
func FuzzHandshake(f *testing.F) {
	f.Add(hello{speaks: Speaks(), cluster: "cluster", from: 1, to: 2, lane: Snapshots, addr: "a:1"}.append(nil))
	f.Add(verdict{speaks: Speaks(), maxFrame: 1 << 20}.append(nil))
	f.Add(verdict{speaks: Speaks(), reason: "no"}.append(nil))
	f.Add(append(hello{speaks: Speaks(), cluster: strings.Repeat("x", maxCluster), from: 1 << 63, to: 1<<64 - 1}.append(nil), "more"...))
	f.Add([]byte(magic + "\x01\x02\xff\xff"))
	f.Fuzz(func(t *testing.T, b []byte) {
		const budget = 8 * maxGreeting
		var h hello
		var v verdict
		var err error
		src := bytes.NewReader(nil)
		allocs.AtMost(t, budget, func() {
			src.Reset(b)
			h, _, err = readHello(src, Speaks())
		})
		if read := len(b) - src.Len(); read > greetingHeader+maxGreeting {
			t.Fatalf("%d bytes read", read)
		}
		if err == nil {
			size := greetingHeader + int(binary.BigEndian.Uint16(b[greetingHeader-2:]))
			if read := len(b) - src.Len(); read != size { // the next byte belongs to a frame
				t.Fatalf("%d bytes read of a hello of %d", read, size)
			}
			longer := append(bytes.Clone(b[:size]), 0)
			binary.BigEndian.PutUint16(longer[greetingHeader-2:], uint16(size-greetingHeader+1))
			if _, _, err := readHello(bytes.NewReader(longer), Speaks()); err == nil {
				t.Fatal("a hello with a byte too many was taken")
			}
			again, _, err := readHello(bytes.NewReader(h.append(nil)), Speaks())
			if err != nil || again != h {
				t.Fatalf("%+v became %+v: %v", h, again, err)
			}
		}
		allocs.AtMost(t, budget, func() { v, _, err = readVerdict(bytes.NewReader(b), Speaks()) })
		var refused *RefusedError
		switch {
		case err == nil && (v.reason != "" || v.maxFrame < minFrame):
			t.Fatalf("%+v accepts", v)
		case err == nil:
			if again, _, err := readVerdict(bytes.NewReader(v.append(nil)), Speaks()); err != nil || again != v {
				t.Fatalf("%+v became %+v: %v", v, again, err)
			}
		case errors.As(err, &refused) && refused.Reason == "":
			t.Fatal("refused without a reason")
		}
	})
}

// reencode checks that what was accepted is sound: it survives another trip.
func reencode(t *testing.T, batch []Envelope) {
	if len(batch) == 0 {
		return
	}
	got, _, err := newDeframer(encode(t, batch...), maxFrame).next()
	if err != nil {
		t.Fatal(err)
	}
	sameBatch(t, got, batch)
}

// announcing is a frame's header, with a sum that fits, and what follows it.
func announcing(length, heads uint32, section []byte) []byte {
	b := make([]byte, frameHeader)
	binary.BigEndian.PutUint32(b, length)
	binary.BigEndian.PutUint32(b[8:], heads)
	binary.BigEndian.PutUint32(b[4:], frameSum(b, section))
	return append(b, section...)
}

// TestSmallHeadsCostLittle fills a frame with the smallest messages there are. No sender puts more than maxBatch of them into
// one, and a receiver does not take more.
func TestSmallHeadsCostLittle(t *testing.T) {
	for _, m := range []any{&AppendBlocks{}, &raft.RequestVote{}, &raft.TimeoutNow{}, &Pulse{}, &SnapshotChunk{}, &SnapshotChunkReply{}, &Mismatch{}, &Location{}} {
		head, err := head(Envelope{1, m})
		if err != nil {
			t.Fatal(err)
		}
		flood := bytes.Repeat(head, 8<<20/len(head))
		frame := announcing(uint32(4+len(flood)), uint32(len(flood)), flood)
		allocs.AtMost(t, 3*len(frame), func() {
			if _, _, err := newDeframer(frame, maxFrame).next(); !errors.Is(err, errMalformed) {
				t.Errorf("%T: %v", m, err)
			}
		})
	}
	q := newQueue(1<<30, false, nil)
	for range 3 * maxBatch {
		q.push([]waiting{{Envelope: vote(1), cost: cost(vote(1))}})
	}
	batch, _, _, _ := q.take(nil, frameTarget, 0)
	if len(batch) > maxBatch || len(batch) < frameTarget/cost(vote(1)) {
		t.Errorf("a sender puts %d messages into one frame, the limit is %d", len(batch), maxBatch)
	}
	got, _, err := newDeframer(encode(t, batch...), maxFrame).next()
	if err != nil {
		t.Fatal(err)
	}
	sameBatch(t, got, batch)
}

// TestMembershipsInBlocksCostLittle sends a block that is all memberships.
func TestMembershipsInBlocksCostLittle(t *testing.T) {
	var b entry.Builder
	m := entry.AppendMembership(nil, raft.Membership{Voters: []raft.NodeID{1}})
	for range 20_000 {
		b.Append(raft.Reconfigure, 0, 0, 0, m)
	}
	frame := encode(t, Envelope{1, &AppendBlocks{AppendEntries: raft.AppendEntries{Term: 1}, Blocks: []*entry.Block{b.Seal(1, 1)}}})
	allocs.AtMost(t, 28*len(frame), func() {
		if _, _, err := newDeframer(frame, maxFrame).next(); err != nil {
			t.Error(err)
		}
	})
}
