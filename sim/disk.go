package sim

import (
	"cmp"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/troupe-raft/troupe/entry"
	"github.com/troupe-raft/troupe/persister"
	"github.com/troupe-raft/troupe/raft"
	"github.com/troupe-raft/troupe/stage"
)

// Why a simulated disk fails.
var (
	errInjected = errors.New("injected input/output error")
	errRead     = errors.New("injected error of a read")
	errFull     = errors.New("no space left on device")
)

// A disk is what a node keeps from life to life: the log store and the files. All that was written and not
// synced when the node crashes may be lost.
type disk struct {
	node   raft.NodeID
	rand   *rand.Rand
	check  *checker
	stable map[raft.GroupID]*image // what survives any crash
	files  *tree
	folder *folder // nil: the node keeps none
	rotten rotten  // blocks of the log
	lurks  bool    // the next block that a write has to read rots

	life *store // of the running node

	latency   time.Duration // of a sync, at most
	stalled   time.Duration // nothing is synced before this time of the stage
	failSync  int           // this many syncs from now fail, 0: none
	failWrite int
	failFile  int // of operations on snapshot files that write
	failRead  int // of those that read
	failLog   int // of reads of the log
	full      bool
	crashIn   int           // the node crashes within the handler at this operation from now, 0: none
	downFor   time.Duration // then
	lies      bool          // confirms what it did not store: a check of the checker

	syncs, torn int // that happened: all, and crashes that kept a part of what was not synced
}

func newDisk(node raft.NodeID, r *rand.Rand, c *checker) *disk {
	return &disk{node: node, rand: r, check: c, stable: map[raft.GroupID]*image{}, files: newTree(), rotten: rotten{}, latency: 2 * time.Millisecond}
}

func (d *disk) count(what string) { d.check.sim.count(what) }

// image is the stable image of a group, empty if there is none.
func (d *disk) image(g raft.GroupID) *image {
	m := d.stable[g]
	if m == nil {
		m = &image{}
		d.stable[g] = m
	}
	return m
}

// crash loses what was not synced, but for a first part of it drawn at random: writes reach the disk in their order.
func (d *disk) crash() {
	if s := d.life; s != nil {
		var waiting []persister.Op
		for _, f := range s.flights {
			waiting = append(waiting, f.ops...)
		}
		keep := 0
		if n := len(waiting); n > 0 && s.failure == nil {
			keep = d.rand.IntN(n + 1)
			if keep > 0 && keep < n {
				d.torn++
			}
		}
		for i := range waiting[:keep] {
			d.settle(&waiting[i])
		}
		s.dead = true
	}
	files, wreck := d.files.crash(d.rand)
	d.files, d.life = files, nil
	d.check.sim.counts["snapshot files torn"] += wreck.torn
	d.check.sim.counts["unsynced names lost"] += wreck.lost
	d.check.sim.counts["unsynced names kept"] += wreck.kept
}

// mended ends every fault of the disk but rot.
func (d *disk) mended() {
	d.failSync, d.failWrite, d.failFile, d.failRead, d.failLog, d.crashIn, d.full, d.stalled = 0, 0, 0, 0, 0, 0, false, 0
}

// settle makes an op part of what survives.
func (d *disk) settle(o *persister.Op) {
	if o.Group != groupID {
		if o.Err == nil {
			d.image(o.Group).apply(o)
		}
		return
	}
	if o.Err == nil && !d.lies {
		d.check.stored(d.node, d.image(o.Group), o)
		d.image(o.Group).apply(o)
		if d.check.standing(d.image(o.Group)).Equal(d.check.settled) {
			return
		}
		d.check.electable() // a change of members is under way: whoever has it may be elected by others
	}
}

// A store is the disk as one life of a node sees it. It implements actors.Store.
type store struct {
	*disk
	clock   stage.Clock
	true    stage.Clock
	current map[raft.GroupID]*image // synced or not
	known   map[raft.GroupID]bool   // loaded
	damaged map[raft.GroupID]error  // whose writes met damage
	flights []*simFlight
	syncing bool
	failure error
	notify  func(error)
	dead    bool
	met     met
}

// A simFlight is one Commit on its way to the disk.
type simFlight struct {
	ops  []persister.Op
	done func(error)
}

// open begins a life of the node.
func (d *disk) open(node, stage stage.Clock) *store {
	s := &store{disk: d, clock: node, true: stage, current: map[raft.GroupID]*image{}, known: map[raft.GroupID]bool{}, damaged: map[raft.GroupID]error{}}
	d.life = s
	return s
}

func (s *store) view(g raft.GroupID) *image {
	m := s.current[g]
	if m == nil {
		m = s.image(g).clone()
		s.current[g] = m
	}
	return m
}

// Load implements persister.Storage.
func (s *store) Load(g raft.GroupID, done func(raft.State, bool, error)) {
	if s.failure != nil {
		done(raft.State{}, false, s.failure)
		return
	}
	s.known[g] = true
	m := s.view(g)
	st, err := m.state(g, s.rotten)
	err = cmp.Or(s.damaged[g], err)
	fresh := !m.alive
	if err != nil {
		delete(s.known, g)
		s.met.log = true
	}
	if g == groupID && err == nil {
		s.check.refusesForgeries(s.node, st)
	}
	s.clock.AfterFunc(s.wait(time.Millisecond), func() {
		if err != nil && !s.dead {
			s.refuses("the load", err)
		}
		done(st, fresh, err)
	})
}

// Commit implements persister.Storage.
func (s *store) Commit(ops []persister.Op, done func(error)) {
	if s.dead {
		return
	}
	s.touch()
	if s.failure == nil && s.failWrite > 0 {
		if s.failWrite--; s.failWrite == 0 {
			s.fail(fmt.Errorf("write: %w", errInjected))
		}
	}
	if s.failure == nil && s.full {
		s.fail(fmt.Errorf("write: %w", errFull))
	}
	for i := 0; i < len(ops) && s.failure == nil; i++ {
		s.accept(&ops[i])
	}
	s.flights = append(s.flights, &simFlight{ops: ops, done: done})
	s.touch()
	s.sync()
}

// touch is called at every operation: the node may have been told to crash at one, or the handler to panic.
func (d *disk) touch() {
	n := d.check.sim.nodes[d.node]
	if n.life == nil || n.starting || !n.sim.handling {
		return
	}
	n.sim.touch(n.life)
	if d.crashIn > 0 {
		if d.crashIn--; d.crashIn == 0 {
			n.crashWithin(d.downFor)
		}
	}
}

func (s *store) accept(o *persister.Op) {
	m := s.view(o.Group)
	switch {
	case o.Destroy:
		delete(s.known, o.Group)
		delete(s.damaged, o.Group)
	case s.damaged[o.Group] != nil:
		o.Err = s.damaged[o.Group]
		return
	case !s.known[o.Group]:
		o.Err = fmt.Errorf("sim: group %d is written without being loaded", o.Group)
	default:
		o.Err = m.check(o)
	}
	if o.Err != nil {
		delete(s.known, o.Group)
		s.check.rejected(s.node, o)
		return
	}
	if b := m.reads(o); b != nil && s.lurks && o.Group == groupID {
		s.lurks = false
		s.flip(b)
	}
	if o.Err = m.touches(o, s.rotten); o.Err != nil { // this group's affair alone
		s.met.log = true
		s.damaged[o.Group] = o.Err
		delete(s.known, o.Group)
		return
	}
	if o.Group == groupID {
		s.check.accepted(s.node, m, o)
	}
	m.apply(o)
}

// sync has the oldest flight synced, one at a time.
func (s *store) sync() {
	if s.syncing || len(s.flights) == 0 {
		return
	}
	s.syncing = true
	s.clock.AfterFunc(s.wait(s.latency), s.synced)
}

// wait draws how long the disk takes.
func (s *store) wait(most time.Duration) time.Duration {
	stall := max(0, s.stalled-s.true.Now())
	return stall + time.Duration(s.rand.Int64N(int64(most)))
}

func (s *store) synced() {
	if s.dead {
		return
	}
	f := s.flights[0]
	s.flights = s.flights[1:]
	s.syncing = false
	if s.failure == nil && s.failSync > 0 {
		if s.failSync--; s.failSync == 0 {
			s.fail(fmt.Errorf("sync: %w", errInjected))
			if s.rand.IntN(2) == 0 { // a sync may fail and the data be there all the same
				for i := range f.ops {
					s.settle(&f.ops[i])
				}
			}
		}
	}
	if s.failure == nil {
		s.syncs++
		for i := range f.ops {
			s.settle(&f.ops[i])
		}
	}
	f.done(s.failure)
	if s.failure == nil {
		s.told(f)
	}
	s.sync()
}

// told demands that a group is down that has been told of damage.
func (s *store) told(f *simFlight) {
	for i := range f.ops {
		if o := &f.ops[i]; o.Err != nil && o.Err == s.damaged[o.Group] {
			s.refuses("a write", o.Err)
			return
		}
	}
}

func (s *store) fail(err error) {
	s.failure = err
	if !s.met.log {
		s.count("disk failed: " + err.Error())
	}
	if s.notify != nil {
		s.notify(err)
	}
}

// Forget implements persister.Storage.
func (s *store) Forget(g raft.GroupID) { delete(s.known, g) }

// OnFailure implements persister.Storage.
func (s *store) OnFailure(notify func(error)) {
	s.notify = notify
	if s.failure != nil {
		notify(s.failure)
	}
}

// Blocks implements persister.Reader.
func (s *store) Blocks(g raft.GroupID, from, to raft.Index, maxBytes int) ([]*entry.Block, error) {
	if s.failure != nil {
		return nil, s.failure
	}
	if s.damaged[g] != nil {
		return nil, s.damaged[g]
	}
	if !s.known[g] {
		return nil, fmt.Errorf("group %d, index %d: %w", g, from, persister.ErrMissing)
	}
	s.check.boundRead(s.node, maxBytes)
	if err := s.unreadable(); err != nil {
		return nil, err
	}
	blocks, err := s.view(g).read(g, from, to, maxBytes, s.rotten)
	if corrupt := (*persister.CorruptError)(nil); errors.As(err, &corrupt) {
		s.met.log = true
		s.refuses(s.check.sim.reader(), err)
	}
	if len(blocks) > 0 && g == groupID {
		s.check.sim.wasRead(s.node, from, to, blocks[len(blocks)-1].Last())
	}
	return blocks, err
}

// SnapshotDir implements actors.Store.
func (s *store) SnapshotDir(g raft.GroupID) string {
	return fmt.Sprintf("snapshots/%d-%d", g, s.view(g).life)
}

// Failed implements actors.Store.
func (s *store) Failed() error { return s.failure }

// Close implements actors.Store.
func (s *store) Close() error { return nil }
