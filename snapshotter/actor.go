package snapshotter

import (
	"fmt"
	"sync/atomic"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/troupe-raft/troupe/raft"
	"github.com/troupe-raft/troupe/remote"
	"github.com/troupe-raft/troupe/stage"
)

// Props makes the snapshotter's Props.
func Props(cfg Config) *actor.Props {
	cfg = cfg.withDefaults()
	return stage.Props(cfg.Stage, func() actor.Actor {
		return &snapshotter{Config: cfg, sending: map[raft.NodeID]*stream{}}
	}, stage.WithLogger(cfg.Log))
}

type snapshotter struct {
	Config

	ready   bool // orders have come
	term    raft.Term
	newest  raft.SnapshotMeta // complete under its name; what Send streams
	foul    bool              // newest cannot be read: nothing is sent until another one is taken
	want    raft.Index        // nor can the replica begin from it, and waits for one from here on; 0: it does not
	oldest  raft.Index        // older files may go
	applied raft.Index

	taking    bool // from WantCapture to Taken
	writing   bool // a worker is at it
	takers    []Waiter
	failures  int
	notBefore time.Duration

	stop atomic.Bool // ends what workers are at
	down bool        // stopping: nothing is begun any more

	sending   map[raft.NodeID]*stream
	streams   uint64 // numbers streams, so that late workers and timers are known as such
	receiving *partial
	arrived   raft.SnapshotMeta // received, and not known to be installed
}

// written is a worker's word on a snapshot.
type written struct {
	meta raft.SnapshotMeta
	size int64
	err  error
}

func (s *snapshotter) Receive(c actor.Context) {
	if s.down {
		s.afterwards(c)
		return
	}
	switch m := c.Message().(type) {
	case *actor.Started:
		c.Send(c.Parent(), &OnDuty{})
	case *Orders:
		s.orders(c, m)
	case *Applied:
		s.applied = max(s.applied, m.Index)
		s.consider(c)
	case *Take:
		s.take(c, m)
	case *Captured:
		s.captured(c, m)
	case *written:
		s.written(c, m)
	case *Kept:
		s.kept(m.Meta)
	case *Want:
		s.want, s.foul, s.arrived = m.Index, true, raft.SnapshotMeta{}
	case *Send:
		s.send(c, m)
	case *Abort:
		s.abort(c, m.Term)
	case *opened:
		s.opened(c, m)
	case *silence:
		s.silent(c, m)
	case *ChunkReply:
		s.chunkReply(c, m)
	case *Chunk:
		s.chunk(c, m)
	case *verified:
		s.verified(c, m)
	case *actor.Stopping, *actor.Restarting:
		s.leave()
	case actor.SystemMessage, actor.AutoReceiveMessage: // workers that ended, and the rest of the lifecycle
	default:
		s.Log.Warn("unexpected message", "type", fmt.Sprintf("%T", m))
	}
}

// afterwards handles what still comes while the workers end.
func (s *snapshotter) afterwards(c actor.Context) {
	if d, ok := c.Message().(stage.Dropped); ok {
		d.Dropped()
	}
}

func (s *snapshotter) orders(c actor.Context, m *Orders) {
	s.ready = true
	s.learn(c, m.Term)
	s.kept(m.Snapshot)
}

// learn takes a newer term over: transfers of older ones have no leader any more.
func (s *snapshotter) learn(c actor.Context, term raft.Term) {
	if term > s.term {
		s.term = term
		s.abort(c, term-1)
	}
}

// kept makes a snapshot the oldest one that is needed, but for those that are being sent.
func (s *snapshotter) kept(meta raft.SnapshotMeta) {
	if meta.Index > s.newest.Index {
		s.newest, s.foul = meta, false
	}
	if meta.Index >= s.arrived.Index {
		s.arrived = raft.SnapshotMeta{}
	}
	s.oldest = max(s.oldest, meta.Index)
	if p := s.receiving; p != nil && !p.verifying && p.meta.Index <= s.oldest && !s.wants(p.meta.Index) {
		s.discard()
	}
	s.tidy()
}

// tidy removes files that nobody needs. While a worker writes, its file looks like a leftover: then the worker's end tidies. So does what arrives in
// the place of a snapshot that cannot be read.
func (s *snapshotter) tidy() {
	if !s.ready || s.writing || s.want > 0 || s.receiving != nil && s.receiving.verifying {
		return
	}
	var used []raft.Index
	for _, t := range s.sending {
		used = append(used, t.meta.Index)
	}
	if err := tidy(s.FS, s.Dir, s.oldest, used...); err != nil {
		s.Log.Warn("old snapshots remain", "dir", s.Dir, "err", err)
	}
}

// consider takes a snapshot when one is due.
func (s *snapshotter) consider(c actor.Context) {
	if s.ready && due(s.applied, s.newest.Index, s.Every) && s.Stage.Clock().Now() >= s.notBefore {
		s.begin(c)
	}
}

func (s *snapshotter) take(c actor.Context, m *Take) {
	s.takers = append(s.takers, m.Waiter)
	s.begin(c)
}

func (s *snapshotter) begin(c actor.Context) {
	if !s.taking {
		s.taking = true
		c.Send(c.Parent(), &WantCapture{})
	}
}

// captured has a worker write the state, so that chunks are served meanwhile.
func (s *snapshotter) captured(c actor.Context, m *Captured) {
	if !s.taking || s.writing {
		return // asked for before a restart
	}
	if m.Err != nil || !s.better(m.Meta) {
		s.written(c, &written{meta: m.Meta, err: m.Err})
		return
	}
	s.writing = true
	s.work(c, func() any {
		size, err := write(s.FS, s.Dir, s.Group, m.Meta, m.Write, &s.stop, s.sizes())
		return &written{meta: m.Meta, size: size, err: err}
	}, func(err error) any { return &written{meta: m.Meta, err: err} })
}

func (s *snapshotter) written(c actor.Context, m *written) {
	s.taking, s.writing = false, false
	if m.err != nil {
		s.failures++
		s.notBefore = s.Stage.Clock().Now() + s.pauseAfter(s.failures)
		c.Send(c.Parent(), &Taken{Meta: m.meta, Err: m.err})
	} else {
		s.failures = 0
		if s.better(m.meta) {
			s.newest, s.foul = m.meta, false
			c.Send(c.Parent(), &Taken{Meta: m.meta, Size: m.size})
		}
	}
	for len(s.takers) > 0 { // one by one: should this handler panic, the rest are still known, and answered
		w := s.takers[0]
		s.takers = s.takers[1:]
		if m.err != nil {
			w.Resolve(0, nil, m.err)
		} else {
			w.Resolve(s.newest.Index, nil, nil)
		}
	}
	s.tidy()
	s.consider(c)
}

// leave answers who waits and ends what runs. Workers end by themselves, and close what is theirs.
func (s *snapshotter) leave() {
	s.down = true
	s.stop.Store(true)
	for _, w := range s.takers {
		w.Resolve(0, nil, ErrStopped)
	}
	s.takers = nil
	for _, t := range s.sending {
		t.close()
	}
	s.sending = map[raft.NodeID]*stream{}
	s.putAside()
}

// post sends to a peer, as lossy as any network.
func (s *snapshotter) post(c actor.Context, to raft.NodeID, message any) {
	if pid := s.Sender(to); pid != nil {
		c.Send(pid, &remote.Post{Envelope: remote.Envelope{Group: s.Group, Message: message}})
	}
}
