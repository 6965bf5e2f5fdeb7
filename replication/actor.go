package replication

import (
	"fmt"
	"log/slog"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/troupe-raft/troupe/raft"
	"github.com/troupe-raft/troupe/stage"
)

// syncer feeds the followers of one leader. Messages only change what is known; settle, which follows the
// last of them at once, acts on it, so that what arrived together is sent and reported together.
type syncer struct {
	cfg   Config
	clock stage.Clock
	log   *slog.Logger

	term     raft.Term // being led; 0 while at rest
	leader   raft.NodeID
	commit   raft.Index
	founders uint32
	view     view
	peers    []*peer
	ready    bool // the log reaches into this term: feeding may begin
	halted   bool // the log is not what it should be: feeding is over in this term

	over      bool       // stopping
	unsettled int        // messages since the last settle
	reader    *actor.PID // nil until something must be read
	timer     timer
	told      told
	news      bool // there is something to tell once that may be
}

// A peer is one follower.
type peer struct {
	id       raft.NodeID
	progress *raft.Progress
	acked    raft.Index // the most that it confirmed under the present doubt
	reported raft.Index // of it, told to the parent
	doubt    uint64     // AppendEntriesReply.Doubt of the latest
	silent   bool       // did not answer in time
	snapshot bool       // the parent was asked for one and has not answered
	stock    stock
}

func newSyncer(cfg Config) *syncer {
	return &syncer{cfg: cfg, clock: cfg.Stage.Clock(), log: cfg.Log.With("group", uint64(cfg.Group))}
}

func (s *syncer) Receive(c actor.Context) {
	switch m := c.Message().(type) {
	case *Reply:
		s.reply(c, m)
	case *Extend:
		s.extend(m)
	case *Advance:
		if m.Term == s.term {
			s.commit = max(s.commit, m.Commit)
		}
		return // the next message carries it
	case *stage.Drained:
		s.settle(c)
		return
	case *fetched:
		s.fetched(c, m)
	case *wakeUp:
		if !s.timer.fired(m) {
			return
		}
	case *Lead:
		s.lead(c, m)
	case *Heard:
		if p := find(s.peers, m.Peer); p != nil && m.Term == s.term {
			p.progress.Heard()
		}
	case *Peers:
		if m.Term == s.term {
			s.founders = m.Founders
			s.setPeers(m.Peers)
		}
	case *Trim:
		if m.Term == s.term {
			s.view.trim(m.First, m.Prev)
		}
	case *SnapshotDone:
		s.snapshotDone(m)
	case *Rest:
		if m.Term >= s.term {
			s.rest(c)
		}
	case *actor.Started:
		c.Send(c.Parent(), &OnDuty{})
	case *readerRestarted:
		s.readerLost()
	case *actor.Terminated:
		if s.reader != nil && s.reader.Equal(m.Who) {
			s.reader = nil
			s.readerLost()
			s.unsettled++
			s.settle(c) // no Drained follows a system message
		}
		return
	case *stage.GaveUp: // Terminated follows; the next read gets a new reader
		s.log.Error("reader kept crashing", "failures", m.Failures, "reason", fmt.Sprint(m.Reason))
	case *actor.Stopping, *actor.Restarting:
		s.timer.stop()
		s.over = true // messages still come while the reader stops
	case actor.SystemMessage, actor.AutoReceiveMessage: // rest of the lifecycle
	default:
		s.log.Warn("unexpected message", "type", fmt.Sprintf("%T", m))
	}
	if s.unsettled++; s.unsettled >= s.cfg.SettleAfter {
		s.settle(c)
	}
}

func (s *syncer) lead(c actor.Context, m *Lead) {
	if m.Term < s.term {
		return
	}
	s.rest(c)
	s.term, s.leader, s.commit, s.founders = m.Term, m.Leader, m.Commit, m.Founders
	s.view = newView(m.Shape)
	s.ready = s.view.shape.LastID().Term == s.term
	s.setPeers(m.Peers)
}

func (s *syncer) rest(c actor.Context) {
	if s.reader != nil {
		c.Stop(s.reader)
	}
	s.timer.stop()
	*s = syncer{cfg: s.cfg, clock: s.clock, log: s.log, over: s.over}
}

func (s *syncer) setPeers(ids []raft.NodeID) {
	var next []*peer
	for _, id := range ids {
		if id == s.leader || id == raft.None || find(next, id) != nil {
			continue
		}
		p := find(s.peers, id)
		if p == nil {
			p = &peer{id: id, progress: raft.NewProgress(s.cfg.Pace, s.view.shape.Last())}
		}
		next = append(next, p)
	}
	s.peers = next
}

func find(peers []*peer, id raft.NodeID) *peer {
	for _, p := range peers {
		if p.id == id {
			return p
		}
	}
	return nil
}

func (s *syncer) extend(m *Extend) {
	if m.Term != s.term || s.term == 0 {
		return
	}
	for _, b := range m.Blocks {
		s.view.extend(b, s.term)
	}
	s.ready = s.view.shape.LastID().Term == s.term
}

func (s *syncer) reply(c actor.Context, m *Reply) {
	r := m.Message
	if r.Term != s.term || s.term == 0 {
		if r.Term > s.term && s.term > 0 {
			c.Send(c.Parent(), &Refusal{From: m.From, Message: r})
		}
		return
	}
	if raft.Validate(m.From, r) != nil {
		c.Send(c.Parent(), &Refusal{From: m.From, Message: r})
		return
	}
	p := find(s.peers, m.From)
	if p == nil {
		return
	}
	p.silent = false
	now := s.clock.Now()
	if !r.Success {
		if r.Doubt == 0 && r.Prev <= p.progress.Match() { // late, or from a log that has lost something: the rules find out
			c.Send(c.Parent(), &Refusal{From: m.From, Message: r})
		}
		p.progress.Refused(now, r, s.view.shape)
		return
	}
	if r.Doubt != p.doubt { // what it confirmed before is not to be mixed up with what it confirms now
		s.report(c)
		p.doubt, p.acked, p.reported = r.Doubt, 0, 0
	}
	if r.Match > s.view.shape.Last() {
		// It overtakes the Extend of what it confirms, when this syncer has just restarted, or no correct follower says so. The rules can tell.
		// Here it moves nothing: the follower is asked again, and what it is believed to have is never more than it may have.
		c.Send(c.Parent(), &Refusal{From: m.From, Message: r})
		return
	}
	p.acked = max(p.acked, r.Match)
	p.progress.Acked(now, r.Match)
}

func (s *syncer) snapshotDone(m *SnapshotDone) {
	now := s.clock.Now()
	for _, p := range s.peers {
		if !p.snapshot || m.Peer != p.id && (m.Peer != raft.None || m.Err == nil) {
			continue
		}
		p.snapshot = false
		if m.Err != nil {
			s.log.Warn("follower did not get the snapshot", "peer", uint64(p.id), "err", m.Err)
			p.progress.SnapshotFailed(now)
			continue
		}
		p.progress.SnapshotDone(now, m.Index)
	}
}

// settle sends what may be sent, reports what was confirmed, lets go of blocks nobody waits for, and sets the timer.
func (s *syncer) settle(c actor.Context) {
	unsettled := s.unsettled
	s.unsettled = 0
	if s.term == 0 || unsettled == 0 || s.over {
		return
	}
	now := s.clock.Now()
	for _, p := range s.peers {
		p.stock.resume(now)
		if p.progress.Expire(now) {
			p.silent = true
		}
		if s.ready && !s.halted {
			s.feed(c, p, now)
		}
	}
	s.report(c)
	s.tell(c, now)
	s.view.release(s.wanted())
	s.view.shrink(s.cfg.CacheBytes)
	at, wanted := s.earliest()
	s.timer.set(c, s.clock, now, at, wanted)
}

// report tells the parent how far each follower has confirmed since last time.
func (s *syncer) report(c actor.Context) {
	var acks []raft.Matched
	for _, p := range s.peers {
		if p.acked > p.reported {
			p.reported = p.acked
			if acks == nil {
				acks = make([]raft.Matched, 0, len(s.peers))
			}
			acks = append(acks, raft.Matched{From: p.id, Term: s.term, Index: p.acked, Doubt: p.doubt})
		}
	}
	if acks != nil {
		c.Send(c.Parent(), &Matched{Term: s.term, Acks: acks})
	}
}

// wanted is the index through which no follower that answers needs blocks from memory. A silent one
// reads from disk when it comes back, so that it costs no memory meanwhile.
func (s *syncer) wanted() raft.Index {
	through := s.view.shape.Last()
	for _, p := range s.peers {
		if !p.silent && p.progress.Mode() != raft.Snapshot {
			through = min(through, p.progress.Match())
		}
	}
	return through
}

// earliest is when the first follower's patience, or pause in reading, ends, or the parent may be told more. False when none is due.
func (s *syncer) earliest() (at time.Duration, any bool) {
	if s.news {
		at, any = s.told.at+s.cfg.TellEvery, true
	}
	for _, p := range s.peers {
		if due, ok := p.progress.Deadline(); ok && (!any || due < at) {
			at, any = due, true
		}
		if due, ok := p.stock.pause(); ok && (!any || due < at) {
			at, any = due, true
		}
	}
	return at, any
}
