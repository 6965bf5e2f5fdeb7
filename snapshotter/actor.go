package snapshotter

import (
	"fmt"
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
	applied raft.Index

	taking    bool
	takers    []Waiter
	failures  int
	notBefore time.Duration

	sending   map[raft.NodeID]*stream
	streams   uint64 // numbers streams, so that late workers and timers are known as such
	receiving *partial
}

// written is a worker's word on a snapshot.
type written struct {
	meta raft.SnapshotMeta
	size int64
	err  error
}

func (s *snapshotter) Receive(c actor.Context) {
	switch m := c.Message().(type) {
	case *actor.Started:
		c.Send(c.Parent(), &OnDuty{})
	case *Orders:
		s.orders(m)
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
	case *Send:
		s.send(c, m)
	case *opened:
		s.opened(c, m)
	case *silence:
		s.silent(c, m)
	case *ChunkReply:
		s.chunkReply(c, m)
	case *Chunk:
		s.chunk(c, m)
	case *actor.Stopping, *actor.Restarting:
		s.leave()
	case actor.SystemMessage, actor.AutoReceiveMessage:
	default:
		s.Log.Warn("unexpected message", "type", fmt.Sprintf("%T", m))
	}
}

func (s *snapshotter) orders(m *Orders) {
	s.ready = true
	s.term = max(s.term, m.Term)
	s.kept(m.Snapshot)
}

// kept makes a snapshot the oldest one that is needed. A file that is being sent stays readable until it is closed.
func (s *snapshotter) kept(meta raft.SnapshotMeta) {
	if meta.Index > s.newest.Index {
		s.newest = meta
	}
	if s.taking {
		return // a worker is writing in the folder: the next Kept tidies
	}
	if err := tidy(s.FS, s.Dir, meta.Index); err != nil {
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
	if !s.taking {
		return // asked for before a restart
	}
	if m.Err != nil || m.Meta.Index <= s.newest.Index {
		s.written(c, &written{meta: m.Meta, err: m.Err})
		return
	}
	root, self := c.ActorSystem().Root, c.Self()
	s.Stage.Dispatcher().Schedule(func() {
		size, err := write(s.FS, s.Dir, s.Group, m.Meta, m.Write)
		root.Send(self, &written{meta: m.Meta, size: size, err: err})
	})
}

func (s *snapshotter) written(c actor.Context, m *written) {
	s.taking = false
	takers := s.takers
	s.takers = nil
	if m.err != nil {
		s.failures++
		s.notBefore = s.Stage.Clock().Now() + pauseAfter(s.failures)
		c.Send(c.Parent(), &Taken{Meta: m.meta, Err: m.err})
	} else {
		s.failures = 0
		if m.meta.Index > s.newest.Index {
			s.newest = m.meta
			c.Send(c.Parent(), &Taken{Meta: m.meta, Size: m.size})
		}
	}
	for _, w := range takers {
		w.Resolve(s.newest.Index, nil, m.err)
	}
	s.consider(c)
}

func (s *snapshotter) leave() {
	for _, w := range s.takers {
		w.Resolve(0, nil, errStopped)
	}
	s.takers = nil
	for _, t := range s.sending {
		t.close()
	}
	s.sending = map[raft.NodeID]*stream{}
	if s.receiving != nil {
		s.receiving.close()
		s.receiving = nil
	}
}

// post sends to a peer over the bulk lane, as lossy as any network.
func (s *snapshotter) post(c actor.Context, to raft.NodeID, message any) {
	if pid := s.Sender(to); pid != nil {
		c.Send(pid, &remote.Post{Lane: remote.Bulk, Envelope: remote.Envelope{Group: s.Group, Message: message}})
	}
}
