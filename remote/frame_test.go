package remote

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"testing"
	"testing/iotest"

	"github.com/troupe-raft/troupe/entry"
	"github.com/troupe-raft/troupe/internal/allocs"
	"github.com/troupe-raft/troupe/raft"
)

func vote(term raft.Term) Envelope {
	return Envelope{1, &raft.RequestVote{Term: term, Candidate: 2}}
}

func TestEveryBitOfTheFrameIsGuarded(t *testing.T) {
	whole := encode(t, vote(1), Envelope{1, &AppendBlocks{AppendEntries: raft.AppendEntries{Term: 5},
		Blocks: []*entry.Block{block(5, 1, 3, []byte("data"))}}}, Envelope{1, &SnapshotChunk{Data: []byte("data")}})
	for bit := range len(whole) * 8 {
		spoiled := bytes.Clone(whole)
		spoiled[bit/8] ^= 1 << (bit % 8)
		if _, _, err := newDeframer(spoiled, 1<<20).next(); err == nil {
			t.Fatalf("bit %d changed, nobody noticed", bit)
		}
	}
}

func TestTruncatedFrame(t *testing.T) {
	whole := encode(t, vote(1), Envelope{1, &SnapshotChunk{Data: make([]byte, 5000)}})
	for n := range whole {
		_, _, err := newDeframer(whole[:n], 1<<20).next()
		if want := io.ErrUnexpectedEOF; n == 0 && err != io.EOF || n > 0 && !errors.Is(err, want) {
			t.Fatalf("after %d bytes: %v", n, err)
		}
	}
}

func TestFrameArrivesByteByByte(t *testing.T) {
	batch := []Envelope{vote(1), {1, &SnapshotChunk{Data: make([]byte, 5000)}}, vote(2)}
	d := newDeframer(nil, 1<<20)
	waits := 0
	d.patience = func(bytes int) {
		if bytes > 0 {
			waits++
		}
	}
	d.r = bufio.NewReader(iotest.OneByteReader(bytes.NewReader(append(encode(t, batch...), encode(t, vote(3))...))))
	got, _, err := d.next()
	if err != nil {
		t.Fatal(err)
	}
	sameBatch(t, got, batch)
	if got, _, err = d.next(); err != nil {
		t.Fatal(err)
	}
	sameBatch(t, got, []Envelope{vote(3)})
	if waits != 2 {
		t.Errorf("waited for the rest of %d frames, want 2", waits)
	}
}

func TestFrameLimitOnBothSides(t *testing.T) {
	e := Envelope{1, &SnapshotChunk{Data: make([]byte, 5000)}}
	b := encode(t, e)
	if _, _, err := newDeframer(b, len(b)).next(); err != nil {
		t.Errorf("at the limit: %v", err)
	}
	if _, _, err := newDeframer(b, len(b)-1).next(); !errors.Is(err, errMalformed) {
		t.Errorf("above the limit: %v", err)
	}
	f := newFramer(kinds, newest)
	if _, err := f.frame([]Envelope{e}, len(b)-1); !errors.Is(err, errTooLarge) {
		t.Errorf("writing above the limit: %v", err)
	}
	if size, err := f.frame([]Envelope{e}, len(b)); err != nil || size != len(b) {
		t.Errorf("writing at the limit: %d bytes, %v", size, err)
	}
}

// A few bytes that announce gigabytes must not cost their receiver much.
func TestAnnouncementsAreNotBelieved(t *testing.T) {
	chunk := &SnapshotChunk{Data: []byte("x")}
	section, _ := head(Envelope{1, chunk})
	section = section[:len(section)-6] // without size 01 and its sum
	section = append(section, 0xce, 0x3f, 0, 0, 0, 0)
	for name, b := range map[string][]byte{
		"heads":   announcing(1<<30-8, 1<<30-100, nil),
		"payload": announcing(uint32(4+len(section)+0x3f000000), uint32(len(section)), section),
		"beats":   announcing(4+9, 9, []byte{0x93, kindPulse, 0, 0xdd, 0x0f, 0xff, 0xff, 0xff, 0}),
		"blocks":  announcing(4+13, 13, []byte{0x98, kindAppendBlocks, 1, 1, 1, 1, 1, 1, 0xdd, 0x0f, 0xff, 0xff, 0xff}),
	} {
		allocs.AtMost(t, 2*firstGrowth, func() {
			if _, _, err := newDeframer(b, maxFrame).next(); err == nil {
				t.Errorf("%s: accepted", name)
			}
		})
	}
}

// Blocks alias memory of their message alone: what is cached pins no other group's bytes.
func TestBlocksPinOnlyTheirMessage(t *testing.T) {
	m := func(n int) *AppendBlocks {
		return &AppendBlocks{AppendEntries: raft.AppendEntries{Term: 5},
			Blocks: []*entry.Block{block(5, 1, 1, make([]byte, n)), block(5, 2, 1, make([]byte, n))}}
	}
	d := newDeframer(encode(t, Envelope{1, m(10)}, Envelope{2, m(100_000)}), 1<<20)
	got, _, err := d.next()
	if err != nil {
		t.Fatal(err)
	}
	first, second := got[0].Message.(*AppendBlocks).Blocks[0].Bytes(), got[0].Message.(*AppendBlocks).Blocks[1].Bytes()
	if cap(first) != len(first) || cap(second) != len(second) {
		t.Errorf("capacities %d and %d of blocks with %d and %d bytes", cap(first), cap(second), len(first), len(second))
	}
}

func TestLargeHeadsDoNotFitTheBuffer(t *testing.T) {
	var batch []Envelope
	for i := range 3000 {
		batch = append(batch, vote(raft.Term(i)))
	}
	d := newDeframer(append(encode(t, batch...), encode(t, vote(9))...), 1<<20)
	got, _, err := d.next()
	if err != nil {
		t.Fatal(err)
	}
	sameBatch(t, got, batch)
	if got, _, err = d.next(); err != nil {
		t.Fatal(err)
	}
	sameBatch(t, got, []Envelope{vote(9)})
}
