package sim

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/vmihailenco/msgpack/v5"

	"github.com/troupe-raft/troupe/applier"
	"github.com/troupe-raft/troupe/entry"
	"github.com/troupe-raft/troupe/persister"
	"github.com/troupe-raft/troupe/raft"
	"github.com/troupe-raft/troupe/stage"
)

// A tally is a state machine that counts.
type tally struct {
	applied uint64
	fails   error // of Snapshot
	result  int   // bytes of a result
}

func (t *tally) Apply(c applier.Command) []byte {
	t.applied = mix(t.applied, uint64(c.Index))
	return bytes.Repeat([]byte{byte(t.applied)}, t.result)
}

func (t *tally) Snapshot() (func(io.Writer) error, error) {
	now := fmt.Append(nil, t.applied)
	return func(w io.Writer) error { _, err := w.Write(now); return err }, t.fails
}

func (t *tally) Restore(r io.Reader) error {
	t.applied = 0
	if r == nil {
		return nil
	}
	_, err := fmt.Fscan(r, &t.applied)
	return err
}

// A shelf is a log that an applier reads. It implements persister.Reader.
type shelf struct {
	blocks []*entry.Block
	err    error
}

func (s *shelf) Blocks(raft.GroupID, raft.Index, raft.Index, int) ([]*entry.Block, error) {
	return s.blocks, s.err
}

func (b *bench) putApplier(m applier.Machine, log persister.Reader) {
	b.put(func(s stage.Stage, out *slog.Logger) *actor.Props {
		return applier.Props(applier.Config{Group: 1, Stage: s, Machine: func() applier.Machine { return m }, Reader: log, Log: out})
	})
	b.heard("applier.OnDuty")
}

// capture is the state of the applier, as a snapshot holds it.
func (b *bench) capture() (meta raft.SnapshotMeta, state []byte, err error) {
	b.tell(&applier.Capture{ReplyTo: b.parent})
	m := b.heard("applier.Captured")
	if len(m) != 1 {
		return meta, nil, errBad
	}
	c := m[0].(*applier.Captured)
	if c.Err != nil {
		return c.Meta, nil, c.Err
	}
	var out bytes.Buffer
	err = c.Write(&out)
	b.demand(err == nil, "a state is not written: %v", err)
	return c.Meta, out.Bytes(), nil
}

// beginWith is an order to begin from a state.
func beginWith(at raft.Index, state []byte) *applier.Begin {
	return &applier.Begin{Meta: raft.SnapshotMeta{Index: at, Term: 1}, Open: func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(state)), nil }}
}

// openings are requests for a session of every version, with every value.
func (b *bench) opening() []byte {
	small := func() int { return b.rand.IntN(4) }
	data := applier.EncodeOpen(applier.SessionLimits{
		TTL: []time.Duration{10, 1000, -1}[b.rand.IntN(3)] * time.Millisecond, Sessions: 3 * small(), Table: 400 * small(), Answers: small(), Bytes: 8 * small(), Keep: small(),
	})
	switch b.rand.IntN(6) {
	case 0: // as the first version wrote it
		data, _ = msgpack.Marshal([]int64{1, 10, int64(small())})
	case 1:
		data, _ = msgpack.Marshal([]int64{int64(small()), -1, 1 << 50}[:1+b.rand.IntN(3)])
	case 2:
		data = b.damaged(data)
	}
	return data
}

// damaged is data with a part of it changed, gone or doubled.
func (b *bench) damaged(data []byte) []byte {
	data = slices.Clone(data)
	if len(data) == 0 {
		return []byte{0xc0}
	}
	at := b.rand.IntN(len(data))
	if b.rand.IntN(2) == 0 {
		at = b.rand.IntN(min(len(data), 24)) // its head
	}
	switch b.rand.IntN(5) {
	case 0:
		return data[:at]
	case 1:
		return slices.Insert(data, at, data[at:]...)
	case 2:
		data[at] = []byte{0xc0, 0xff, 0x00, 0xdd, 0xc6, 0x9f}[b.rand.IntN(6)] // nothing, −1, 0, and arrays and bytes without end
	case 3:
		data[at] ^= 1 << b.rand.IntN(8)
	default:
		data[at] = byte(b.rand.IntN(256))
	}
	return data
}

// anySessions: two appliers of the same entries say and are the same, also when one of them begins again from a state of its own on the way.
func (b *bench) anySessions() {
	type turn struct {
		through raft.EntryID
		block   *entry.Block
	}
	var log []turn
	next, stamp, opened := raft.Index(1), int64(0), []uint64{}
	var build entry.Builder
	for range 4 {
		first := next
		for range 10 + b.rand.IntN(40) {
			stamp += b.rand.Int64N(8)
			session, seq := uint64(0), uint64(b.rand.IntN(4))
			if len(opened) > 0 {
				session = opened[b.rand.IntN(len(opened))]
			}
			switch b.rand.IntN(8) {
			case 0, 1:
				build.Append(raft.OpenSession, 0, 0, stamp, b.opening())
				opened = append(opened, uint64(next))
			case 2:
				build.Append(raft.CloseSession, session, 0, stamp, nil)
			case 3:
				build.Append(raft.Reconfigure, 0, entry.Timed, stamp, entry.AppendMembership(nil, raft.Membership{Voters: []raft.NodeID{1}}))
			case 4:
				build.Append(raft.NoOp, 0, 0, 0, nil)
			default:
				build.Append(raft.Command, session, seq, stamp, []byte("x"))
			}
			next++
		}
		log = append(log, turn{raft.EntryID{Index: next - 1, Term: 1}, build.Seal(1, first)})
	}
	apply := func(restart bool) (said []string, state []byte) {
		b.putApplier(&tally{result: 5}, &shelf{})
		b.tell(&applier.Begin{})
		b.heard("applier.Begun")
		for _, t := range log {
			m := &applier.Committed{Through: t.through, Blocks: []*entry.Block{t.block}}
			var all []*promise
			for i := t.block.First(); i <= t.block.Last(); i++ {
				all = append(all, &promise{})
				m.Waiters = append(m.Waiters, applier.Waiting{Index: i, Waiter: all[len(all)-1]})
			}
			b.tell(m)
			b.heard("applier.Applied")
			for i, p := range all {
				b.demand(p.told == 1, "the waiter of entry %d is told %d times", t.block.First()+raft.Index(i), p.told)
				said = append(said, fmt.Sprint(p.index, p.result, p.err))
			}
			meta, now, err := b.capture()
			b.demand(err == nil && meta.Index == t.through.Index, "the state of entry %d: %v", meta.Index, err)
			state = now
			if restart {
				b.tell(beginWith(meta.Index, state))
				b.heard("applier.Begun")
			}
		}
		return said, state
	}
	once, one := apply(false)
	again, other := apply(true)
	b.demand(slices.Equal(once, again) && bytes.Equal(one, other), "replicas differ")
}

// tableOf is a state with sessions in it.
func (b *bench) tableOf(sessions, result int) (at raft.Index, state []byte) {
	var build entry.Builder
	for i := range sessions {
		build.Append(raft.OpenSession, 0, 0, int64(i), applier.EncodeOpen(applier.SessionLimits{TTL: time.Hour, Answers: 3, Bytes: 1 << 20, Keep: 1}))
		for seq := range uint64(b.rand.IntN(3)) {
			build.Append(raft.Command, uint64(build.Len())-seq, seq+1, int64(i), []byte("x"))
		}
	}
	at = raft.Index(build.Len())
	b.putApplier(&tally{result: result}, &shelf{})
	b.tell(&applier.Begin{}, &applier.Committed{Through: raft.EntryID{Index: at, Term: 1}, Blocks: []*entry.Block{build.Seal(1, 1)}})
	b.heard("applier.Begun", "applier.Applied")
	b.tell(&applier.Capture{ReplyTo: b.parent})
	c := b.heard("applier.Captured")[0].(*applier.Captured)
	var out bytes.Buffer
	b.demand(c.Write(&out) == nil, "a state is not written")
	for range 4 { // a disk that is full fails it, wherever it is
		full := &narrow{room: b.rand.IntN(out.Len())}
		b.demand(errors.Is(c.Write(full), errFull), "a state that found no room is taken for written")
	}
	return at, out.Bytes()
}

// A narrow writer has room for so many bytes.
type narrow struct{ room int }

func (n *narrow) Write(p []byte) (int, error) {
	if n.room -= len(p); n.room < 0 {
		return 0, errFull
	}
	return len(p), nil
}

// damagedTables: a state whose table of sessions is not whole is begun from or not, which is said; and whoever begins from it can go on.
func (b *bench) damagedTables() {
	at, state := b.tableOf(4, 20)
	if b.rand.IntN(2) == 0 {
		b.tableOf(4_000, 40) // beyond any buffer
	}
	first, _ := msgpack.Marshal([]any{1, 9, 2, []any{[]any{3, 5, 4, 1, 2, []any{7, 8}, []any{[]byte("a"), nil}}, []any{4, 5, 5, 2, 0, []any{}, []any{}}}})
	first = slices.Concat([]byte{0, 0, 0, 0, 0, 0, 0, byte(len(first))}, first, []byte("17"))
	for i := range 60 {
		whole, bad := state, []byte(nil)
		if i%4 == 3 {
			whole = first
		}
		if bad = b.damaged(whole[8:]); b.rand.IntN(10) != 0 {
			bad = slices.Concat(whole[:8], bad)
		}
		b.putApplier(&tally{result: 20}, &shelf{})
		p := &promise{}
		b.tell(beginWith(at, bad), &applier.Barrier{Index: at, Waiter: p})
		if len(b.said) == 1 {
			if _, begun := b.said[0].(*applier.Begun); begun {
				b.demand(p.told == 1 && p.err == nil, "a read after the beginning is answered %d times: %v", p.told, p.err)
				b.said = nil
				b.goesOn(at)
				continue
			}
		}
		b.heard("applier.Broken")
		b.demand(p.told == 1 && errors.Is(p.err, applier.ErrUnknown), "a read without a beginning is answered %d times: %v", p.told, p.err)
	}
}

// goesOn demands that an applier applies what is next.
func (b *bench) goesOn(at raft.Index) {
	var build entry.Builder
	build.Append(raft.OpenSession, 0, 0, 1<<40, applier.EncodeOpen(applier.SessionLimits{TTL: time.Hour, Sessions: 2, Table: 700}))
	build.Append(raft.Command, uint64(at)+1, 1, 1<<40, []byte("x"))
	b.tell(&applier.Committed{Through: raft.EntryID{Index: at + 2, Term: 1}, Blocks: []*entry.Block{build.Seal(1, at+1)}})
	b.heard("applier.Applied")
	_, _, err := b.capture()
	b.demand(err == nil, "there is no state after entry %d: %v", at, err)
}

// one is a block of one entry.
func one(kind raft.Kind, data []byte, at raft.Index) *applier.Committed {
	var build entry.Builder
	build.Append(kind, 0, 0, 0, data)
	return &applier.Committed{Through: raft.EntryID{Index: at, Term: 1}, Blocks: []*entry.Block{build.Seal(1, at)}}
}

// brokenAppliers: what no applier can go on from ends it, and whoever waits is told, then and afterwards.
func (b *bench) brokenAppliers() {
	b.replacedOnDisk()
	gone := func() (io.ReadCloser, error) { return nil, os.ErrNotExist }
	begun := []string{"applier.Begun"}
	for _, meets := range []struct {
		what string
		play func()
		says []string // by the end of it, before applier.Broken
	}{
		{"an entry of a kind that a newer version has", func() { b.tell(&applier.Begin{}, one(20, nil, 1)) }, begun},
		{"members that cannot be read", func() { b.tell(&applier.Begin{}, one(raft.Reconfigure, []byte{1, 2, 3}, 1)) }, begun},
		{"a log that cannot be read", func() {
			b.putApplier(&tally{}, &shelf{err: errRead})
			b.tell(&applier.Begin{}, &applier.Committed{Through: raft.EntryID{Index: 3, Term: 1}})
		}, begun},
		{"a log that was replaced, and no snapshot", func() {
			b.putApplier(&tally{}, &shelf{err: persister.ErrCompacted})
			b.tell(&applier.Begin{}, &applier.Committed{Through: raft.EntryID{Index: 3, Term: 1}})
			b.heard("applier.Begun")
			b.pass(applier.DefaultStallTime - 1)
			b.heard()
			b.pass(2)
		}, nil},
		{"a snapshot from before what is applied", func() {
			b.tell(&applier.Begin{}, one(raft.NoOp, nil, 1), one(raft.NoOp, nil, 2))
			b.heard("applier.Begun", "applier.Applied", "applier.Applied")
			b.tell(&applier.Begin{Meta: raft.SnapshotMeta{Index: 1, Term: 1}})
		}, nil},
		{"a snapshot without a file", func() {
			b.tell(&applier.Begin{Meta: raft.SnapshotMeta{Index: 7, Term: 1}})
		}, nil},
		{"entries before there is a state", func() {
			b.tell(one(raft.NoOp, nil, 1))
		}, nil},
		{"a read that brings nothing", func() { b.tell(&applier.Begin{}, &applier.Committed{Through: raft.EntryID{Index: 3, Term: 1}}) }, begun},
		{"an entry that was committed in another term", func() {
			m := one(raft.NoOp, nil, 1)
			m.Through.Term = 2
			b.tell(&applier.Begin{}, m)
		}, begun},
		{"terms that fall", func() {
			b.tell(&applier.Begin{Meta: raft.SnapshotMeta{Term: 2}}, one(raft.NoOp, nil, 1))
		}, begun},
	} {
		b.name = "an applier meets " + meets.what
		b.putApplier(&tally{}, &shelf{})
		early := &promise{}
		b.tell(&applier.Barrier{Index: 100, Waiter: early})
		meets.play()
		b.heard(slices.Concat(meets.says, []string{"applier.Broken"})...)
		late := []*promise{{}, {}}
		m := one(raft.Command, nil, 101)
		m.Waiters = []applier.Waiting{{Index: 101, Waiter: late[0]}}
		b.tell(m, &applier.Barrier{Index: 1, Waiter: late[1]}, beginWith(200, nil))
		b.heard()
		for _, p := range append(late, early) {
			if p == early && p.told == 0 { // it waited for the applier that was replaced
				continue
			}
			b.demand(p.told == 1 && errors.Is(p.err, applier.ErrUnknown), "whoever waits is told %d times: %v", p.told, p.err)
		}
		_, _, err := b.capture()
		b.demand(err != nil, "there is a state")
	}
	b.name = "an applier begins from a file that is gone"
	b.putApplier(&tally{}, &shelf{})
	b.tell(&applier.Begin{Meta: raft.SnapshotMeta{Index: 7, Term: 1}, Open: gone})
	b.heard("applier.Unreadable")
	p := &promise{}
	m := one(raft.Command, nil, 8)
	m.Waiters = []applier.Waiting{{Index: 8, Waiter: p}}
	b.tell(m)
	b.heard()
	b.demand(p.told == 1 && errors.Is(p.err, applier.ErrUnknown), "whoever waits without a state is told %d times: %v", p.told, p.err)
	at, state := b.tableOf(1, 3)
	b.putApplier(&tally{}, &shelf{})
	b.tell(&applier.Begin{Meta: raft.SnapshotMeta{Index: 1, Term: 1}, Open: gone}, beginWith(at, state))
	b.heard("applier.Begun")

	b.name = "an applier whose waiters are older than its entries"
	old := &promise{}
	m = one(raft.Command, nil, at+1)
	m.Waiters = []applier.Waiting{{Index: at, Waiter: old}}
	b.tell(m)
	b.heard("applier.Applied")
	b.demand(old.told == 1 && errors.Is(old.err, applier.ErrUnknown), "they are told %d times: %v", old.told, old.err)

	b.name = "an applier whose state machine makes no snapshot"
	b.putApplier(&tally{fails: errFull}, &shelf{})
	b.tell(&applier.Begin{})
	b.heard("applier.Begun")
	_, _, err := b.capture()
	b.demand(errors.Is(err, errFull), "the error of it is %v", err)
	b.tell(&strangeMessage{})
	b.demand(b.loud["unexpected message"], "a message that nobody knows goes unnoticed")
}
