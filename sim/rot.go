package sim

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/troupe-raft/troupe/applier"
	"github.com/troupe-raft/troupe/entry"
	"github.com/troupe-raft/troupe/persister"
	"github.com/troupe-raft/troupe/raft"
	"github.com/troupe-raft/troupe/snapshotter"
)

// rotten is what the disk holds instead of some blocks.
type rotten map[*entry.Block][]byte

// decode reads a block of the log back, as the store on disk does.
func (r rotten) decode(g raft.GroupID, b *entry.Block) (*entry.Block, error) {
	raw := b.Bytes()
	if bad := r[b]; bad != nil {
		raw = bad
	}
	found, err := entry.Decode(raw)
	if err != nil {
		return nil, corrupt(g, b.First(), "block", err)
	}
	if found.First() != b.First() {
		return nil, corrupt(g, b.First(), "block of another index in its place", nil)
	}
	return found, nil
}

func corrupt(g raft.GroupID, i raft.Index, what string, err error) error {
	return &persister.CorruptError{Dir: damagedDisk, Group: g, Index: i, Reason: what, Err: err}
}

// What may rot of a node's disk.
const (
	rotLog  = "log"
	rotHead = "head" // term and vote, or what is known of the snapshot
	rotFile = "file" // a snapshot, finished or not
	rotRead = "log, as a write reads it"
)

var rotting = []string{rotLog, rotLog, rotFile, rotFile, rotHead, rotRead}

// rot flips one bit of what is stored. False: there is nothing of the kind.
func (d *disk) rot(g raft.GroupID, what string) bool {
	m := d.image(g)
	switch what {
	case rotLog:
		if len(m.blocks) == 0 {
			return false
		}
		among := m.blocks
		if d.rand.IntN(4) != 0 { // the newest are those that are read again
			among = among[max(0, len(among)-3):]
		}
		d.flip(among[d.rand.IntN(len(among))])
	case rotRead:
		d.lurks = true
	case rotHead:
		hard := d.rand.IntN(2) == 0
		if !m.alive {
			return false
		}
		m.rotHard, m.rotMeta = m.rotHard || hard, m.rotMeta || !hard
		if s := d.life; s != nil { // what was written since and is not on the disk yet is still whole
			c := s.view(g)
			c.rotHard = c.hard == m.hard && m.rotHard
			c.rotMeta = c.snapshot.Index == m.snapshot.Index && m.rotMeta
		}
	case rotFile:
		var all []*inode
		of := fmt.Sprintf("snapshots/%d-", g)
		d.files.each(func(path string, n *inode) {
			if strings.HasPrefix(path, of) && len(n.data) > 0 && !n.rotten {
				all = append(all, n)
			}
		})
		if len(all) == 0 {
			return false
		}
		n := all[d.rand.IntN(len(all))]
		n.bit = d.rand.IntN(8 * len(n.data))
		n.flip()
	}
	return true
}

// flip flips one bit of a block of the log.
func (d *disk) flip(b *entry.Block) {
	raw := slices.Clone(b.Bytes())
	raw[d.rand.IntN(len(raw))] ^= 1 << d.rand.IntN(8)
	d.rotten[b] = raw
}

// mend makes a disk whole again of which nobody knows that it is not. A leader that goes on although it found its snapshot rotten has to see to
// another one itself.
func (d *disk) mend(goesOn bool) {
	clear(d.rotten)
	d.lurks = false
	for _, m := range d.stable {
		m.rotHard, m.rotMeta = false, false
	}
	if d.life != nil {
		for _, m := range d.life.current {
			m.rotHard, m.rotMeta = false, false
		}
	}
	d.files.each(func(_ string, n *inode) {
		switch {
		case n.rotten && n.found && goesOn:
			d.count("rotten snapshots left")
		case n.rotten:
			n.flip()
		}
	})
}

// met is what a life read that it must not go on with.
type met struct {
	log    bool // a part of the log, or of what is stored beside it, that rotted
	file   bool // a rotten snapshot, to begin from
	noFile bool // an error instead of one
	unread bool // an error instead of an entry to apply
}

// excuses says whether a replica had to fail for this reason. For the snapshot that it was to begin from only one that has nobody to ask for another.
func (d *disk) excuses(reason error) bool {
	s := d.life
	var file *snapshotter.FileError
	switch {
	case s == nil:
		return false
	case errors.Is(reason, errRead):
		return s.met.unread || s.met.noFile && d.alone()
	case errors.Is(reason, errInjected), errors.Is(reason, errFull):
		return s.failure != nil && errors.Is(reason, s.failure)
	case errors.As(reason, &file):
		return s.met.file && d.alone()
	}
	return rotted(reason) && s.met.log
}

// alone says whether the node has the only vote, by the newest membership that it knows.
func (d *disk) alone() bool {
	l := d.check.sim.nodes[d.node].life
	return l != nil && len(l.view.members.Voters) == 1 && l.view.members.IsVoter(d.node) && !l.view.members.Joint()
}

// rotted says whether a replica failed because its disk holds something else than was written.
func rotted(reason error) bool {
	var log *persister.CorruptError
	var file *snapshotter.FileError
	return errors.As(reason, &log) || errors.As(reason, &file) && !errors.Is(reason, errRead)
}

// aRestore reads a snapshot to begin from.
const aRestore = "a restore"

// soon is longer than a replica takes to fail, or to say that it has no state, once it has read what it must not go on with.
const soon = 50 * time.Millisecond

// refuses demands that the replica of this life fails over what somebody of it was given; or, if it was to begin from that, goes on without a state.
func (d *disk) refuses(who string, what error) {
	s := d.check.sim
	n := s.nodes[d.node]
	if errors.Is(what, errRead) {
		s.count("no data for " + who)
	} else {
		s.count("bad data met by " + who)
	}
	s.trace.note("node %d: %s meets %v", d.node, who, what)
	l := n.life
	if l == nil {
		return
	}
	group, upsets, losses, lost := l.group, l.upsets(), l.losses, l.view.lost
	var judge func()
	judge = func() {
		if n.life != l || l.group != group || l.upsets() != upsets { // whoever begins again reads again
			return
		}
		if l.slow(soon) {
			s.clock.AfterFunc(soon, judge)
			return
		}
		if who == aRestore && (lost || l.view.lost || l.losses > losses) {
			return
		}
		if _, there := l.host.Group(groupID); there && !l.down() && !l.deaf {
			s.check.fail("bad data is refused", "node %d goes on %v after %s met %v", n.id, soon, who, what)
		}
	}
	s.clock.AfterFunc(soon, judge)
}

// readRot: a snapshot file was read that is rotten.
func (d *disk) readRot(n *inode) {
	err := errors.New("a rotten snapshot")
	switch {
	case d.life == nil: // it has crashed in the middle
		return
	case !d.check.sim.restoring():
		n.found = true
		d.count("bad data met by a send")
		return
	}
	d.life.met.file = true
	d.refuses(aRestore, err)
}

// unread: an operation on a snapshot file failed that reads.
func (d *disk) unread() {
	if d.life != nil && d.check.sim.restoring() {
		d.life.met.noFile = true
		d.refuses(aRestore, errRead)
	}
}

// unreadable is the error of the next read of the log. A leader can ask again, for its followers; a state machine cannot.
func (s *store) unreadable() error {
	if s.failLog == 0 || s.check.sim.elsewhere() {
		return nil
	}
	if s.failLog--; s.failLog > 0 {
		return nil
	}
	if who := s.check.sim.reader(); who == "the applier" {
		s.met.unread = true
		s.refuses(who, errRead)
	} else {
		s.count("no data for " + who)
	}
	return fmt.Errorf("log: %w", errRead)
}

// restoring says whether an applier is handling its order to begin from a snapshot.
func (s *Sim) restoring() bool {
	_, ok := s.handled.(*applier.Begin)
	return ok
}

// reader names the daemon that is reading the log.
func (s *Sim) reader() string {
	if t := reflect.TypeOf(s.handled); t != nil && t.Kind() == reflect.Pointer && strings.HasSuffix(t.Elem().PkgPath(), "/applier") {
		return "the applier"
	}
	return "the syncer"
}
