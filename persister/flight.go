package persister

import (
	"github.com/asynkron/protoactor-go/actor"

	"github.com/troupe-raft/troupe/raft"
)

// none is the op of a load that only waits for what it has seen.
const none = -1

// A waiter is a message that is answered when its flight is durable.
type waiter struct {
	op      int // its place in flight.ops, or none
	message any // *Write, *answers, *Compact, *Destroy or *read
}

// answers are the latest writes of a group that store nothing, one after the other: one op stands for all of them.
type answers struct {
	writes  []*Write
	dropped bool // earlier ones
}

// A flight is what is committed together, and who waits for it. It comes back to the persister as a message when
// it is durable, its waiters already answered.
type flight struct {
	owner   *persister
	ops     []Op
	waiters []waiter
	answers map[raft.GroupID]*answers // to which a group's next ones are added; of groups of which nothing else has come since
	acks    int                       // of waiters
	bytes   int
	landed  func(error) // f.land, bound once
}

// filling returns the flight that is open.
func (p *persister) filling() *flight {
	if p.open == nil {
		if n := len(p.spare); n > 0 {
			p.open, p.spare = p.spare[n-1], p.spare[:n-1]
		} else {
			p.open = &flight{owner: p, answers: map[raft.GroupID]*answers{}}
			p.open.landed = p.open.land
		}
	}
	return p.open
}

// wait puts the message of an op, or of none, on the open flight.
func (p *persister) wait(op int, message any) {
	f := p.filling()
	f.waiters = append(f.waiters, waiter{op: op, message: message})
	if m, ok := message.(*Write); ok && m.Ack != nil {
		f.acks++
	}
}

// add puts an op on the open flight, and closes it when it is full.
func (p *persister) add(op Op, message any, bytes int) {
	f := p.filling()
	delete(f.answers, op.Group)
	p.wait(len(f.ops), message)
	f.ops = append(f.ops, op)
	if f.bytes += bytes; f.bytes >= p.batchBytes {
		p.full, p.open = append(p.full, f), nil
		p.takeOffFull()
	}
}

// takeOff commits what may go: full flights first, then the open one.
func (p *persister) takeOff() {
	p.takeOffFull()
	if p.open != nil && len(p.full) == 0 && p.inFlight < p.settings.inFlight {
		f := p.open
		p.open = nil
		p.commit(f)
	}
}

func (p *persister) takeOffFull() {
	for len(p.full) > 0 && p.inFlight < p.settings.inFlight {
		f := p.full[0]
		p.full[0] = nil
		p.full = p.full[1:]
		p.commit(f)
	}
}

func (p *persister) commit(f *flight) {
	p.inFlight++
	p.storage.Commit(f.ops, f.landed)
}

// settle commits everything gathered, however much is in flight.
func (p *persister) settle() {
	for _, f := range p.full {
		p.commit(f)
	}
	p.full = nil
	if f := p.open; f != nil {
		p.open = nil
		p.commit(f)
	}
}

// land answers the waiters of a flight that is durable. The storage calls it, flight after flight; the persister gets
// the flight back only afterwards, so that nothing it lets go itself overtakes these answers. Of a failure the loaded
// groups are told by the persister; a group that was to be destroyed is none of them any more.
func (f *flight) land(err error) {
	p := f.owner
	if err == nil {
		acks := make([]Persisted, f.acks)
		for _, w := range f.waiters {
			if m, ok := w.message.(*Write); ok && m.Ack != nil {
				f.answer(p, w, &acks[0])
				acks = acks[1:]
				continue
			}
			f.answer(p, w, nil)
		}
	} else {
		for _, w := range f.waiters {
			if m, ok := w.message.(*Destroy); ok {
				p.tell(m.ReplyTo, &Destroyed{Group: m.Group, Err: err})
			}
		}
	}
	p.report(f)
}

// answer lets go what w waited for. ack is where its acknowledgement goes, if it wants one.
func (f *flight) answer(p *persister, w waiter, ack *Persisted) {
	var err error
	if w.op != none {
		err = f.ops[w.op].Err
	}
	switch m := w.message.(type) {
	case *Write:
		if err == nil {
			p.deliver(m, ack)
			return
		}
		p.rejected(m.ReplyTo, err)
	case *answers:
		if err != nil {
			p.rejected(m.writes[0].ReplyTo, err)
			return
		}
		for _, w := range m.writes {
			p.deliver(w, nil)
		}
	case *Compact:
		if err == nil {
			p.tell(m.ReplyTo, &Compacted{Group: m.Group, Meta: m.Meta})
			return
		}
		p.rejected(m.ReplyTo, err)
	case *Destroy:
		p.tell(m.ReplyTo, &Destroyed{Group: m.Group, Err: err})
	case *read:
		if err != nil {
			m.Err = err
		}
		p.tell(m.load.ReplyTo, &m.Loaded)
	}
}

// rejected stops a group that broke an invariant or whose log is damaged. The storage takes nothing more from it.
func (p *persister) rejected(to *actor.PID, err error) {
	p.log.Error("write rejected", "reason", err)
	p.tell(to, &StoreFailed{Err: err})
}

// back makes room for the next flight.
func (p *persister) back(f *flight) {
	p.inFlight--
	if p.failure != nil {
		return
	}
	for i := range f.ops {
		if g := p.groups[f.ops[i].Group]; g != nil && f.ops[i].Err != nil {
			g.sound = false
		}
	}
	if cap(f.ops) <= 1<<12 { // keep what is usual, not what was once
		clear(f.ops)
		clear(f.waiters)
		clear(f.answers)
		f.ops, f.waiters, f.acks, f.bytes = f.ops[:0], f.waiters[:0], 0, 0
		p.spare = append(p.spare, f)
	}
	p.takeOff()
}
