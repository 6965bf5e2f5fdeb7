package persister

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/troupe-raft/troupe/internal/sectors"
	"github.com/troupe-raft/troupe/persister/journal"
	"github.com/troupe-raft/troupe/raft"
)

const (
	engineStore   = 99
	engineSegment = 1 << 18
	engineFiles   = 4
)

// An engineRig runs an engine on a disk that crashes, for groups whose states are known.
type engineRig struct {
	t        *testing.T
	random   *rand.Rand
	disk     *sectors.Disk
	table    *mapTable
	engine   *engine
	groups   [3]history
	promised [3]int // how many moments of each are
	commits  int
	moves    int
}

func newEngineRig(t *testing.T, seed uint64) *engineRig {
	r := &engineRig{t: t, random: rand.New(rand.NewPCG(11, seed)), disk: sectors.New(), table: &mapTable{values: map[string][]byte{}, left: -1}}
	r.disk.Make(0, engineSegment)
	r.disk.Write(0, 0, journal.FirstHeader(engineStore))
	r.disk.Sync(0)
	r.disk.List(0)
	for i := range r.groups {
		r.groups[i].id = raft.GroupID(i + 1)
		r.groups[i].keep()
	}
	return r
}

// open reads the journal, goes on with it, and holds every group against what it may be.
func (r *engineRig) open() {
	heads := map[int][]byte{}
	for _, file := range r.disk.Ring {
		heads[file] = make([]byte, journal.SectorSize)
		if err := r.disk.ReadAt(file, heads[file], 0); err != nil {
			r.fail(err)
		}
	}
	segments, released, err := journal.Arrange(engineStore, engineSegment, r.kept(), heads)
	if err != nil {
		r.fail(err)
	}
	overlays := map[raft.GroupID]*overlay{}
	ending, err := journal.Scan(engineStore, engineSegment, segments, r.disk, func(p *journal.Piece) error {
		return changes(p.At, p.Payload, func(c *change) error { return follow(overlays, c) })
	})
	if err != nil {
		r.fail(err)
	}
	r.engine = &engine{log: journal.NewLog(engineStore, engineSegment, segments, released, ending, nil), groups: map[raft.GroupID]*written{}, overlays: overlays}
	for _, w := range ending.Rewrite {
		r.write(w)
	}
	for _, file := range r.disk.Ring {
		r.disk.Sync(file)
	}
	r.grow()
	writes, err := r.engine.log.Begin()
	if err != nil {
		r.fail(err)
	}
	r.engine.writes = append(r.engine.writes, writes...)
	for r.device() {
	}
	for i := range r.groups {
		r.judge(i)
	}
}

// fail ends the test: a crash of the disk's may be under way, which a failure must not look like.
func (r *engineRig) fail(err error) { panic(err.Error()) }

func follow(overlays map[raft.GroupID]*overlay, c *change) error {
	if overlays[c.group] == nil {
		overlays[c.group] = &overlay{}
	}
	return overlays[c.group].apply(c)
}

func (r *engineRig) kept() journal.Position {
	value, ok := r.table.values[string(keptKey())]
	if !ok {
		return 0
	}
	at, err := decodeKept(value)
	if err != nil {
		r.fail(err)
	}
	return at
}

func (r *engineRig) write(w journal.Write) {
	file, at, ok := r.engine.log.Place(w.At)
	if !ok {
		r.fail(fmt.Errorf("a write at %d is nowhere", w.At))
	}
	r.disk.Write(file, at, w.Raw)
}

// device writes and syncs one piece. False: there is none.
func (r *engineRig) device() bool {
	w, ok := r.engine.next()
	if !ok {
		return false
	}
	r.write(w)
	file, _, _ := r.engine.log.Place(w.At)
	r.disk.Sync(file)
	done, err := r.engine.landed()
	if err != nil {
		r.fail(err)
	}
	for _, tell := range done {
		tell(nil)
	}
	return true
}

// grow keeps a segment ready, and moves the oldest where there are files enough.
func (r *engineRig) grow() {
	l := r.engine.log
	for r.engine.needs() {
		s, page, ok := l.Reuse()
		fresh := !ok && len(r.disk.Ring) < engineFiles
		switch {
		case fresh:
			file := len(r.disk.Ring)
			r.disk.Make(file, engineSegment)
			s, page = l.Prepare(file)
		case !ok:
			r.move()
			continue
		}
		r.disk.Write(s.File, 0, page)
		r.disk.Sync(s.File)
		if fresh {
			r.disk.List(s.File)
		}
		if err := l.Add(s); err != nil {
			r.fail(err)
		}
		if err := r.engine.place(); err != nil {
			r.fail(err)
		}
	}
}

// move folds the oldest segment into the table.
func (r *engineRig) move() {
	s, ok := r.engine.log.Filled()
	if !ok {
		if !r.device() {
			r.fail(errors.New("nothing can be moved, and nothing is on its way"))
		}
		return
	}
	through := s.Base + engineSegment
	m := newMover(r.table, through, 4<<10)
	_, err := journal.Scan(engineStore, engineSegment, r.engine.log.Upto(through), r.disk, func(p *journal.Piece) error {
		if p.Kind == journal.Turn {
			return errPast
		}
		return changes(p.At, append([]byte(nil), p.Payload...), m.add)
	})
	if err != nil && err != errPast {
		r.fail(err)
	}
	if err := m.move(r.engine.overlays); err != nil {
		r.fail(err)
	}
	for id, g := range m.groups {
		if !r.engine.overlays[id].moved(through, g.number) {
			delete(r.engine.overlays, id)
		}
	}
	r.engine.log.Release(through)
	r.moves++
}

var errPast = errors.New("the segment ends")

// found is a group as it is stored, and as it is loaded.
func (r *engineRig) found(id raft.GroupID) (folded, *written) {
	f := &fold{t: r.t, table: r.table, overlays: r.engine.overlays, bodies: map[journal.Position][]byte{}}
	if o := r.engine.overlays[id]; o != nil {
		for _, l := range o.blocks {
			from, size := l.at.Pages()
			pages := make([]byte, size)
			file, at, _ := r.engine.log.Place(from)
			if err := r.disk.ReadAt(file, pages, at); err != nil {
				r.fail(err)
			}
			body, err := journal.Extract(engineStore, l.at, pages, nil)
			if err != nil {
				r.fail(err)
			}
			f.bodies[l.at.At] = body
		}
	}
	g := f.found(id)
	w := &written{gen: g.gen, alive: g.alive, snapshot: g.meta.snapshot.Index, prev: g.meta.prev}
	for i := g.meta.prev.Index + 1; i <= g.last.Index; i++ {
		var term raft.Term
		fmt.Sscan(g.log[i], &term)
		if n := len(w.runs); n > 0 && w.runs[n-1].Term == term {
			w.runs[n-1].Last = i
		} else {
			w.runs = append(w.runs, raft.Run{First: i, Last: i, Term: term})
		}
	}
	key := appendRecordKey(nil, id)
	if value, ok := r.table.values[string(key)]; ok {
		record, err := decodeRecord(key, value)
		if err != nil {
			r.fail(err)
		}
		w.number = record.number
	}
	if o := r.engine.overlays[id]; o != nil {
		w.number = max(w.number, o.number)
	}
	return g, w
}

// judge finds the moment of a group that was found, which is none before the last that was promised, and goes on from it.
func (r *engineRig) judge(i int) {
	h := &r.groups[i]
	g, w := r.found(h.id)
	for n := len(h.past) - 1; n >= r.promised[i]; n-- {
		m := h.past[n]
		if m.alive != g.alive || m.alive && sameState(g, w, m.state) != nil {
			continue
		}
		past := h.past[:n+1]
		*h = history{id: h.id, life: h.life, alive: m.alive, past: past}
		if m.alive {
			h.life, h.hard, h.prev, h.snap, h.changes = m.life, m.state.Hard, m.state.Prev, m.state.Snapshot, m.state.Changes
			for _, run := range m.state.Runs {
				for range run.Last - run.First + 1 {
					h.terms = append(h.terms, run.Term)
				}
			}
			r.engine.groups[h.id] = w
		}
		r.promised[i] = n
		return
	}
	r.fail(fmt.Errorf("group %d is %v %+v %v %d, which it was at none of the %d moments from %d on: %+v", h.id, g.alive, g.hard, w.runs, w.prev, len(h.past), r.promised[i], h.past[r.promised[i]:]))
}

// step has a group write something, or the device do something.
func (r *engineRig) step() {
	r.grow()
	if r.random.IntN(3) == 0 {
		r.device()
		return
	}
	var ops []Op
	moments := [3]int{}
	for range 1 + r.random.IntN(3) {
		i := r.random.IntN(len(r.groups))
		h := &r.groups[i]
		if !h.alive {
			if moments[i] != 0 {
				continue // destroyed in this very commit: its number is not known yet
			}
			h.found()
			_, w := r.landedWritten(i)
			w.gen++
			r.engine.groups[h.id] = w
			ops = append(ops, Op{Group: h.id, Found: &founding})
		} else {
			ops = append(ops, opOf(h.next(r.random)))
		}
		h.keep()
		moments[i] = len(h.past) - 1
	}
	r.commits++
	err := r.engine.commit(ops, func(error) {
		for i, n := range moments {
			r.promised[i] = max(r.promised[i], n)
		}
	})
	if err != nil {
		r.fail(err)
	}
	for i := range ops {
		if ops[i].Err != nil {
			r.fail(ops[i].Err)
		}
	}
}

// landedWritten is a group that ended, once that has landed.
func (r *engineRig) landedWritten(i int) (folded, *written) {
	for len(r.engine.placed)+len(r.engine.commits)+len(r.engine.filling.changes) > 0 {
		r.grow()
		r.device()
	}
	return r.found(r.groups[i].id)
}

// survives runs something until the disk crashes.
func (r *engineRig) survives(left int, run func()) (cut bool) {
	r.disk.Left = left
	defer func() {
		r.disk.Left = 0
		switch reason := recover(); reason {
		case nil:
		case sectors.Crashed{}:
			cut = true
			switch r.random.IntN(3) {
			case 0:
				r.disk.Kill()
			case 1:
				r.disk.Crash(func(sectors.Place) bool { return false })
			default:
				r.disk.Crash(func(sectors.Place) bool { return r.random.IntN(2) == 0 })
			}
		default:
			panic(reason)
		}
	}()
	run()
	return false
}

// TestEngineCrashes: whenever the machine crashes, each group is found at a moment that is none before what was
// promised, while segments are moved, used again and made.
func TestEngineCrashes(t *testing.T) {
	moves := 0
	for seed := range uint64(12) {
		r := newEngineRig(t, seed)
		func() {
			defer func() {
				if reason := recover(); reason != nil {
					t.Fatalf("seed %d, after %d commits and %d moves: %v", seed, r.commits, r.moves, reason)
				}
			}()
			r.open()
			for range 60 {
				for !r.survives(1+r.random.IntN([]int{4, 30, 200}[r.random.IntN(3)]), func() {
					for range 40 {
						r.step()
					}
				}) {
				}
				for r.survives(r.random.IntN(20), r.open) {
				}
			}
		}()
		moves += r.moves
	}
	if moves < 50 {
		t.Errorf("only %d segments were moved", moves)
	}
}
