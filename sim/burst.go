package sim

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/troupe-raft/troupe/actors"
	"github.com/troupe-raft/troupe/demo/kv"
	"github.com/troupe-raft/troupe/raft"
	"github.com/troupe-raft/troupe/sim/history"
)

// How many bursty clients a bursty run has, and how much each may have without an answer.
const (
	bursters    = 2
	burstMost   = 200 // proposals
	burstGreat  = 20  // great ones
	greatBytes  = 3_000
	burstPause  = 400 * time.Millisecond // between bursts, at most
	firstClient = 1_000                  // the number of the first bursty client
)

// A burster is a client that proposes many writes at once, mostly without a session, at one node that believes that it leads. A leader that is
// cut off believes so as well, and has to bound what it takes. Each write is tried once: whoever is refused has lost nothing.
//
// The words of one burst are appended to a key of its own, and each answer tells the whole value, so that history.AppendOnly can judge them: porcupine
// could not, with hundreds of writes at once. Great writes overwrite one key, which nobody reads: what is acknowledged and refused is checked.
type burster struct {
	sim     *Sim
	id      int
	rand    *rand.Rand
	width   int // of a burst, at most
	bursts  int
	serial  int // of proposals
	open    int // proposals without an outcome
	stopped bool
}

// A shot is one proposal of a burst.
type shot struct {
	*history.Op
	data    []byte
	message *actors.Propose
	over    bool             // its outcome counts no more: it is known, or it is unknown for good
	acked   *actors.Proposed // nil: not yet
	refused bool             // it never happens
	again   bool             // it was sent once more while nobody knew: that one is refused says nothing of the other
}

func (s *Sim) newBurster(i int) *burster {
	b := &burster{sim: s, id: firstClient + i, rand: s.rand(fmt.Sprintf("burster %d", i))}
	b.width = 10 + b.rand.IntN(burstMost-10)
	return b
}

func (b *burster) pause() {
	b.sim.clock.AfterFunc(5*time.Millisecond+time.Duration(b.rand.Int64N(int64(burstPause))), b.fire)
}

// fire begins the next burst, as far as the last ones have left room.
func (b *burster) fire() {
	if b.sim.finished {
		b.stopped = true
		return
	}
	defer b.pause()
	to := b.target()
	great := b.rand.IntN(4) == 0
	count := 1 + b.rand.IntN(b.width)
	if great {
		count = 1 + b.rand.IntN(burstGreat)
	}
	b.bursts++
	if count = min(count, b.width-b.open); count > 0 {
		b.sim.trace.note("burst of %d to node %d", count, to.id)
		b.sim.count("burst")
	}
	if !great && b.rand.IntN(3) == 0 {
		b.volley(to, count)
		return
	}
	for range count {
		x := b.begin(great)
		b.travel(func() { b.ask(to, x) })
	}
}

// target is one of the nodes that believe that they lead, most often.
func (b *burster) target() *node {
	var leading []*node
	for _, id := range b.sim.ids {
		if n := b.sim.nodes[id]; n.life != nil && n.life.view.role == raft.Leader {
			leading = append(leading, n)
		}
	}
	if len(leading) == 0 || b.rand.IntN(8) == 0 {
		return b.sim.nodes[b.sim.ids[b.rand.IntN(len(b.sim.ids))]]
	}
	return leading[b.rand.IntN(len(leading))]
}

// begin draws a proposal, of which nothing counts after a while.
func (b *burster) begin(great bool) *shot {
	b.serial++
	b.open++
	x := b.draw(great)
	x.message = &actors.Propose{Data: x.data}
	b.sim.record.shoot(x.Op)
	b.sim.clock.AfterFunc(clientTimeout, func() {
		if !x.over {
			b.end(x)
			b.sim.count("burst: no answer in time")
		}
	})
	return x
}

func (b *burster) ask(to *node, x *shot) {
	if l := to.life; l != nil && l.group != nil {
		l.ask(x.message, func(answer any) {
			l.turnedAway(answer)
			b.travel(func() { b.told(x, answer) })
		})
	}
}

func (b *burster) draw(great bool) *shot {
	word := fmt.Sprintf("%d.%d;", b.id, b.serial)
	cmd := kv.Command{Op: kv.Append, Key: fmt.Sprintf("b%d.%d", b.id, b.bursts), Value: []byte(word), Whole: true}
	kind := history.Append
	if great {
		cmd = kv.Command{Op: kv.Put, Key: fmt.Sprintf("b%d", b.id), Value: []byte(word + strings.Repeat("x", b.rand.IntN(greatBytes)))}
		kind = history.Put
	}
	return &shot{Op: &history.Op{Client: b.id, Kind: kind, Key: cmd.Key, Arg: string(cmd.Value)}, data: cmd.Encode()}
}

// told takes an answer. Late ones are held to what they say, too.
func (b *burster) told(x *shot, answer any) {
	var err error
	switch m := answer.(type) {
	case *actors.Proposed:
		x.acked = m
		b.sim.check.acknowledged(m.Index, x.data)
		if !x.over {
			b.sim.record.wrote(x.Op, m.Result)
			b.sim.count("burst: acknowledged")
		}
	case *actors.Refused:
		err = m.Err
	case *actor.DeadLetterResponse:
		err = actors.ErrStopped
	default:
		b.sim.check.fail("requests get the answer to them", "client %d got %T", b.id, answer)
	}
	if errors.Is(err, actors.ErrSessionForgotten) && !x.again {
		b.sim.check.fail("session errors tell the truth", "a write that was sent once is said to be applied already: %v", err)
	}
	if err != nil && !errors.Is(err, actors.ErrIndeterminate) && !x.again {
		x.refused = true
		if r := (request{x.message.Session, x.message.Seq}); fromTheLog(err) {
			b.sim.check.passOver(r, err)
		} else {
			b.sim.check.refuse(x.data, err)
		}
		b.sim.record.drop(x.Op)
	}
	if x.over {
		return
	}
	if err != nil {
		b.sim.count("burst: " + kindOf(err))
	}
	b.end(x)
}

func (b *burster) end(x *shot) {
	x.over = true
	b.open--
}

// idle reports whether the client begins nothing more and waits for nothing.
func (b *burster) idle() bool { return b.stopped && b.open == 0 }

// shoot begins one operation of a burst.
func (r *record) shoot(c *history.Op) {
	c.Call, c.Return = r.now(), history.Never
	r.bursts = append(r.bursts, c)
}

// judgeBursts holds the words that were appended in bursts against what their clients were told of them.
func (s *Sim) judgeBursts() {
	var ops []history.Op
	for _, c := range s.record.bursts {
		if c.Kind == history.Append && !s.record.dropped[c] {
			ops = append(ops, *c)
		}
	}
	if err := history.AppendOnly(ops); err != nil {
		s.check.fail("linearizability", "%v", err)
	}
}
