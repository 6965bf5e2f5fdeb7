package sim

import (
	"errors"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/troupe-raft/troupe/actors"
	"github.com/troupe-raft/troupe/applier"
	"github.com/troupe-raft/troupe/entry"
	"github.com/troupe-raft/troupe/raft"
	"github.com/troupe-raft/troupe/remote"
)

// Snapshots that cannot be read, or are overtaken, in every order of what is said of them.

// A lostSnapshot is one that the disk does not give any more, and the log after it.
type lostSnapshot struct {
	at    raft.Index // of the snapshot, of term 2; two more entries follow
	state []byte
}

func (b *bench) loseSnapshot() *lostSnapshot {
	at, state := b.tableOf(6, 5)
	return &lostSnapshot{at, state}
}

// meta is what a snapshot of so many entries later says of itself.
func (w *lostSnapshot) meta(later raft.Index, term raft.Term) raft.SnapshotMeta {
	return raft.SnapshotMeta{Index: w.at + later, Term: term, Membership: raft.Membership{Voters: []raft.NodeID{1, 2, 3}}}
}

func (w *lostSnapshot) disk() *image {
	return &image{
		alive: true, hard: raft.HardState{Term: 2}, snapshot: w.meta(0, 2), prev: raft.EntryID{Index: w.at, Term: 2},
		blocks: []*entry.Block{commands(2, w.at+1, 20, 30)},
	}
}

// lost says what a replica makes of having no state, nil if it has one.
func (h *hosted) lost() error {
	if no := (*actors.StateLostError)(nil); errors.As(h.group.Status().Trouble, &no) {
		return no
	}
	return nil
}

// lostStates: a replica without a state says so, leads nobody, answers everybody, and goes on from the first snapshot of a leader's that its log goes on from.
func (b *bench) lostStates() {
	w := b.loseSnapshot()
	meta, newer, other := w.meta(0, 2), w.meta(1, 2), w.meta(1, 2)
	other.Membership = raft.Membership{Voters: []raft.NodeID{1, 2, 3}, Learners: []raft.NodeID{4}}
	file, newerFile, otherFile := b.written(meta, w.state), b.written(newer, w.state), b.written(other, w.state)
	damaged := file[:len(file)-3]

	h, release := b.putHeld(w.disk(), filed(meta, damaged), "applier.applier")
	for range 60 {
		if h.pass(20 * time.Millisecond); h.group.Status().Role == raft.Leader {
			break
		}
		h.answers(2)
	}
	term := h.group.Status().Term
	waits := h.asks(&actors.Propose{Data: []byte("x")})
	h.sent = map[raft.NodeID][]any{}
	h.hears(3, &raft.HeartbeatReply{Term: term, Wants: w.at + 99}, &raft.HeartbeatReply{Term: term - 1, Wants: 1})
	b.demand(h.group.Status().Role == raft.Leader && len(waits.said) == 0, "it does not lead before it knows of its snapshot: %v", waits.said)
	release()
	b.pass(0)
	b.demand(len(took[*remote.SnapshotChunk](h, 3)) == 0, "it sends a snapshot that it does not have")
	b.demand(errors.Is(waits.err(), actors.ErrIndeterminate), "whose entry waited in a leader that has no state is told %v", waits.err())
	b.demand(h.lost() != nil && h.group.Status().Role != raft.Leader && len(told[actors.SnapshotUnusable](h)) == 1, "a replica without a state is a %v: %v", h.group.Status().Role, h.lost())
	h.hears(2, &raft.Heartbeat{Term: term + 1, Leader: 2, Commit: raft.EntryID{Index: w.at + 2, Term: 2}})
	replies := took[*raft.HeartbeatReply](h, 2)
	b.demand(len(replies) > 0 && replies[len(replies)-1].Wants == w.at, "it asks for nothing: %+v", replies)
	h.installs(otherFile, term+1, other)
	b.demand(h.lost() != nil && h.group.Status().Applied == 0, "it begins from a snapshot of another membership than its log's")
	h.installs(file, term+1, meta)
	b.demand(h.lost() == nil && h.group.Status().Applied == w.at+2, "with another snapshot it has applied %d of %d: %v", h.group.Status().Applied, w.at+2, h.lost())

	h = b.putHost(w.disk(), filed(meta, damaged), nil, nil)
	b.demand(h.lost() != nil, "a snapshot that cannot be read is begun from")
	h.hears(2, &raft.Heartbeat{Term: 3, Leader: 2, Commit: raft.EntryID{Index: w.at + 2, Term: 2}})
	release = h.holds("applier.applier")
	h.installs(newerFile, 3, newer) // which is what a restart begins from by now
	h.installs(file, 3, meta)       // too late, as it has begun to begin
	b.demand(h.image.snapshot.Index == newer.Index, "a restart begins from %d, whose file is damaged", h.image.snapshot.Index)
	release()
	b.pass(0)
	b.demand(h.lost() == nil && h.group.Status().Applied == w.at+2, "with a newer snapshot it has applied %d of %d: %v", h.group.Status().Applied, w.at+2, h.lost())
}

// overtakenSnapshots: what is said of a snapshot after a newer one has come from a leader changes nothing, be it that it was taken or that it cannot be read.
func (b *bench) overtakenSnapshots() {
	w := b.loseSnapshot()
	meta, far := w.meta(0, 2), w.meta(30, 5)
	file, farFile := b.written(meta, w.state), b.written(far, w.state)

	h, applies := b.putHeld(w.disk(), filed(meta, file[:len(file)-3]), "applier.applier")
	all := chunksOf(farFile, 5, far, 300)
	for _, m := range all[:len(all)-1] {
		h.hears(2, m)
	}
	arrives := h.holds("snapshotter.snapshotter")
	h.hears(2, all[len(all)-1])
	hears := h.holds("actors.replica")
	arrives()
	b.pass(0) // that it has arrived is known before …
	applies()
	b.pass(0) // … that the older one cannot be read
	hears()
	b.pass(0)
	b.demand(h.lost() == nil && len(told[actors.SnapshotUnusable](h)) == 0 && h.group.Status().Applied == far.Index, "it has applied %d of %d: %v", h.group.Status().Applied, far.Index, h.lost())

	h = b.putHost(w.disk(), filed(meta, file), nil, nil)
	h.hears(2, &raft.Heartbeat{Term: 3, Leader: 2, Commit: raft.EntryID{Index: w.at + 2, Term: 2}})
	r := &reply{}
	h.post(&actors.TakeSnapshot{}, r)
	writes := h.holdSoon("snapshotter.worker")
	h.installs(farFile, 5, far)
	b.demand(h.image.snapshot.Index == far.Index, "a snapshot of a leader's at %d arrives while another is written: %d", far.Index, h.image.snapshot.Index)
	h.events = nil
	writes()
	b.pass(0)
	b.demand(len(r.said) == 1 && h.image.snapshot.Index == far.Index && len(told[actors.SnapshotTaken](h)) == 0, "one that is older takes its place: %d, %v", h.image.snapshot.Index, r.said)
}

// applyAlone: a state machine that takes no snapshots refuses whoever wants one, and does not begin from one.
func (b *bench) applyAlone() {
	w := b.loseSnapshot()
	meta := w.meta(0, 2)
	file := b.written(meta, w.state)
	alone := func(c *actors.GroupConfig) {
		m := &tally{}
		c.StateMachine, c.Apply, c.NoRestart = nil, m.Apply, true
	}
	h := b.putHost(&image{}, newTree(), nil, alone)
	h.leads()
	r := h.asks(&actors.Propose{Data: []byte("x")})
	h.answers(2)
	b.pass(0)
	b.demand(r.err() == nil, "a write is told %v", r.err())
	r = h.asks(&actors.TakeSnapshot{})
	b.demand(r.err() != nil && strings.Contains(r.err().Error(), "GroupConfig.Snapshot is not set"), "whoever wants a snapshot is told %v", r.err())

	h = b.putHost(w.disk(), filed(meta, file), nil, alone)
	h.hears(2, &raft.Heartbeat{Term: 3, Leader: 2, Commit: raft.EntryID{Index: w.at + 2, Term: 2}})
	s := h.group.Status()
	b.demand(s.Applied == 0 && (s.Err != nil || s.Trouble != nil), "it begins from a snapshot: %+v", s)
}

// replacedOnDisk: of a block that the disk still holds, though a newer leader has replaced its end, no more is applied than comes before that. It has
// draws of its own, so that those of the others stay what they are.
func (b *bench) replacedOnDisk() {
	defer func(r *rand.Rand) { b.rand = r }(b.rand)
	b.rand = rand.New(rand.NewPCG(b.sim.cfg.Seed, 0xc07))
	for at := raft.Index(1); at < 6; at++ { // where the newer entries begin
		b.putApplier(&tally{}, &shelf{blocks: []*entry.Block{run(1, 5, 1)}})
		b.tell(&applier.Begin{})
		b.heard("applier.Begun")
		b.tell(&applier.Committed{Through: raft.EntryID{Index: at, Term: 2}, Blocks: []*entry.Block{run(at, at, 2)}})
		b.heard("applier.Applied")
	}
}
