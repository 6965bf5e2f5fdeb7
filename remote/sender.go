package remote

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strings"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/troupe-raft/troupe/internal/backoff"
	"github.com/troupe-raft/troupe/raft"
	"github.com/troupe-raft/troupe/stage"
)

// complainAgain is how long the log is spared a connection error that it knows already.
const complainAgain = 30 * time.Second

// What the transport tells a sender besides *Post.
type (
	moved struct{} // the peer is to be dialled elsewhere
	alive struct{} // the peer has just dialled us: it is worth an attempt now
	again struct{} // the pause after a failure is over
)

// A sender is the actor that sends to one peer. It gathers posts until its mailbox runs empty, hands
// them to the lane's session, and dials on demand, with growing pauses. It never touches a socket.
type sender struct {
	t       *TCP
	node    raft.NodeID
	peer    *peer
	stopped func(*actor.PID)
	lanes   [lanes]link
	said    string // the last error logged, of whichever lane: they share their causes
	saidAt  time.Time
}

// A link is a sender's side of one lane.
type link struct {
	gathered []waiting
	bytes    int
	session  *session // nil while there is no connection and no attempt at one
	since    time.Time
	up       bool
	failures int       // in a row
	pause    time.Time // no attempt before
}

func (s *sender) Receive(c actor.Context) {
	switch m := c.Message().(type) {
	case *Post:
		s.post(c.Self(), m)
	case *stage.Drained:
		s.flush()
	case *sessionUp:
		s.up(m.session)
	case *sought:
		s.sought(c.Self(), m)
	case *sessionDown:
		s.down(m.session, m.err)
	case *alive:
		for l := range s.lanes {
			s.lanes[l].pause = time.Time{}
		}
		if s.t.cfg.Guard != nil && s.lanes[Control].session == nil { // everybody is to know of everybody, whoever leads
			s.dial(c.Self(), Control)
		}
	case *again:
		if s.lanes[Control].session == nil {
			s.dial(c.Self(), Control)
		}
	case *moved:
		s.flush()
		s.release()
	case *actor.Stopping:
		s.flush()
		s.release()
	case *actor.Restarting:
		s.release()
	case *actor.Stopped:
		s.stopped(c.Self())
	case actor.SystemMessage, actor.AutoReceiveMessage: // rest of the lifecycle
	default:
		s.t.cfg.Log.Warn("unexpected message", "type", fmt.Sprintf("%T", m))
	}
}

func (s *sender) post(self *actor.PID, m *Post) {
	kind, size := s.t.cfg.kinds.of(m.Envelope.Message), cost(m.Envelope)
	if kind == nil || size == 0 {
		s.peer.dropped.Add(1)
		s.t.cfg.Log.Error("post does not travel", "type", fmt.Sprintf("%T", m.Envelope.Message))
		return
	}
	l := &s.lanes[kind.lane]
	if l.session == nil && !s.dial(self, kind.lane) || s.t.weather.now.Load().loses(s.node) {
		s.peer.dropped.Add(1)
		return
	}
	l.gathered = append(l.gathered, waiting{Envelope: m.Envelope, cost: size})
	if l.bytes += size; l.bytes >= frameTarget {
		s.flushLane(l)
	}
}

// dial starts an attempt unless the last failure is too recent.
func (s *sender) dial(self *actor.PID, lane Lane) bool {
	l, now := &s.lanes[lane], time.Now()
	if now.Before(l.pause) {
		return false
	}
	h := hello{speaks: s.t.cfg.speaks, cluster: s.t.cfg.Cluster, from: s.t.cfg.Node, to: s.node, lane: lane,
		addr: s.t.advertised()}
	l.session, l.since, l.up = open(s.t, self, s.peer, h), now, false
	return true
}

func (s *sender) flush() {
	for l := range s.lanes {
		s.flushLane(&s.lanes[l])
	}
}

func (s *sender) flushLane(l *link) {
	if len(l.gathered) == 0 {
		return
	}
	if l.session == nil { // it went down since the posts came
		s.peer.dropped.Add(uint64(len(l.gathered)))
	} else {
		now := time.Now()
		for i := range l.gathered {
			l.gathered[i].at = now
		}
		s.peer.dropped.Add(uint64(l.session.queue.push(l.gathered)))
	}
	clear(l.gathered)
	l.gathered, l.bytes = l.gathered[:0], 0
}

func (s *sender) up(session *session) {
	lane := session.hello.lane
	if l := &s.lanes[lane]; l.session == session {
		l.up, l.since = true, time.Now()
		if s.peer.connected[lane].Store(true); lane == Control {
			s.peer.absent.Store(nil)
			s.peer.at.Store(&session.addr)
		}
		s.t.cfg.Log.Info("connected", "peer", s.node, "lane", lane, "addr", session.addr)
	}
}

// sought has the peer called where it is said to be, if it is there after all.
func (s *sender) sought(self *actor.PID, m *sought) {
	switch {
	case s.lanes[Control].session != m.session:
	case !m.there:
		s.peer.absent.Store(&m.addr)
	default:
		s.peer.places.back()
		s.flush()
		s.release()
		s.dial(self, Control)
	}
}

// down plans the next attempt. A connection that lasted forgives earlier failures; one that broke at once, perhaps
// because of what we sent, is a failure as well.
func (s *sender) down(session *session, err error) {
	lane := session.hello.lane
	l := &s.lanes[lane]
	if l.session != session {
		return
	}
	now := time.Now()
	was, lasted := l.up, l.up && now.Sub(l.since) >= s.t.cfg.BackoffMax
	l.session, l.up = nil, false
	s.peer.connected[lane].Store(false)
	if lasted {
		l.failures, l.pause = 0, time.Time{}
	} else {
		l.pause = now.Add(s.t.cfg.backoff(l.failures))
		l.failures++
	}
	// It is to know of this start. One that ended the connection may have forgotten it.
	wanted, refused := s.peer.calling(), (*RefusedError)(nil)
	if due := wanted == callUntil || wanted == callAgain && (was || errors.As(err, &refused)); due && lane == Control && s.t.cfg.Guard != nil {
		root, self := s.t.cfg.System.Root, session.owner
		time.AfterFunc(max(l.pause.Sub(now), 0), func() { root.Send(self, &again{}) })
	}
	s.complain(lane, session.addr, err)
}

func (s *sender) complain(lane Lane, addr string, err error) {
	if err == nil || errors.Is(err, errReleased) || s.t.ctx.Err() != nil {
		return
	}
	text := err.Error()
	if op := (*net.OpError)(nil); errors.As(err, &op) { // else its ephemeral port makes each one new
		text = op.Op + op.Err.Error()
	}
	if text != s.said || time.Since(s.saidAt) >= complainAgain {
		s.said, s.saidAt = text, time.Now()
		s.t.cfg.Log.Warn("no connection", "peer", s.node, "lane", lane, "addr", addr, "err", withoutAddress(err))
	}
}

// withoutAddress is what became of a connection, without the addresses that are told beside it.
func withoutAddress(err error) string {
	words := err.Error()
	if op := (*net.OpError)(nil); errors.As(err, &op) && op.Err != nil {
		words = strings.Replace(words, op.Error(), op.Op+": "+strings.TrimPrefix(op.Err.Error(), op.Op+": "), 1)
	}
	return strings.TrimPrefix(words, "remote: ")
}

// release ends all sessions. What was flushed to them may still leave.
func (s *sender) release() {
	for i := range s.lanes {
		l := &s.lanes[i]
		if l.session != nil {
			l.session.release()
			s.peer.connected[i].Store(false)
		}
		*l = link{}
	}
}

// backoff is the pause after so many failures in a row before the present one: it doubles, and half of it is
// drawn, so that nodes that failed together do not come back together.
func (c *Config) backoff(failures int) time.Duration {
	pause := backoff.Doubling{First: c.BackoffFirst, Max: c.BackoffMax}.After(failures + 1)
	return backoff.Stretched(pause/2, 1, rand.Float64())
}
