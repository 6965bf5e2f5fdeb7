package persister

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/troupe-raft/troupe/entry"
	"github.com/troupe-raft/troupe/persister/journal"
	"github.com/troupe-raft/troupe/raft"
)

// A mapTable is a table in memory. Commits fail once left is used up.
type mapTable struct {
	values map[string][]byte
	left   int
}

func (t *mapTable) below(low, high []byte) (key, value []byte, ok bool, err error) {
	for _, k := range slices.Backward(slices.Sorted(maps.Keys(t.values))) {
		if k < string(high) && k >= string(low) {
			return []byte(k), t.values[k], true, nil
		}
	}
	return nil, nil, false, nil
}

func (t *mapTable) newBatch() tableBatch { return &mapBatch{table: t} }

type mapBatch struct {
	table *mapTable
	ops   []func()
	bytes int
}

func (b *mapBatch) set(key, value []byte) error {
	k, v := string(key), bytes.Clone(value)
	b.ops, b.bytes = append(b.ops, func() { b.table.values[k] = v }), b.bytes+len(k)+len(v)
	return nil
}

func (b *mapBatch) deleteRange(from, to []byte) error {
	low, high := string(from), string(to)
	b.ops = append(b.ops, func() {
		maps.DeleteFunc(b.table.values, func(k string, _ []byte) bool { return k >= low && k < high })
	})
	return nil
}

func (b *mapBatch) size() int { return b.bytes }

var errCut = errors.New("cut short")

func (b *mapBatch) commit() error {
	if b.table.left == 0 {
		return errCut
	}
	b.table.left--
	for _, op := range b.ops {
		op()
	}
	return nil
}

// A folded group is what a group must be.
type folded struct {
	gen   generation
	alive bool
	hard  raft.HardState
	meta  meta
	last  raft.EntryID
	log   map[raft.Index]string // term and block of each entry
}

// A fold is a journal of changes, some of whose segments are moved to a table.
type fold struct {
	t        *testing.T
	random   *rand.Rand
	table    *mapTable
	want     map[raft.GroupID]*folded
	numbers  map[raft.GroupID]uint64
	overlays map[raft.GroupID]*overlay
	segments [][]*change // that are not moved; the last is being filled
	first    int         // number of segments[0]
	bodies   map[journal.Position][]byte
	serial   int
}

const foldSegment = 1 << 20

func newFold(t *testing.T, seed uint64) *fold {
	f := &fold{t: t, random: rand.New(rand.NewPCG(3, seed)), table: &mapTable{values: map[string][]byte{}, left: -1}}
	f.want, f.numbers, f.overlays = map[raft.GroupID]*folded{}, map[raft.GroupID]uint64{}, map[raft.GroupID]*overlay{}
	f.segments, f.bodies = [][]*change{nil}, map[journal.Position][]byte{}
	return f
}

// add has a change land.
func (f *fold) add(id raft.GroupID, gen generation, kind changeKind, body []byte) {
	f.numbers[id]++
	n := len(f.segments) - 1
	pos := journal.Position((f.first+n)*foldSegment + journal.PageSize + 5000*len(f.segments[n]))
	c := &change{kind: kind, group: id, gen: gen, number: f.numbers[id], pos: pos, body: body, at: journal.Span{At: pos + changeHead, Length: len(body)}}
	f.segments[n] = append(f.segments[n], c)
	f.bodies[c.at.At] = body
	f.follow(c)
}

func (f *fold) follow(c *change) {
	f.t.Helper()
	o := f.overlays[c.group]
	if o == nil {
		o = &overlay{}
		f.overlays[c.group] = o
	}
	if err := o.apply(c); err != nil {
		f.t.Fatal(err)
	}
}

// step has something happen to a group.
func (f *fold) step() {
	id := raft.GroupID(1 + f.random.IntN(3))
	g := f.want[id]
	if g == nil {
		g = &folded{}
		f.want[id] = g
	}
	f.serial++
	if !g.alive {
		m := meta{snapshot: raft.SnapshotMeta{Membership: raft.Membership{Voters: []raft.NodeID{raft.NodeID(1 + f.serial)}}}}
		*g = folded{gen: g.gen + 1, alive: true, meta: m, log: map[raft.Index]string{}}
		f.add(id, g.gen, foundChange, m.encode(nil))
		return
	}
	switch n := f.random.IntN(20); {
	case n < 3:
		g.hard = raft.HardState{Term: g.hard.Term + 1, Vote: raft.NodeID(f.serial)}
		f.add(id, g.gen, hardChange, encodeHard(nil, g.hard))
	case n < 13:
		f.write(id, g, g.last.Index+1)
	case n < 15:
		if span := int(g.last.Index - g.meta.prev.Index); span > 0 {
			f.write(id, g, g.meta.prev.Index+1+raft.Index(f.random.IntN(span)))
		}
	case n < 18:
		f.compact(id, g)
	case n < 19:
		at := raft.EntryID{Index: g.last.Index + raft.Index(f.random.IntN(5)), Term: g.last.Term + 1}
		g.meta = meta{snapshot: raft.SnapshotMeta{Index: at.Index, Term: at.Term}, prev: at}
		g.last, g.log = at, map[raft.Index]string{}
		f.add(id, g.gen, resetChange, g.meta.encode(nil))
	default:
		*g = folded{gen: g.gen}
		f.add(id, g.gen, destroyChange, nil)
	}
}

// write stores a block in place of all from an entry on.
func (f *fold) write(id raft.GroupID, g *folded, first raft.Index) {
	term := max(1, g.last.Term+raft.Term(f.random.IntN(2)))
	if first <= g.last.Index {
		term = g.last.Term + 1
	}
	var b entry.Builder
	count := 1 + f.random.IntN(6)
	for range count {
		b.Append(raft.Command, 0, 0, 0, fmt.Append(nil, f.serial))
	}
	block := b.Seal(term, first)
	maps.DeleteFunc(g.log, func(i raft.Index, _ string) bool { return i >= first })
	for i := range count {
		g.log[first+raft.Index(i)] = fmt.Sprint(term, " ", f.serial)
	}
	g.last = raft.EntryID{Index: block.Last(), Term: term}
	f.add(id, g.gen, blockChange, block.Bytes())
}

func (f *fold) compact(id raft.GroupID, g *folded) {
	if g.last.Index == g.meta.prev.Index {
		return
	}
	through := g.meta.prev.Index + 1 + raft.Index(f.random.IntN(int(g.last.Index-g.meta.prev.Index)))
	term := raft.Term(0)
	fmt.Sscan(g.log[through], &term)
	g.meta = meta{snapshot: raft.SnapshotMeta{Index: through, Term: term}, prev: raft.EntryID{Index: through, Term: term}}
	maps.DeleteFunc(g.log, func(i raft.Index, _ string) bool { return i <= through })
	f.add(id, g.gen, compactChange, g.meta.encode(nil))
}

// turn begins another segment.
func (f *fold) turn() { f.segments = append(f.segments, nil) }

// move keeps the oldest segment in the table, with so many batches before it is cut short; below 0: it is not.
func (f *fold) move(batches int) {
	if len(f.segments) < 2 {
		return
	}
	through := journal.Position((f.first + 1) * foldSegment)
	m := newMover(f.table, through, 200)
	for _, c := range f.segments[0] {
		if err := m.add(c); err != nil {
			f.t.Fatal(err)
		}
	}
	f.table.left = batches
	err := m.move(f.overlays)
	f.table.left = -1
	if err != nil {
		f.restart()
		return
	}
	for id, g := range m.groups {
		if !f.overlays[id].moved(through, g.number) {
			delete(f.overlays, id)
		}
	}
	f.segments, f.first = f.segments[1:], f.first+1
}

// restart knows what the segments say.
func (f *fold) restart() {
	f.overlays = map[raft.GroupID]*overlay{}
	for _, s := range f.segments {
		for _, c := range s {
			f.follow(c)
		}
	}
}

// found is a group as the overlay and the table have it.
func (f *fold) found(id raft.GroupID) folded {
	o := f.overlays[id]
	if o == nil {
		o = &overlay{}
	}
	g := folded{gen: o.gen, alive: o.alive, hard: o.hard, meta: o.meta, log: map[raft.Index]string{}}
	if value, ok := f.table.values[string(appendRecordKey(nil, id))]; ok {
		r, err := decodeRecord(appendRecordKey(nil, id), value)
		if err != nil {
			f.t.Fatal(err)
		}
		if o.recordAt == 0 {
			g.gen, g.alive = r.gen, r.alive
		}
		if o.number != 0 && (r.number < o.before || r.number > o.number) {
			f.t.Errorf("group %d: change %d is the last in the table, the journal begins after %d", id, r.number, o.before)
		}
	}
	if !g.alive {
		return folded{gen: g.gen}
	}
	get := func(part byte, decode func(key, value []byte) error) {
		key := appendKey(nil, id, g.gen, part)
		if value, ok := f.table.values[string(key)]; ok {
			if err := decode(key, value); err != nil {
				f.t.Fatal(err)
			}
		}
	}
	if o.hardAt == 0 {
		get(hardPart, func(key, value []byte) (err error) { g.hard, err = decodeHard(key, value); return err })
	}
	if o.metaAt == 0 {
		get(metaPart, func(key, value []byte) (err error) { g.meta, err = decodeMeta(key, value); return err })
	}
	g.last = g.meta.prev
	block := func(raw []byte, first, last raft.Index) {
		b, err := entry.Decode(raw)
		if err != nil {
			f.t.Fatal(err)
		}
		if last = min(last, b.Last()); last <= g.meta.prev.Index || b.First() > last {
			return
		}
		if from := max(b.First(), g.meta.prev.Index+1); from != g.last.Index+1 {
			f.t.Errorf("group %d: entry %d follows %d", id, from, g.last.Index)
		}
		var e entry.Entry
		for r := b.Reader(); r.Next(&e); {
			if e.Index > g.meta.prev.Index && e.Index <= last {
				g.log[e.Index] = fmt.Sprint(b.Term(), " ", string(e.Data))
			}
		}
		g.last = raft.EntryID{Index: last, Term: b.Term()}
	}
	low, high := string(appendBlockKey(nil, id, g.gen, 0)), string(appendKey(nil, id, g.gen, blockPart+1))
	for _, k := range slices.Sorted(maps.Keys(f.table.values)) {
		if k >= low && k < high {
			block(f.table.values[k], 0, o.atHome())
		}
	}
	for _, l := range o.blocks {
		block(f.bodies[l.at.At], l.first, l.last)
	}
	return g
}

func (f *fold) check(when string) {
	f.t.Helper()
	for id, want := range f.want {
		if got := f.found(id); fmt.Sprintf("%+v", got) != fmt.Sprintf("%+v", *want) {
			f.t.Errorf("%s: group %d is\n%+v, want\n%+v", when, id, got, *want)
		}
	}
}

// TestFold holds a journal whose oldest segments are moved to a table, at any moment, in full or in part, against a plain log.
func TestFold(t *testing.T) {
	moved, cut := 0, 0
	for seed := range uint64(60) {
		f := newFold(t, seed)
		for range 200 {
			switch n := f.random.IntN(30); {
			case n < 26:
				f.step()
			case n < 28:
				f.turn()
			case n < 29:
				f.move(-1)
				moved++
			default:
				f.move(f.random.IntN(4))
				cut++
			}
			if f.random.IntN(10) == 0 {
				f.restart()
			}
			f.check(fmt.Sprintf("seed %d, step %d", seed, f.serial))
			if t.Failed() {
				t.FailNow()
			}
		}
	}
	if moved < 50 || cut < 50 {
		t.Errorf("%d segments were moved, %d cut short", moved, cut)
	}
}
