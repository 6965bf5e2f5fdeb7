package sim

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/asynkron/protoactor-go/eventstream"

	"github.com/troupe-raft/troupe/actors"
	"github.com/troupe-raft/troupe/applier"
	"github.com/troupe-raft/troupe/entry"
	"github.com/troupe-raft/troupe/persister"
	"github.com/troupe-raft/troupe/raft"
	"github.com/troupe-raft/troupe/remote"
	"github.com/troupe-raft/troupe/snapshotter"
	"github.com/troupe-raft/troupe/stage"
)

// A hosted replica is node 1 of group 1, whose peers are played: they say what their play has them say, in the order that it needs. In the cluster such
// orders take several faults at once, each at its moment.
type hosted struct {
	*bench
	node   *stage.Node
	host   *actors.Host
	group  *actors.Group
	image  *image
	files  *tree
	folder *benchFolder // nil: it keeps none
	unread error        // of its log

	deliver remote.Deliver
	guard   remote.Guard
	sent    map[raft.NodeID][]any
	pids    map[raft.NodeID]*actor.PID
	hungUp  map[raft.NodeID]error
	nowhere raft.NodeID // whose address nobody knows
	located map[raft.NodeID]string
	own     string // where it says that it listens
	again   int    // how often it called everybody anew

	events  []any
	listens *eventstream.Subscription
	machine *tally
	panics  func(stage.Delivery) any
	watch   func(*raft.Node)
}

// putHost starts one on what is on its disk, as a founder of 1, 2 and 3 if nothing is, and lets all happen that it does at once.
func (b *bench) putHost(image *image, files *tree, folder *benchFolder, change func(*actors.GroupConfig)) *hosted {
	h := b.startHost(image, files, folder, change)
	b.pass(0)
	return h
}

// putHeld is putHost with an actor that is held as soon as it is there.
func (b *bench) putHeld(image *image, files *tree, name string) (h *hosted, release func()) {
	h = b.startHost(image, files, nil, nil)
	release = h.holdSoon(name)
	b.pass(0)
	return h, release
}

func (b *bench) startHost(image *image, files *tree, folder *benchFolder, change func(*actors.GroupConfig)) *hosted {
	b.end()
	b.loud, b.said, b.orders = map[string]bool{}, nil, nil
	b.log = slog.New(&listener{b})
	b.stage = stage.NewSeeded(b.rand.Uint64())
	h := &hosted{
		bench: b, node: b.stage.Node("bench"), image: image, files: files, folder: folder, sent: map[raft.NodeID][]any{}, pids: map[raft.NodeID]*actor.PID{},
		hungUp: map[raft.NodeID]error{}, machine: &tally{},
	}
	b.replica = h
	h.listens = b.system.EventStream.Subscribe(func(e any) {
		if groupOf(e) == groupID {
			h.events = append(h.events, e)
		}
	})
	b.stage.Sabotage(func(d stage.Delivery) any {
		if h.panics == nil || d.Message == nil {
			return nil
		}
		return h.panics(d)
	})
	var store actors.Store = &benchStore{h}
	if folder != nil {
		store = struct {
			*benchStore
			*benchFolder
		}{&benchStore{h}, folder}
	}
	own := actors.HostConfig{
		Node: 1, Stage: h.node, FS: &brittle{tree: files}, Log: b.log, Store: store, Transport: &benchLine{h},
		Watch: func(_ raft.GroupID, n *raft.Node) {
			if h.watch != nil {
				h.watch(n)
			}
		},
	}
	if b.hosts != nil {
		b.hosts(&own)
	}
	host, err := actors.StartHost(b.system, own)
	if err != nil {
		panic(err) // of this play's making
	}
	h.host = host
	cfg := actors.GroupConfig{Group: groupID, Members: []raft.NodeID{1, 2, 3}, SnapshotEvery: actors.NoSnapshots, StateMachine: func() actors.StateMachine { return h.machine }}
	if change != nil {
		change(&cfg)
	}
	if h.group, err = actors.StartGroup(host, cfg); err != nil {
		panic(err)
	}
	return h
}

// leave stops all of it, between two messages.
func (h *hosted) leave() {
	h.node.Halt()
	h.system.EventStream.Unsubscribe(h.listens)
}

// hears has messages of a peer's arrive.
func (h *hosted) hears(from raft.NodeID, messages ...any) {
	for _, m := range messages {
		env := remote.Envelope{Group: groupID, Message: m}
		if beat, ok := m.(*raft.Heartbeat); ok {
			env = remote.Envelope{Message: beatOf(*beat)}
		}
		h.deliver(from, []remote.Envelope{env})
	}
	h.pass(0)
}

// took is what a peer was sent of a type since it was last asked for.
func took[M any](h *hosted, by raft.NodeID) (all []M) {
	kept := h.sent[by][:0]
	for _, m := range h.sent[by] {
		if w, ok := m.(M); ok {
			all = append(all, w)
		} else {
			kept = append(kept, m)
		}
	}
	h.sent[by] = kept
	return all
}

// told are its events of a type.
func told[E any](h *hosted) (all []*E) {
	for _, e := range h.events {
		if w, ok := e.(*E); ok {
			all = append(all, w)
		}
	}
	return all
}

// answers has a peer give its vote and acknowledge all that it was sent, as one does whose log is the leader's.
func (h *hosted) answers(peer raft.NodeID) {
	all := h.sent[peer]
	h.sent[peer] = nil
	for _, m := range all {
		switch m := m.(type) {
		case *raft.RequestVote:
			term := m.Term
			if m.PreVote {
				term--
			}
			h.hears(peer, &raft.RequestVoteReply{Term: term, Asked: m.Term, Granted: true, PreVote: m.PreVote})
		case *remote.AppendBlocks:
			match := m.Prev.Index
			if n := len(m.Blocks); n > 0 {
				match = m.Blocks[n-1].Last()
			}
			h.hears(peer, &raft.AppendEntriesReply{Term: m.Term, Success: true, Match: match, Prev: m.Prev.Index})
		case *remote.Pulse:
			for _, beat := range m.Beats {
				h.hears(peer, &raft.HeartbeatReply{Term: beat.Term, Round: beat.Round, Sent: beat.Sent, Promise: electionMin})
			}
		}
	}
}

// leads has it lead, with the vote of node 2 and all of its log there, and returns the term.
func (h *hosted) leads() raft.Term {
	for range 60 {
		h.pass(20 * time.Millisecond)
		h.answers(2)
		if s := h.group.Status(); s.Role == raft.Leader && s.Commit == s.Last && s.Applied == s.Last {
			return s.Term
		}
	}
	h.demand(false, "it does not lead with the votes of a quorum: %+v", h.group.Status())
	return 0
}

// A reply is what whoever asked is told.
type reply struct{ said []any }

func (r *reply) Receive(c actor.Context) {
	switch c.Message().(type) {
	case actor.SystemMessage, actor.AutoReceiveMessage:
	default:
		r.said = append(r.said, c.Message())
	}
}

// err is the refusal, or why there is none.
func (r *reply) err() error {
	if len(r.said) != 1 {
		return fmt.Errorf("told %d times", len(r.said))
	}
	if no, ok := r.said[0].(*actors.Refused); ok {
		return no.Err
	}
	return nil
}

// asks has an actor ask the group.
func (h *hosted) asks(m any) *reply {
	r := &reply{}
	h.post(m, r)
	h.pass(0)
	return r
}

// asksOnce is asks of several, before any of them is heard: proposals become one block.
func (h *hosted) asksOnce(messages ...any) (all []*reply) {
	for _, m := range messages {
		r := &reply{}
		h.post(m, r)
		all = append(all, r)
	}
	h.pass(0)
	return all
}

func (h *hosted) post(m any, r *reply) {
	pid := h.system.Root.Spawn(stage.Props(h.node, func() actor.Actor { return r }, stage.WithLogger(h.log)))
	h.system.Root.RequestWithCustomSender(h.group.PID(), m, pid)
}

// session opens one.
func (h *hosted) session() uint64 {
	r := h.asks(&actors.OpenSession{})
	h.answers(2)
	h.pass(0)
	if opened, ok := append(r.said, nil)[0].(*actors.SessionOpened); ok {
		return opened.Session
	}
	h.demand(false, "no session is opened: %v", r.said)
	return 0
}

// holds keeps an actor from taking turns, by its type, until the returned function is called.
func (h *hosted) holds(name string) func() {
	n, release := h.node.Hold(func(a actor.Actor) bool { return nameOf(a) == name })
	h.demand(n > 0, "there is no %s to be held", name)
	return release
}

// holdSoon is holds of an actor that is about to be there.
func (h *hosted) holdSoon(name string) func() {
	for range 1000 {
		if n, release := h.node.Hold(func(a actor.Actor) bool { return nameOf(a) == name }); n > 0 {
			return release
		}
		h.stage.Step()
	}
	return h.holds(name)
}

// installs has node 2 send a snapshot as the leader of its term, or of a later one.
func (h *hosted) installs(file []byte, term raft.Term, meta raft.SnapshotMeta) {
	for _, m := range chunksOf(file, max(term, meta.Term), meta, 300) {
		h.hears(2, m)
	}
}

// written is the file of a snapshot.
func (b *bench) written(meta raft.SnapshotMeta, state []byte) (file []byte) {
	fs := &brittle{tree: newTree()}
	b.putSnapshotter(fs, 0, 0)
	b.tell(&snapshotter.Take{Waiter: &promise{}})
	b.heard("snapshotter.WantCapture")
	b.tell(&snapshotter.Captured{Meta: meta, Write: func(w io.Writer) error { _, err := w.Write(state); return err }})
	b.heard("snapshotter.Taken")
	fs.each(func(_ string, n *inode) { file = n.data })
	return file
}

// filed is a file system with a snapshot.
func filed(meta raft.SnapshotMeta, file []byte) *tree {
	fs := &brittle{tree: newTree()}
	fs.leave(fmt.Sprintf("%s/snap-%020d-%020d.troupe", benchDir, meta.Index, meta.Term), string(file))
	return fs.tree
}

// rising demands that no entry of its log has a lower stamp than one before it.
func (h *hosted) rising() {
	var last int64
	for _, b := range h.image.blocks {
		for e := range b.All() {
			h.demand(e.Stamp == 0 || e.Stamp >= last, "entry %d is stamped %d after %d", e.Index, e.Stamp, last)
			last = max(last, e.Stamp)
		}
	}
}

// A benchStore is its disk. It implements actors.Store.
type benchStore struct{ *hosted }

func (s *benchStore) Load(g raft.GroupID, done func(raft.State, bool, error)) {
	st, err := s.image.state(g, nil)
	done(st, !s.image.alive, err)
}

func (s *benchStore) Commit(ops []persister.Op, done func(error)) {
	for i := range ops {
		if ops[i].Err = s.image.check(&ops[i]); ops[i].Err == nil {
			s.image.apply(&ops[i])
		}
	}
	done(nil)
}

func (s *benchStore) Blocks(g raft.GroupID, from, to raft.Index, most int) ([]*entry.Block, error) {
	if s.unread != nil {
		return nil, s.unread
	}
	return s.image.read(g, from, to, most, nil)
}

func (s *benchStore) Forget(raft.GroupID)             {}
func (s *benchStore) OnFailure(func(error))           {}
func (s *benchStore) SnapshotDir(raft.GroupID) string { return benchDir }
func (s *benchStore) Failed() error                   { return nil }
func (s *benchStore) Close() error                    { return nil }

// A benchLine is its end of the network. It implements remote.Transport.
type benchLine struct{ *hosted }

func (l *benchLine) Start(d remote.Deliver) error          { l.deliver = d; return nil }
func (l *benchLine) SetGuard(g remote.Guard)               { l.guard = g }
func (l *benchLine) GreetAgain()                           { l.again++ }
func (l *benchLine) Greet(raft.NodeID)                     {}
func (l *benchLine) Addr() string                          { return "bench" }
func (l *benchLine) SetPeer(raft.NodeID, string)           {}
func (l *benchLine) SetChaos(remote.Chaos)                 {}
func (l *benchLine) HangUp(from raft.NodeID, reason error) { l.hungUp[from] = reason }
func (l *benchLine) Stats() remote.Stats                   { return remote.Stats{} }
func (l *benchLine) Stop(context.Context) error            { return nil }
func (l *benchLine) Sender(to raft.NodeID) *actor.PID {
	if to == 1 || to == l.nowhere {
		return nil
	}
	if l.pids[to] == nil {
		h := l.hosted
		l.pids[to] = l.system.Root.Spawn(stage.Props(l.node, func() actor.Actor {
			return actor.ReceiveFunc(func(c actor.Context) {
				if m, ok := c.Message().(*remote.Post); ok {
					h.sent[to] = append(h.sent[to], m.Envelope.Message)
				}
			})
		}, stage.WithLogger(l.log)))
	}
	return l.pids[to]
}

// commands is a block of one or more, each in the term.
func commands(term raft.Term, first raft.Index, stamps ...int64) *entry.Block {
	var build entry.Builder
	for _, stamp := range stamps {
		build.Append(raft.OpenSession, 0, 0, stamp, applier.EncodeOpen(applier.SessionLimits{TTL: time.Hour, Answers: 1}))
	}
	return build.Seal(term, first)
}

// appended is an AppendEntries of node 2's with one block.
func appended(term raft.Term, prev raft.EntryID, commit raft.Index, b *entry.Block) *remote.AppendBlocks {
	return &remote.AppendBlocks{
		AppendEntries: raft.AppendEntries{
			Term: term, Leader: 2, Prev: prev, Commit: commit, Runs: []raft.Run{{First: b.First(), Last: b.Last(), Term: b.Term()}},
		},
		Blocks: []*entry.Block{b},
	}
}
