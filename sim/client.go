package sim

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/troupe-raft/troupe/actors"
	"github.com/troupe-raft/troupe/demo/kv"
	"github.com/troupe-raft/troupe/raft"
	"github.com/troupe-raft/troupe/sim/history"
	"github.com/troupe-raft/troupe/stage"
)

// How patient clients are.
const (
	clientTimeout = 700 * time.Millisecond
	clientPause   = 30 * time.Millisecond
	clientGivesUp = 8 * time.Second // while faults last; afterwards never
	opsPerKey     = 25              // of each client: then it goes on with other keys, so that values stay short
)

var errDown = errors.New("node is down")

// A client asks one thing after another, and records what it asked and was told.
type client struct {
	sim      *Sim
	id       int
	rand     *rand.Rand
	faithful bool // writes under a session, and repeats until it knows

	session, seq uint64
	sent, used   time.Duration // when the latest attempt was sent; when the last one that used the session was
	rested       bool          // the session was not used for longer than it lasts
	target       raft.NodeID
	op           *operation
	serial       int // of operations
	attempt      uint64
	timer        stage.Timer
	opening      bool
	stopped      bool
}

// An operation is one thing a client wants.
type operation struct {
	*history.Op
	data  []byte // of a write
	lease bool
	since time.Duration
	doubt bool // an attempt may have taken effect
}

func (s *Sim) newClient(id int) *client {
	r := s.rand(fmt.Sprintf("client %d", id))
	return &client{sim: s, id: id, rand: r, faithful: id%4 != 3, target: s.founders[r.IntN(len(s.founders))]}
}

// next begins the next operation, after a session is open if it needs one.
func (c *client) next() {
	if c.stopped || c.sim.finished {
		c.stopped = true
		return
	}
	if c.faithful && c.session == 0 {
		c.opening = true
		c.try()
		return
	}
	c.serial++
	c.op = c.draw()
	c.op.since = c.sim.clock.Now()
	c.sim.record.begin(c.op.Op)
	c.try()
}

// draw makes an operation: about half appends of words that occur once, nearly half reads, some of everything else.
func (c *client) draw() *operation {
	key := fmt.Sprintf("k%d.%d", c.rand.IntN(c.sim.cfg.Keys), c.serial/opsPerKey)
	word := fmt.Sprintf("%d.%d;", c.id, c.serial)
	if c.rand.IntN(40) == 0 {
		word = fmt.Sprintf("%d.%d%s;", c.id, c.serial, bytes.Repeat([]byte{'x'}, c.rand.IntN(3000)))
	}
	op := &operation{Op: &history.Op{Client: c.id, Key: key}}
	cmd := kv.Command{Key: key, Value: []byte(word), Whole: c.rand.IntN(2) == 0}
	switch p := c.rand.IntN(100); {
	case p < 45:
		op.lease = c.rand.IntN(2) == 0
		op.Kind = history.Get
		return op
	case p < 92:
		op.Kind, cmd.Op = history.Append, kv.Append
	case p < 95:
		op.Kind, cmd.Op = history.Put, kv.Put
	case p < 98:
		op.Kind, cmd.Op = history.CAS, kv.CAS
		if v, ok := c.sim.record.seen[key]; ok {
			cmd.Expect, op.Expect = append([]byte{}, v...), history.Some(v)
		}
	default:
		op.Kind, cmd.Op = history.Delete, kv.Delete
		cmd.Value = nil
	}
	op.Arg = string(cmd.Value)
	op.data = cmd.Encode()
	return op
}

// message is what goes to the group.
func (c *client) message() any {
	switch {
	case c.opening:
		return &actors.OpenSession{}
	case c.op.data == nil:
		return &actors.Read{Lease: c.op.lease}
	case c.faithful:
		return &actors.Propose{Data: c.op.data, Session: c.session, Seq: c.seq + 1}
	}
	return &actors.Propose{Data: c.op.data}
}

// try sends the operation once more, to the node that probably leads.
func (c *client) try() {
	c.attempt++
	c.sent = c.sim.clock.Now()
	a, message, op := c.attempt, c.message(), c.op
	if c.rand.IntN(8) == 0 {
		c.target = c.sim.ids[c.rand.IntN(len(c.sim.ids))]
	}
	to := c.sim.nodes[c.target]
	clock := c.sim.clock
	settled := c.sim.settled
	c.timer = clock.AfterFunc(clientTimeout, func() { c.timedOut(a, settled) })
	clock.AfterFunc(c.lag(), func() {
		l := to.life
		if l == nil || l.group == nil {
			if c.sim.calm { // a machine that is down for good refuses the connection
				clock.AfterFunc(c.lag(), func() { c.told(a, op, &actors.Refused{Err: errDown}, "", false) })
			}
			return
		}
		committed := raft.Index(len(c.sim.check.log))
		l.ask(message, func(answer any) {
			l.turnedAway(answer)
			var value string
			var found bool
			if point, ok := answer.(*actors.ReadPoint); ok {
				c.sim.check.reads(l, point.Index, committed)
				value, found = l.machine.get(op.Key)
				l.readAt(op.lease)
			}
			clock.AfterFunc(c.lag(), func() { c.told(a, op, answer, value, found) })
		})
	})
}

func (m *machine) get(key string) (string, bool) {
	v, ok := m.kv.Get(key)
	return string(v), ok
}

// lag is a message's time between a client and a node.
func (c *client) lag() time.Duration {
	return 50*time.Microsecond + time.Duration(c.rand.Int64N(int64(300*time.Microsecond)))
}

// told takes an answer. Late ones are held to what they say, too.
func (c *client) told(attempt uint64, op *operation, answer any, value string, found bool) {
	if p, ok := answer.(*actors.Proposed); ok && op != nil && op.data != nil {
		c.sim.check.acknowledged(p.Index, op.data)
	}
	if attempt != c.attempt || c.op != op {
		return
	}
	c.attempt++ // no other answer counts
	c.timer.Stop()
	switch m := answer.(type) {
	case *actors.Proposed:
		if c.faithful {
			c.outlived()
			c.used = c.sent
		}
		c.seq++
		c.sim.record.wrote(c.op.Op, m.Result)
		c.finish()
	case *actors.ReadPoint:
		c.sim.record.read(c.op.Op, value, found)
		c.finish()
	case *actors.SessionOpened:
		c.session, c.seq, c.opening, c.used, c.rested = m.Session, 0, false, c.sent, false
		c.pause(0)
	case *actors.Refused:
		c.refused(m.Err)
	case *actor.DeadLetterResponse: // the group's actor is no more: it never got the question
		c.refused(actors.ErrStopped)
	default:
		c.sim.check.fail("requests get the answer to them", "client %d got %T", c.id, answer)
	}
}

func (c *client) finish() {
	c.op = nil
	c.pause(time.Duration(c.rand.Int64N(int64(c.sim.cfg.Think))) + c.rest())
}

func (c *client) pause(d time.Duration) { c.sim.clock.AfterFunc(d, c.next) }

// refused decides what a refusal means.
func (c *client) refused(err error) {
	var elsewhere *actors.NotLeaderError
	if errors.As(err, &elsewhere) && elsewhere.Leader != raft.None {
		c.target = elsewhere.Leader
	} else {
		c.elsewhere()
	}
	c.sim.count("refused: " + kindOf(err))
	switch {
	case c.opening:
		c.again()
	case errors.Is(err, actors.ErrSessionOrder), errors.Is(err, actors.ErrSessionForgotten): // it has one write at a time, of which the latest answer stays
		c.sim.check.fail("sessions keep their order", "client %d: session %d is at %d: %v", c.id, c.session, c.seq, err)
	case errors.Is(err, actors.ErrSessionExpired):
		c.lasting(err)
		c.session = 0
		c.giveUp()
	case c.op.data == nil:
		c.again()
	case errors.Is(err, actors.ErrTooLarge): // whoever is asked
		c.sim.check.refuse(c.op.data, err)
		c.sim.record.drop(c.op.Op)
		c.finish()
	case errors.Is(err, actors.ErrIndeterminate):
		c.unknown()
	case c.faithful:
		c.again()
	default:
		if c.op.Kind != history.Delete { // all others are unlike any other command
			c.sim.check.refuse(c.op.data, err)
		}
		c.sim.record.drop(c.op.Op)
		c.finish()
	}
}

func kindOf(err error) string {
	for _, known := range []error{actors.ErrIndeterminate, actors.ErrNotLeader, actors.ErrBusy, actors.ErrTooLarge, actors.ErrStopped, actors.ErrTransferring, actors.ErrSessionExpired, actors.ErrSessionOrder, actors.ErrSessionForgotten} {
		if errors.Is(err, known) {
			return known.Error()
		}
	}
	return err.Error()
}

// elsewhere chooses another node.
func (c *client) elsewhere() { c.target = c.sim.ids[c.rand.IntN(len(c.sim.ids))] }

// again tries once more a little later, unless the client loses patience.
func (c *client) again() {
	if !c.opening && !c.sim.calm && c.sim.clock.Now()-c.op.since > clientGivesUp {
		c.session = 0 // its next number is uncertain
		c.giveUp()
		return
	}
	a := c.attempt
	c.sim.clock.AfterFunc(clientPause+time.Duration(c.rand.Int64N(int64(clientPause))), func() {
		if c.attempt == a {
			c.try()
		}
	})
}

// timedOut: the answer, or the question, was lost. That cannot be when all had settled before the client asked.
func (c *client) timedOut(attempt uint64, settled bool) {
	if attempt != c.attempt {
		return
	}
	if settled {
		c.sim.check.fail("clients are answered in the calm", "client %d is not, within %v, by node %d: %s; %s", c.id, clientTimeout, c.target, c.sim.unanswered(nil), c.sim.roles())
	}
	c.sim.count("client timeout")
	c.elsewhere()
	if c.opening || c.op.data == nil {
		c.again()
		return
	}
	c.unknown()
}

// unknown: the write may have happened. Under a session it is repeated; without one, nobody will ever know.
func (c *client) unknown() {
	c.op.doubt = true
	if c.faithful {
		c.again()
		return
	}
	c.giveUp()
}

// giveUp leaves the outcome open.
func (c *client) giveUp() {
	c.attempt++
	c.finish()
}

// acknowledged: what a client was told is committed, at the index that it was told, for ever.
func (c *checker) acknowledged(i raft.Index, data []byte) {
	if i == 0 || i > raft.Index(len(c.log)) || c.log[i-1].data != hashOf(data) {
		c.fail("acknowledged writes are there", "a client was told that its write is entry %d, which it is not", i)
	}
}

// refuse: a write that was refused never happens.
func (c *checker) refuse(data []byte, err error) {
	h := hashOf(data)
	c.refused[h] = err.Error()
	for i := range c.log {
		if c.log[i].data == h && c.log[i].kind == raft.Command {
			c.fail("a refused write never happens", "entry %d is committed; its client was told %q", i+1, err)
		}
	}
}
