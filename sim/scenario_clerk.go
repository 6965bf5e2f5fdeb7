package sim

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/troupe-raft/troupe/actors"
	"github.com/troupe-raft/troupe/demo/kv"
	"github.com/troupe-raft/troupe/raft"
	"github.com/troupe-raft/troupe/sim/history"
	"github.com/troupe-raft/troupe/stage"
)

// How patient clerks are: the suites' wait a second, but are told when a request was lost.
const (
	clerkTimeout = 120 * time.Millisecond
	clerkPause   = 20 * time.Millisecond
	clerkLimit   = 60 * time.Second // for one operation that a story waits for
)

// A clerk is kvraft's: it writes under a session, one operation at a time, and repeats each until it knows that it happened. What it asked
// and was told becomes part of the history.
type clerk struct {
	sc    *scenario
	id    int
	rand  *rand.Rand
	reach []raft.NodeID // whom it can ask
	at    int           // of reach, who probably leads
	think time.Duration // between operations, at most
	whole bool          // half of the appends ask for the whole value: sessions remember the answers, and snapshots hold them
	plain bool          // writes without a session, for stories in which nothing is lost

	session, seq uint64
	next         func() *history.Op
	op           *history.Op // nil: idle
	data         []byte      // of a write
	attempt      uint64
	timer        stage.Timer
	tries        int // of this operation

	done, retries, repeats int // operations; attempts that failed; writes that were sent again
}

// clerk makes one that can ask the nodes given, or all.
func (sc *scenario) clerk(reach ...raft.NodeID) *clerk {
	sc.clerks++
	k := &clerk{sc: sc, id: sc.clerks, rand: sc.Sim.rand(fmt.Sprintf("clerk %d", sc.clerks)), reach: reach}
	if len(reach) == 0 {
		k.reach = sc.ids
	}
	k.at = k.rand.IntN(len(k.reach))
	return k
}

// run has the clerk do what next returns, until that is nil.
func (k *clerk) run(next func() *history.Op) {
	k.next = next
	k.begin()
}

func (k *clerk) idle() bool { return k.op == nil && k.next == nil }

// do has one operation done and waits for it.
func (k *clerk) do(op *history.Op) *history.Op {
	k.sc.t.Helper()
	k.start(op)
	k.sc.await(clerkLimit, op.String(), k.idle)
	return op
}

// start has one operation done and does not wait.
func (k *clerk) start(op *history.Op) {
	first := op
	k.run(func() *history.Op {
		op, first = first, nil
		return op
	})
}

func (k *clerk) put(key, value string) {
	k.sc.t.Helper()
	k.do(&history.Op{Kind: history.Put, Key: key, Arg: value})
}

func (k *clerk) append(key, value string) {
	k.sc.t.Helper()
	k.do(&history.Op{Kind: history.Append, Key: key, Arg: value})
}

// get returns the value of a key that must be there.
func (k *clerk) get(key string) string {
	k.sc.t.Helper()
	op := k.do(&history.Op{Kind: history.Get, Key: key})
	if !op.Saw.Exists {
		k.sc.fatalf("key %q is missing", key)
	}
	return op.Saw.Text
}

// expect gets a key and demands a value.
func (k *clerk) expect(key, value string) {
	k.sc.t.Helper()
	if got := k.get(key); got != value {
		k.sc.fatalf("key %q holds %q, expected %q", key, got, value)
	}
}

// begin takes up the next operation.
func (k *clerk) begin() {
	k.op = k.next()
	if k.op == nil {
		k.next = nil
		return
	}
	k.op.Client, k.tries = k.id, 0
	command := kv.Command{Key: k.op.Key, Value: []byte(k.op.Arg)}
	k.data = nil
	switch k.op.Kind {
	case history.Put:
		command.Op = kv.Put
		k.data = command.Encode()
	case history.Append:
		command.Op, command.Whole = kv.Append, k.whole && k.rand.IntN(2) == 0
		k.data = command.Encode()
	}
	k.sc.record.begin(k.op)
	k.try()
}

// try asks one node once.
func (k *clerk) try() {
	k.attempt++
	a, op, data, to, clock := k.attempt, k.op, k.data, k.sc.nodes[k.reach[k.at]], k.sc.clock
	var message any = &actors.Propose{Data: data, Session: k.session, Seq: k.seq + 1}
	switch {
	case data == nil:
		message = &actors.Read{Lease: k.rand.IntN(2) == 0}
	case k.plain:
		message = &actors.Propose{Data: data}
	case k.session == 0:
		message, data = &actors.OpenSession{}, nil
	default:
		if k.tries++; k.tries > 1 {
			k.repeats++
		}
	}
	k.timer = clock.AfterFunc(clerkTimeout, func() { k.retry(a, raft.None) })
	k.carry(func() {
		l := to.life
		if l == nil || l.group == nil {
			return
		}
		l.ask(message, func(answer any) {
			var value string
			var found bool
			if _, ok := answer.(*actors.ReadPoint); ok {
				value, found = l.machine.get(op.Key)
			}
			k.carry(func() {
				if p, ok := answer.(*actors.Proposed); ok && data != nil {
					k.sc.check.acknowledged(p.Index, data)
				}
				if a == k.attempt {
					k.told(answer, value, found)
				}
			})
		})
	})
}

// carry lets something get through between a clerk and a node, like over any link of the network.
func (k *clerk) carry(arrive func()) {
	if k.sc.unreliable && k.rand.IntN(10) == 0 {
		k.sc.count("clerk's message lost")
		return
	}
	lag := fair.Delay + time.Duration(k.rand.Int64N(int64(fair.Jitter)))
	if k.sc.unreliable {
		lag = time.Duration(k.rand.Int64N(int64(bad.Jitter)))
	}
	k.sc.clock.AfterFunc(lag, arrive)
}

// told takes the answer to the latest attempt.
func (k *clerk) told(answer any, value string, found bool) {
	k.timer.Stop()
	switch m := answer.(type) {
	case *actors.Proposed:
		k.seq++
		k.sc.record.wrote(k.op, m.Result)
		k.finish()
	case *actors.ReadPoint:
		k.sc.record.read(k.op, value, found)
		k.finish()
	case *actors.SessionOpened:
		k.session, k.seq = m.Session, 0
		k.try()
	case *actors.Refused:
		if errors.Is(m.Err, actors.ErrSessionExpired) || errors.Is(m.Err, actors.ErrSessionOrder) || errors.Is(m.Err, actors.ErrSessionForgotten) {
			k.sc.check.fail("sessions keep their order", "clerk %d: session %d is at %d: %v", k.id, k.session, k.seq, m.Err)
		}
		hint := raft.None
		if to := (*actors.NotLeaderError)(nil); errors.As(m.Err, &to) {
			hint = to.Leader
		}
		k.retry(k.attempt, hint)
	default:
		k.sc.check.fail("requests get the answer to them", "clerk %d got %T", k.id, answer)
	}
}

// retry goes on with the node that leads, or the next one.
func (k *clerk) retry(attempt uint64, leader raft.NodeID) {
	if attempt != k.attempt {
		return
	}
	if k.plain && k.data != nil && leader == raft.None {
		k.sc.check.fail("stories are told right", "a write without a session is repeated")
	}
	k.attempt++ // late answers say nothing any more
	k.retries++
	k.at = (k.at + 1) % len(k.reach)
	if i := slices.Index(k.reach, leader); i >= 0 {
		k.at = i
	}
	k.sc.clock.AfterFunc(time.Duration(k.rand.Int64N(int64(clerkPause))), k.try)
}

func (k *clerk) finish() {
	k.attempt++
	k.done++
	k.op = nil
	if k.think == 0 {
		k.begin()
		return
	}
	k.sc.clock.AfterFunc(time.Duration(k.rand.Int64N(int64(k.think))), k.begin)
}

// idle reports whether all clerks are.
func idle(clerks []*clerk) func() bool {
	return func() bool { return !slices.ContainsFunc(clerks, func(k *clerk) bool { return !k.idle() }) }
}

// end judges everything that clerks asked and were told, after a story.
func (sc *scenario) end() {
	sc.t.Helper()
	sc.judge()
	sc.healthy()
	if why := sc.record.unjudged; why != "" {
		sc.fatalf("not judged: %s", why)
	}
}
