package remote

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"errors"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/troupe-raft/troupe/entry"
	"github.com/troupe-raft/troupe/raft"
	"pgregory.net/rapid"
)

// block makes a block of count commands with the given data.
func block(term raft.Term, first raft.Index, count int, data []byte) *entry.Block {
	var b entry.Builder
	for range count {
		b.Append(raft.Command, 0, 0, 0, data)
	}
	return b.Seal(term, first)
}

// encode makes one frame of batch.
func encode(t interface {
	Helper()
	Fatal(...any)
	Fatalf(string, ...any)
}, batch ...Envelope) []byte {
	t.Helper()
	f := newFramer(kinds, newest)
	size, err := f.frame(batch, maxFrame)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := f.writeTo(&out); err != nil {
		t.Fatal(err)
	}
	if out.Len() != size {
		t.Fatalf("frame says it has %d bytes, wrote %d", size, out.Len())
	}
	return out.Bytes()
}

// head encodes the head of e.
func head(e Envelope) ([]byte, error) {
	c := coder{version: newest}
	err := kinds.append(&c, e)
	return c.out, err
}

func newDeframer(b []byte, limit int) *deframer {
	return &deframer{heads: newHeads(kinds, newest), r: bufio.NewReaderSize(bytes.NewReader(b), 4<<10), limit: limit, patience: func(int) {}}
}

var membership = raft.Membership{
	Voters: []raft.NodeID{1, 2, 300}, Outgoing: []raft.NodeID{1, 2}, Learners: []raft.NodeID{9},
	Members: []raft.Member{{ID: 1, Addr: "a:1", Tag: "x"}, {ID: 2, Addr: "b:2"}},
}

// golden is every kind of message with its head section. A change here is a change of the protocol: other
// nodes will not understand it without a new version.
var golden = []struct {
	name     string
	envelope Envelope
	head     string
}{
	{"RequestVote", Envelope{7, &raft.RequestVote{Term: 5, Candidate: 2, Last: raft.EntryID{Index: 300, Term: 4}, PreVote: true, Founders: 5}},
		"99 01 07 05 02 cd012c 04 c3 c2 05"},
	{"RequestVoteReply", Envelope{7, &raft.RequestVoteReply{Term: 5, Asked: 6, Granted: true}},
		"96 02 07 05 06 c3 c2"},
	{"AppendBlocks", Envelope{70000, &AppendBlocks{AppendEntries: raft.AppendEntries{
		Term: 5, Leader: 1, Prev: raft.EntryID{Index: 9, Term: 4}, Commit: 8},
		Blocks: []*entry.Block{block(4, 10, 1, []byte("a")), block(5, 11, 2, []byte("bc"))}}},
		"99 03 ce00011170 05 01 09 04 08 00 92 28 2f"},
	{"AppendEntriesReply", Envelope{7, &raft.AppendEntriesReply{Term: 5, Success: true, Match: 12, Prev: 9, Hint: raft.EntryID{Index: 3, Term: 2}}},
		"99 04 07 05 c3 0c 09 03 02 00"},
	{"HeartbeatReply", Envelope{7, &raft.HeartbeatReply{Term: 5, Round: 200, Sent: time.Millisecond, Last: 9, Doubt: 300, Applied: 8, Promise: 150 * time.Millisecond, Wants: 6}},
		"9a 05 07 05 ccc8 ce000f4240 09 cd012c 08 ce08f0d180 06"},
	{"InstallSnapshotReply", Envelope{7, &raft.InstallSnapshotReply{Term: 5, Match: math.MaxUint64}},
		"95 06 07 05 cfffffffffffffffff 00"},
	{"TimeoutNow", Envelope{7, &raft.TimeoutNow{Term: 5, Leader: 1}},
		"94 07 07 05 01"},
	{"Pulse", Envelope{0, &Pulse{Beats: []Beat{
		{1, raft.Heartbeat{Term: 5, Leader: 1, Round: 2, Sent: 3, Commit: raft.EntryID{Index: 4, Term: 5}, Founders: 0xdeadbeef}},
		{2, raft.Heartbeat{Term: 6, Leader: 1, Sent: -1}}}}},
		"93 08 00 92 98 01 05 01 02 03 04 05 cedeadbeef 98 02 06 01 00 ff 00 00 00"},
	{"SnapshotChunk", Envelope{7, &SnapshotChunk{Term: 5, Leader: 1, Meta: raft.SnapshotMeta{Index: 9, Term: 4, Membership: membership},
		Size: 1 << 33, Sum: 0xdeadbeef, Offset: 4096, Data: []byte("123456789"), Last: true}},
		"9d 09 07 05 01 09 04 c41d 9501 930102cd012c 920102 9109 92 9301a3613a31a178 9302a3623a32a0" +
			" cf0000000200000000 cedeadbeef cd1000 c3 09 cee3069283"},
	{"SnapshotChunkReply", Envelope{7, &SnapshotChunkReply{Term: 5, Index: 9, Offset: 4105, Done: true, Refused: "no"}},
		"97 0a 07 05 09 cd1009 c3 a26e6f"},
	{"Mismatch", Envelope{7, &Mismatch{Kind: OtherFounders, Founders: []raft.NodeID{1, 300}}},
		"94 0d 07 02 92 01 cd012c"},
	{"Removed", Envelope{7, &raft.Removed{Index: 300}},
		"93 0f 07 cd012c"},
	{"Location", Envelope{7, &Location{Node: 300, Addr: "a:1", Tag: "b"}},
		"95 0e 07 cd012c a3613a31 a162"},
	{"Recall", Envelope{7, &raft.Recall{Term: 5, Leader: 1, Sent: 3, Entry: raft.EntryID{Index: 9, Term: 4}}},
		"97 0b 07 05 01 03 09 04"},
	{"Trust", Envelope{7, &raft.Trust{Term: 5, Leader: 1, Life: 300, Entry: raft.EntryID{Index: 9, Term: 5}, Unaided: true}},
		"98 0c 07 05 01 cd012c 09 05 c3"},
}

func TestGoldenBytes(t *testing.T) {
	for _, c := range golden {
		t.Run(c.name, func(t *testing.T) {
			want, err := hex.DecodeString(strings.ReplaceAll(c.head, " ", ""))
			if err != nil {
				t.Fatal(err)
			}
			got, err := head(c.envelope)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got, want) {
				t.Fatalf("head\n got %x\nwant %x", got, want)
			}
		})
	}
}

func TestGoldenFrame(t *testing.T) {
	got := hex.EncodeToString(encode(t, Envelope{7, &raft.TimeoutNow{Term: 5, Leader: 1}}))
	if want := "00000009" + "af64c515" + "00000005" + "9407070501"; got != want {
		t.Fatalf("frame\n got %s\nwant %s", got, want)
	}
}

// received is what a batch looks like on the other side.
func received(batch []Envelope) []Envelope {
	out := make([]Envelope, len(batch))
	for i, e := range batch {
		if m, ok := e.Message.(*AppendBlocks); ok {
			n := *m
			n.Runs, n.Changes = nil, nil
			for _, b := range m.Blocks {
				if k := len(n.Runs); k > 0 && n.Runs[k-1].Term == b.Term() {
					n.Runs[k-1].Last = b.Last()
				} else {
					n.Runs = append(n.Runs, b.Run())
				}
				changes, _ := b.Changes()
				n.Changes = append(n.Changes, changes...)
			}
			e.Message = &n
		}
		out[i] = e
	}
	return out
}

func sameBatch(t interface {
	Helper()
	Fatalf(string, ...any)
}, got, want []Envelope) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("got %d envelopes, want %d", len(got), len(want))
	}
	for i := range want {
		if !reflect.DeepEqual(got[i], want[i]) {
			t.Fatalf("envelope %d\n got %+v %+v\nwant %+v %+v", i, got[i], got[i].Message, want[i], want[i].Message)
		}
	}
}

func TestGoldenRoundTrip(t *testing.T) {
	var all []Envelope
	for _, c := range golden {
		all = append(all, c.envelope)
	}
	b := encode(t, all...)
	d := newDeframer(b, maxFrame)
	got, size, err := d.next()
	if err != nil || size != len(b) {
		t.Fatalf("size %d of %d: %v", size, len(b), err)
	}
	sameBatch(t, got, received(all))
}

func genEnvelope(t *rapid.T) Envelope {
	u := func(name string) uint64 {
		return rapid.Uint64().Draw(t, name) >> (8 * rapid.IntRange(0, 7).Draw(t, "shift"))
	}
	flag := func() bool { return rapid.Bool().Draw(t, "flag") }
	term := func() raft.Term { return raft.Term(u("term")) }
	index := func() raft.Index { return raft.Index(u("index")) }
	id := func() raft.EntryID { return raft.EntryID{Index: index(), Term: term()} }
	sent := func() time.Duration { return time.Duration(rapid.Int64().Draw(t, "sent")) }
	node := func() raft.NodeID { return raft.NodeID(u("node")) }
	e := Envelope{Group: raft.GroupID(u("group"))}
	switch rapid.SampledFrom([]int{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, kindRecall, kindTrust, kindMismatch, kindLocation, kindRemoved}).Draw(t, "kind") {
	case kindRequestVote:
		e.Message = &raft.RequestVote{Term: term(), Candidate: node(), Last: id(), PreVote: flag(), Transfer: flag()}
	case kindRequestVoteReply:
		e.Message = &raft.RequestVoteReply{Term: term(), Asked: term(), Granted: flag(), PreVote: flag()}
	case kindAppendBlocks:
		e.Message = genAppend(t)
	case kindAppendEntriesReply:
		e.Message = &raft.AppendEntriesReply{Term: term(), Success: flag(), Match: index(), Prev: index(), Hint: id(), Doubt: u("doubt")}
	case kindHeartbeatReply:
		e.Message = &raft.HeartbeatReply{Term: term(), Round: u("round"), Sent: sent(), Last: index(), Doubt: u("doubt"), Applied: index(), Promise: sent(), Wants: index()}
	case kindInstallSnapshotReply:
		e.Message = &raft.InstallSnapshotReply{Term: term(), Match: index(), Doubt: u("doubt")}
	case kindRecall:
		e.Message = &raft.Recall{Term: term(), Leader: node(), Sent: sent(), Entry: id()}
	case kindTrust:
		e.Message = &raft.Trust{Term: term(), Leader: node(), Life: u("life"), Entry: id(), Unaided: flag()}
	case kindTimeoutNow:
		e.Message = &raft.TimeoutNow{Term: term(), Leader: node()}
	case kindPulse:
		m := &Pulse{}
		for range rapid.IntRange(0, 40).Draw(t, "beats") {
			m.Beats = append(m.Beats, Beat{raft.GroupID(u("group")), raft.Heartbeat{Term: term(), Leader: node(), Round: u("round"), Sent: sent(), Commit: id(), Founders: uint32(u("founders"))}})
		}
		e.Message = m
	case kindSnapshotChunk:
		m := &SnapshotChunk{Term: term(), Leader: node(), Sum: uint32(u("sum")), Last: flag(), Data: genData(t),
			Size: rapid.Int64Min(0).Draw(t, "size"), Offset: rapid.Int64Min(0).Draw(t, "offset")}
		m.Meta = raft.SnapshotMeta{Index: index(), Term: term(), Membership: membership}
		e.Message = m
	case kindSnapshotChunkReply:
		e.Message = &SnapshotChunkReply{Term: term(), Index: index(), Offset: rapid.Int64Min(0).Draw(t, "offset"), Done: flag(),
			Refused: rapid.StringN(0, 300, 1000).Draw(t, "refused")}
	case kindRemoved:
		e.Message = &raft.Removed{Index: index()}
	case kindLocation:
		e.Message = &Location{Node: node(), Addr: rapid.StringN(0, 300, 500).Draw(t, "addr"), Tag: rapid.StringN(0, 300, 500).Draw(t, "tag")}
	case kindMismatch:
		m := &Mismatch{Kind: MismatchKind(rapid.Byte().Draw(t, "kind"))}
		for range rapid.IntRange(0, 9).Draw(t, "founders") {
			m.Founders = append(m.Founders, node())
		}
		e.Message = m
	}
	return e
}

func genData(t *rapid.T) []byte {
	n := rapid.SampledFrom([]int{1, 100, smallEnough - 1, smallEnough, 70_000}).Draw(t, "bytes")
	return bytes.Repeat([]byte{byte(n)}, n)
}

func genAppend(t *rapid.T) *AppendBlocks {
	term := raft.Term(rapid.Uint64Range(1, 1<<60).Draw(t, "term"))
	last := raft.Index(rapid.Uint64Range(0, 1<<60).Draw(t, "prev"))
	m := &AppendBlocks{AppendEntries: raft.AppendEntries{Leader: 3, Prev: raft.EntryID{Index: last, Term: term}, Commit: last}}
	for range rapid.IntRange(0, 5).Draw(t, "blocks") {
		term += raft.Term(rapid.IntRange(0, 1).Draw(t, "step"))
		var b entry.Builder
		b.Append(raft.Command, 0, 0, 0, genData(t))
		if rapid.Bool().Draw(t, "change") {
			b.Append(raft.Reconfigure, 0, 0, 0, entry.AppendMembership(nil, membership))
		}
		made := b.Seal(term, last+1)
		m.Blocks, last = append(m.Blocks, made), made.Last()
	}
	m.Term = term
	if len(m.Blocks) == 0 {
		m.Blocks = nil
	}
	return m
}

func TestRoundTrip(t *testing.T) { rapid.Check(t, roundTrip) }

// roundTrip sends frames of any messages, and looks whether their cost was estimated high enough.
func roundTrip(t *rapid.T) {
	var batches [][]Envelope
	var wire []byte
	for range rapid.IntRange(1, 3).Draw(t, "frames") {
		batch := rapid.SliceOfN(rapid.Custom(genEnvelope), 1, 8).Draw(t, "batch")
		frame := encode(t, batch...)
		estimate := frameHeader
		for _, e := range batch {
			estimate += cost(e)
		}
		if estimate < len(frame) {
			t.Fatalf("estimated %d bytes, took %d", estimate, len(frame))
		}
		wire, batches = append(wire, frame...), append(batches, batch)
	}
	d := newDeframer(wire, maxFrame)
	for _, batch := range batches {
		got, _, err := d.next()
		if err != nil {
			t.Fatal(err)
		}
		sameBatch(t, got, received(batch))
	}
	if _, _, err := d.next(); err == nil {
		t.Fatal("read past the end")
	}
}

// The estimate must hold for the widest values of every kind, whatever rapid draws.
func TestCostIsNeverTooLow(t *testing.T) {
	const most = math.MaxUint64
	id := raft.EntryID{Index: most, Term: most}
	for _, m := range []any{
		&raft.RequestVote{Term: most, Candidate: most, Last: id, Founders: math.MaxUint32}, &raft.RequestVoteReply{Term: most, Asked: most},
		&AppendBlocks{AppendEntries: raft.AppendEntries{Term: most, Leader: most, Prev: id, Commit: most, Founders: math.MaxUint32}},
		&raft.AppendEntriesReply{Term: most, Match: most, Prev: most, Hint: id, Doubt: most},
		&raft.HeartbeatReply{Term: most, Round: most, Sent: math.MinInt64, Last: most, Doubt: most, Applied: most, Promise: math.MinInt64, Wants: most},
		&raft.Recall{Term: most, Leader: most, Sent: math.MinInt64, Entry: id}, &raft.Trust{Term: most, Leader: most, Life: most, Entry: id},
		&raft.InstallSnapshotReply{Term: most, Match: most, Doubt: most}, &raft.TimeoutNow{Term: most, Leader: most},
		&Pulse{Beats: []Beat{{most, raft.Heartbeat{Term: most, Leader: most, Round: most, Sent: math.MinInt64, Commit: id, Founders: math.MaxUint32}}}},
		&SnapshotChunk{Term: most, Leader: most, Meta: raft.SnapshotMeta{Index: most, Term: most, Membership: membership},
			Size: math.MaxInt64, Sum: math.MaxUint32, Offset: math.MaxInt64},
		&SnapshotChunkReply{Term: most, Index: most, Offset: math.MaxInt64, Refused: strings.Repeat("x", 70_000)},
		&Mismatch{Kind: math.MaxUint8, Founders: []raft.NodeID{most, most, most, most, most, most, most, most, most}},
	} {
		e := Envelope{most, m}
		head, err := head(e)
		if err != nil || cost(e) < len(head) {
			t.Errorf("%T: estimated %d bytes, took %d: %v", m, cost(e), len(head), err)
		}
	}
	if cost(Envelope{1, "text"}) != 0 {
		t.Error("a string travels")
	}
	if _, err := head(Envelope{1, "text"}); err == nil {
		t.Error("a string was encoded")
	}
}

func TestMalformedAppendIsRefused(t *testing.T) {
	good := func() *AppendBlocks {
		return &AppendBlocks{AppendEntries: raft.AppendEntries{Term: 5, Leader: 1, Prev: raft.EntryID{Index: 9, Term: 4}},
			Blocks: []*entry.Block{block(4, 10, 2, nil), block(5, 12, 1, nil)}}
	}
	for name, spoil := range map[string]func(*AppendBlocks){
		"gap after Prev":   func(m *AppendBlocks) { m.Prev.Index = 8 },
		"gap in between":   func(m *AppendBlocks) { m.Blocks[1] = block(5, 13, 1, nil) },
		"overlap":          func(m *AppendBlocks) { m.Blocks[1] = block(5, 11, 1, nil) },
		"term above mine":  func(m *AppendBlocks) { m.Blocks[1] = block(6, 12, 1, nil) },
		"term falls":       func(m *AppendBlocks) { m.Blocks[1] = block(3, 12, 1, nil) },
		"term below Prev":  func(m *AppendBlocks) { m.Prev.Term = 5 },
		"nothing is wrong": nil,
	} {
		m := good()
		if spoil != nil {
			spoil(m)
		}
		_, _, err := newDeframer(encode(t, Envelope{1, m}), maxFrame).next()
		if spoil == nil && err != nil || spoil != nil && !errors.Is(err, errMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestCorruptPayloadIsRefused(t *testing.T) {
	for _, m := range []any{
		&AppendBlocks{AppendEntries: raft.AppendEntries{Term: 5}, Blocks: []*entry.Block{block(5, 1, 1, []byte("data"))}},
		&SnapshotChunk{Data: []byte("data")},
	} {
		b := encode(t, Envelope{1, m})
		b[len(b)-1] ^= 1
		if _, _, err := newDeframer(b, maxFrame).next(); err == nil || errors.Is(err, errMalformed) {
			t.Errorf("%T: %v", m, err)
		}
	}
}
