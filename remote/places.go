package remote

import (
	"slices"
	"sync/atomic"
)

// Places are where a node may listen. The first is where the program or a membership says. A node that does not answer there is looked for
// where it says itself, once it is known by its folder, and where it was said to listen before: it may have moved, with or without the others.
// Whoever answers shows who it is, so that trying costs a call at most.
type places struct {
	now  atomic.Pointer[[]string] // immutable once published
	turn atomic.Uint32            // which of them, modulo how many, is dialled next
}

func (p *places) list() []string {
	if list := p.now.Load(); list != nil {
		return *list
	}
	return nil
}

// given is empty while unknown.
func (p *places) given() string {
	if list := p.list(); len(list) > 0 {
		return list[0]
	}
	return ""
}

// set says where the node listens. What was said before is the last to be tried. Empty: it is forgotten. The transport's lock is held.
func (p *places) set(addr string) {
	var list []string
	if before := p.given(); addr != "" {
		list = []string{addr}
		if before != "" && before != addr {
			list = append(list, before)
		}
	}
	p.now.Store(&list)
	p.turn.Store(0)
}

// says takes the node's own word for where it listens, which is tried next after what is given. The transport's lock is held.
func (p *places) says(addr string) {
	list := p.list()
	if len(list) == 0 || slices.Contains(list[:min(2, len(list))], addr) {
		return
	}
	next := p.next()
	list = slices.DeleteFunc(slices.Clone(list), func(a string) bool { return a == addr })
	list = append([]string{list[0], addr}, list[1:min(2, len(list))]...)
	p.now.Store(&list)
	p.turn.Store(uint32(max(slices.Index(list, next), 0)))
}

// next is where to dial.
func (p *places) next() string {
	list := p.list()
	if len(list) == 0 {
		return ""
	}
	return list[int(p.turn.Load())%len(list)]
}

// back: the node is where it is said to be, which is dialled next.
func (p *places) back() { p.turn.Store(0) }

// failed: the node was not found there. Concurrent lanes may have found out the same.
func (p *places) failed(at string) {
	if turn := p.turn.Load(); p.next() == at {
		p.turn.CompareAndSwap(turn, turn+1)
	}
}
