package sim

import (
	"maps"
	"math/rand/v2"

	"github.com/troupe-raft/troupe/actors"
	"github.com/troupe-raft/troupe/raft"
)

// A folder is what a disk keeps of its node's starts, and of those of others: IDENTITY and PEERS. Both are on the disk once written.
type folder struct {
	store, start uint64
	met          map[raft.NodeID]raft.Acquaintance
}

func (d *disk) newFolder() *folder {
	return &folder{store: d.rand.Uint64() | 1, met: map[raft.NodeID]raft.Acquaintance{}}
}

func (f *folder) clone() *folder {
	if f == nil {
		return nil
	}
	return &folder{f.store, f.start, maps.Clone(f.met)}
}

// folders reports whether nodes greet with who they are, in a third of the runs.
func (c Config) folders() bool {
	return !c.Quiet && rand.New(rand.NewPCG(c.Seed, 0x1de7)).IntN(3) == 0
}

// A greeter is the store of a disk that keeps a folder. It implements actors.Lineage.
type greeter struct {
	*store
	self  raft.Incarnation
	spoke bool
}

// greeter is a life's store, with its folder if the disk keeps one.
func (d *disk) greeter(s *store) actors.Store {
	if d.folder == nil {
		return s
	}
	return &greeter{store: s, self: raft.Incarnation{Store: d.folder.store, Start: d.folder.start + 1, Nonce: d.rand.Uint64() | 1}}
}

// broken is why nothing can be written.
func (l *greeter) broken() error {
	if l.dead {
		return errInjected
	}
	return l.failure
}

// Incarnation implements actors.Lineage.
func (l *greeter) Incarnation() raft.Incarnation { return l.self }

// Speak implements actors.Lineage.
func (l *greeter) Speak() (raft.Incarnation, error) {
	if l.spoke {
		return l.self, nil
	}
	return l.self, l.become(l.self)
}

// Renew implements actors.Lineage.
func (l *greeter) Renew() (raft.Incarnation, error) {
	l.count(renewed)
	next := raft.Incarnation{Store: l.rand.Uint64() | 1, Start: 1, Nonce: l.rand.Uint64() | 1}
	if err := l.broken(); err != nil {
		return raft.Incarnation{}, err
	}
	clear(l.folder.met)
	return next, l.become(next)
}

func (l *greeter) become(i raft.Incarnation) error {
	if err := l.broken(); err != nil {
		return err
	}
	l.self, l.spoke = i, true
	l.folder.store, l.folder.start = i.Store, i.Start
	return nil
}

// Met implements actors.Lineage.
func (l *greeter) Met() map[raft.NodeID]raft.Acquaintance { return maps.Clone(l.folder.met) }

// Meet implements actors.Lineage.
func (l *greeter) Meet(node raft.NodeID, a raft.Acquaintance) error {
	if err := l.broken(); err != nil {
		return err
	}
	if l.folder.met[node] = a; a == (raft.Acquaintance{}) {
		delete(l.folder.met, node)
	}
	return nil
}

// foretold says whether all other members will know by its folder that a node went back to it, and whether none will.
func (s *Sim) foretold(n *node, f *folder) (all, none bool) {
	if f == nil {
		return false, true
	}
	all, none = true, true
	for _, m := range s.inForce() {
		for _, id := range m.IDs() {
			o := s.nodes[id]
			if o == nil || o == n || o.gone {
				continue
			}
			known := o.disk.folder.met[n.id]
			if tells := known.Store != 0 && (known.Store != f.store || known.Start > f.start); tells { // its next start would be one more
				none = false
			} else {
				all = false
			}
		}
	}
	return all, none
}

var _ actors.Lineage = (*greeter)(nil)
