package sim

import (
	"bytes"
	"errors"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/troupe-raft/troupe/actors"
)

// A volley is a burst under a session: its writes have the numbers from 1 on, and all are under way at once. What is
// refused before it is sent again never happens. Later some that are not refused are sent again: the session must tell what became of them.
type volley struct {
	*burster
	session uint64
	shots   []*shot
}

// How volleys repeat.
const (
	volleyRepeats = 8
	volleyPause   = 600 * time.Millisecond // before the repetitions, at most
)

// volley opens a session and then sends so many writes under it.
func (b *burster) volley(to *node, count int) {
	v := &volley{burster: b}
	b.travel(func() {
		if l := to.life; l != nil && l.group != nil {
			l.ask(&actors.OpenSession{}, func(answer any) {
				b.travel(func() {
					if opened, ok := answer.(*actors.SessionOpened); ok && !b.sim.finished {
						v.session = opened.Session
						v.fire(to, min(count, b.width-b.open))
					}
				})
			})
		}
	})
}

// travel lets something get through between the client and a node.
func (b *burster) travel(arrive func()) {
	b.sim.clock.AfterFunc(50*time.Microsecond+time.Duration(b.rand.Int64N(int64(300*time.Microsecond))), arrive)
}

func (v *volley) fire(to *node, count int) {
	for i := range max(0, count) {
		x := v.begin(false)
		x.message = &actors.Propose{Data: x.data, Session: v.session, Seq: uint64(i) + 1}
		v.shots = append(v.shots, x)
	}
	v.sim.count("volley")
	if v.rand.IntN(3) == 0 { // not in their order
		for _, x := range v.shots {
			v.travel(func() { v.ask(to, x) })
		}
	} else { // by one connection
		v.travel(func() {
			for _, x := range v.shots {
				v.ask(to, x)
			}
		})
	}
	v.sim.clock.AfterFunc(clientTimeout+time.Duration(v.rand.Int64N(int64(volleyPause))), v.repeat)
}

// repeat asks again for some of the writes that happened or may have.
func (v *volley) repeat() {
	for range min(volleyRepeats, len(v.shots)) {
		x := v.shots[v.rand.IntN(len(v.shots))]
		if v.sim.finished || x.refused {
			continue
		}
		x.again = true
		to := v.target()
		v.travel(func() {
			if l := to.life; l != nil && l.group != nil {
				known := x.acked
				l.ask(x.message, func(answer any) { v.told(x, known, answer) })
			}
		})
	}
	if v.rand.IntN(3) == 0 {
		v.close()
	}
}

// close ends the session, with what is still under way in it.
func (v *volley) close() {
	to := v.target()
	v.travel(func() {
		if l := to.life; l != nil && l.group != nil && !v.sim.finished {
			l.ask(&actors.CloseSession{Session: v.session}, func(answer any) {
				switch m := answer.(type) {
				case *actors.SessionClosed:
					v.sim.count("a session is closed")
					if m.Session != v.session {
						v.sim.check.fail("requests get the answer to them", "session %d is closed, asked was for %d", m.Session, v.session)
					}
				case *actors.Refused, *actor.DeadLetterResponse:
				default:
					v.sim.check.fail("requests get the answer to them", "client %d got %T", v.id, answer)
				}
			})
		}
	})
}

// told holds the answer to a repeated write to what its client knew when it asked.
func (v *volley) told(x *shot, known *actors.Proposed, answer any) {
	check, seq := v.sim.check, x.message.Seq
	switch m := answer.(type) {
	case *actors.Proposed:
		check.acknowledged(m.Index, x.data)
		v.compare(x, known, m)
		v.sim.count("volley: answered again")
	case *actors.Refused:
		v.sim.count("volley: " + kindOf(m.Err))
		check.sessionError(request{v.session, seq}, known != nil, m.Err)
	case *actor.DeadLetterResponse:
	default:
		check.fail("requests get the answer to them", "client %d got %T", v.id, answer)
	}
}

// compare holds a second answer to the first.
func (v *volley) compare(x *shot, first, second *actors.Proposed) {
	if first != nil && (second.Index != first.Index || !bytes.Equal(second.Result, first.Result)) {
		v.sim.check.fail("a session answers alike", "write %d of session %d was answered at %d, now at %d", x.message.Seq, v.session, first.Index, second.Index)
	}
}

// fromTheLog reports whether an error is the session's word on an entry of the log, of which nothing reached the state machine.
func fromTheLog(err error) bool {
	return errors.Is(err, actors.ErrSessionOrder) || errors.Is(err, actors.ErrSessionExpired)
}

// passOver: a session's write that was sent once and refused by the session is never executed.
func (c *checker) passOver(r request, err error) {
	c.states.passedOver[r] = err.Error()
	if i, happened := c.states.sessions[r]; happened {
		c.fail("a refused write never happens", "write %d of session %d was executed at %d; its client was told %q", r.seq, r.session, i, err)
	}
}

// sessionError: a session error is no lie. applied: the client knew that the write had been.
func (c *checker) sessionError(r request, applied bool, err error) {
	at, happened := c.states.sessions[r]
	switch {
	case errors.Is(err, actors.ErrSessionForgotten) && !happened:
		c.fail("session errors tell the truth", "write %d of session %d is said to be applied, which it is not", r.seq, r.session)
	case errors.Is(err, actors.ErrSessionOrder) && applied:
		c.fail("session errors tell the truth", "write %d of session %d, applied at %d, is refused as if it had not been: %v", r.seq, r.session, at, err)
	}
}
