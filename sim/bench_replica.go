package sim

import (
	"errors"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/troupe-raft/troupe/actors"
	"github.com/troupe-raft/troupe/applier"
	"github.com/troupe-raft/troupe/entry"
	"github.com/troupe-raft/troupe/persister"
	"github.com/troupe-raft/troupe/raft"
	"github.com/troupe-raft/troupe/remote"
	"github.com/troupe-raft/troupe/stage"
)

// gathers: what gathers in a leader while the rules append an entry of their own follows that, and its stamp is no lower.
func (b *bench) gathers() {
	h := b.putHost(&image{}, newTree(), nil, func(c *actors.GroupConfig) { c.Tuning.GatherTime = time.Minute })
	h.leads()
	session := h.session()
	first := h.asks(&actors.Propose{Data: []byte("x"), Session: session, Seq: 1})
	joint := h.asks(&actors.ChangeMembers{Change: actors.Change{Voters: []raft.Member{{ID: 1}, {ID: 2}, {ID: 4}}, Force: true}})
	h.pass(7 * time.Millisecond)
	second := h.asks(&actors.Propose{Data: []byte("y"), Session: session, Seq: 2})
	h.pass(9 * time.Millisecond)
	b.demand(len(first.said)+len(joint.said)+len(second.said) == 0, "nobody has acknowledged anything, and it answers %v, %v, %v", first.said, joint.said, second.said)
	all := took[*remote.AppendBlocks](h, 2) // of which the last is acknowledged: with the joint membership all before it is committed, and the rules end that at once
	newest := all[len(all)-1]
	h.hears(2, &raft.AppendEntriesReply{Term: newest.Term, Success: true, Match: newest.Blocks[len(newest.Blocks)-1].Last(), Prev: newest.Prev.Index})
	for range 4 {
		h.answers(2)
		h.answers(4)
		h.pass(60 * time.Millisecond)
	}
	for _, r := range []*reply{first, joint, second} {
		b.demand(r.err() == nil, "what a quorum acknowledged is answered %v", r.err())
	}
	h.rising()
}

// deposed: of what waits in a leader that loses its office each has one answer, which says no more than is so, whatever takes the place of its log.
func (b *bench) deposed() {
	h := b.putHost(&image{}, newTree(), nil, func(c *actors.GroupConfig) { c.MaxInflightEntries, c.BusyWait = 2, time.Minute })
	term := h.leads()
	last := h.group.Status().Last
	h.sent = map[raft.NodeID][]any{}
	two := h.asksOnce(&actors.Propose{Data: []byte("x")}, &actors.Propose{Data: []byte("y")})
	kept, gone := two[0], two[1]
	room := h.asks(&actors.Propose{Data: []byte("z")})
	b.demand(h.group.Status().Last == last+2 && len(room.said) == 0, "of three proposals two have room: its log ends at %d after %d", h.group.Status().Last, last)
	h.hears(2, &raft.Recall{Term: term - 1, Leader: 2}, appended(term+1, raft.EntryID{Index: last + 1, Term: term}, last+2, commands(term+1, last+2, 0)))
	elsewhere := (*actors.NotLeaderError)(nil)
	b.demand(errors.As(room.err(), &elsewhere), "who waited for room in a leader is told %v when it is none any more", room.err())
	b.demand(kept.err() == nil, "whose entry the next leader has and committed is told %v", kept.err())
	b.demand(errors.Is(gone.err(), actors.ErrIndeterminate), "whose entry another took the place of is told %v", gone.err())

	at, state := b.tableOf(3, 5)
	meta := raft.SnapshotMeta{Index: at + 20, Term: 9, Membership: raft.Membership{Voters: []raft.NodeID{1, 2, 3}, Members: []raft.Member{{ID: 1}, {ID: 2}, {ID: 3}}}}
	file := b.written(meta, state)
	h = b.putHost(&image{}, newTree(), nil, func(c *actors.GroupConfig) { c.Tuning.ApplyQueue = 1 })
	h.leads()
	applies := h.holds("applier.applier")
	applied := h.asks(&actors.Propose{Data: []byte("x")})
	h.answers(2)
	committed := h.asks(&actors.Propose{Data: []byte("y")}) // what the state machine has not been given
	h.answers(2)
	waits := h.asks(&actors.Propose{Data: []byte("z")})
	b.demand(h.group.Status().Commit+1 == h.group.Status().Last && len(applied.said)+len(committed.said)+len(waits.said) == 0, "what is not applied is answered: %v, %v", committed.said, waits.said)
	h.installs(file, 0, meta)
	applies()
	b.pass(0)
	b.demand(len(applied.said) == 1, "whose entry the state machine was given is told %d times", len(applied.said))
	b.demand(errors.Is(committed.err(), actors.ErrIndeterminate), "whose entry a snapshot holds is told %v", committed.err())
	b.demand(errors.Is(waits.err(), actors.ErrIndeterminate), "whose entry a snapshot may hold is told %v", waits.err())
	b.demand(h.group.Status().Applied == meta.Index, "a snapshot at %d has it stand at %d", meta.Index, h.group.Status().Applied)

	h = b.putHost(&image{}, newTree(), nil, func(c *actors.GroupConfig) { c.ApplyStall = 100 * time.Millisecond })
	h.leads()
	restored := h.holds("applier.applier")
	h.installs(file, 0, meta)
	h.pass(time.Second)
	b.demand(!h.group.Status().StalledSince.IsZero(), "a state machine that is not restored for long is not told of: %+v", h.group.Status())
	restored()
	b.pass(0)
	b.demand(h.group.Status().StalledSince.IsZero() && h.group.Status().Applied == meta.Index, "one that has been restored is still told of: %+v", h.group.Status())
}

// handedOver: a transfer ends once, whoever leads afterwards, and says who. To one that is silent none begins.
func (b *bench) handedOver() {
	h := b.putHost(&image{}, newTree(), nil, nil)
	term := h.leads()
	r := h.asks(&actors.TransferLeadership{To: 2})
	b.demand(len(took[*raft.TimeoutNow](h, 2)) == 1 && len(r.said) == 0, "a transfer to who has all of the log does not begin: %v", r.said)
	h.hears(3, &raft.Heartbeat{Term: term + 1, Leader: 3})
	b.demand(errors.Is(r.err(), actors.ErrTransferFailed), "a transfer to node 2, when node 3 leads, ends with %v", r.err())

	h = b.putHost(&image{}, newTree(), nil, nil)
	term = h.leads()
	r = h.asks(&actors.TransferLeadership{To: 2})
	h.hears(3, &raft.HeartbeatReply{Term: term + 1}) // whoever leads that term: nothing is said before that is known
	b.demand(len(r.said) == 0, "a transfer ends with its leader's term, by %v", r.said)
	h.leads()
	b.demand(errors.Is(r.err(), actors.ErrTransferFailed), "a transfer to node 2, when node 1 leads again, ends with %v", r.err())

	for range 20 { // in which node 2 answers, and node 3 does not
		h.pass(20 * time.Millisecond)
		h.answers(2)
	}
	silent := (*raft.SilentTargetError)(nil)
	r = h.asks(&actors.TransferLeadership{To: 3})
	b.demand(errors.As(r.err(), &silent) && silent.To == 3 && silent.Error() != "", "a transfer to who is silent is answered %v", r.err())
}

// twoPanics: a replica whose state machine and whose own code panic at once crashes once, and goes on. Who waited for a read that its state machine never
// heard of is told.
func (b *bench) twoPanics() {
	h := b.putHost(&image{}, newTree(), nil, func(c *actors.GroupConfig) { c.Tuning.Crashes.Window = time.Second })
	h.leads()
	own := false
	h.watch = func(*raft.Node) {
		if own {
			own = false
			panic(errSabotage)
		}
	}
	h.panics = func(d stage.Delivery) any {
		if _, ok := d.Message.(*applier.Committed); !ok {
			return nil
		}
		h.panics = nil
		own = true
		for range 3 { // in the replica's mailbox before it hears of the panic
			h.deliver(2, []remote.Envelope{{Group: groupID, Message: &raft.HeartbeatReply{Term: 1}}})
		}
		return errSabotage
	}
	r := h.asks(&actors.Propose{Data: []byte("x")})
	h.answers(2)
	h.loud["actor panicked"] = false
	b.demand(len(told[actors.ReplicaRestarted](h)) == 1 && !own, "it says %d times that it restarts", len(told[actors.ReplicaRestarted](h)))
	b.demand(errors.Is(r.err(), actors.ErrIndeterminate), "whose entry was being applied is told %v", r.err())
	h.pass(2 * time.Second) // the first crash does not count any more
	h.leads()

	h.panics = func(d stage.Delivery) any {
		if _, ok := d.Message.(*applier.Barrier); !ok {
			return nil
		}
		h.panics = nil
		return errSabotage
	}
	r = h.asks(&actors.Read{})
	for range 5 {
		h.answers(2)
		h.pass(10 * time.Millisecond)
	}
	h.loud["actor panicked"] = false
	b.demand(h.panics == nil && errors.Is(r.err(), actors.ErrStopped), "whose read a panic took is told %v", r.err())
	h.leads()
}

// A panickingProcess panics when it is sent its first message. It implements actor.Process.
type panickingProcess struct{ panicked bool }

func (p *panickingProcess) SendUserMessage(*actor.PID, any) {
	if !p.panicked {
		p.panicked = true
		panic(errSabotage)
	}
}

func (p *panickingProcess) SendSystemMessage(*actor.PID, any) {}
func (p *panickingProcess) Stop(*actor.PID)                   {}

// panickingAsker: a crash amid which something panics is carried out again: the replica crashes once, all others are answered, and it goes on.
func (b *bench) panickingAsker() {
	h := b.putHost(&image{}, newTree(), nil, nil)
	h.leads()
	asker := &panickingProcess{}
	pid, free := h.system.ProcessRegistry.Add(asker, h.system.ProcessRegistry.NextId())
	b.demand(free, "the name of a process is taken")
	h.panics = func(d stage.Delivery) any {
		if _, ok := d.Message.(*applier.Committed); !ok {
			return nil
		}
		h.panics = nil
		return errSabotage
	}
	first := &reply{}
	h.system.Root.RequestWithCustomSender(h.group.PID(), &actors.Propose{Data: []byte("x")}, pid)
	h.post(&actors.Propose{Data: []byte("y")}, first)
	h.pass(0)
	h.answers(2)
	h.pass(0)
	h.loud["actor panicked"] = false
	h.system.ProcessRegistry.Remove(pid)
	b.demand(asker.panicked && len(told[actors.ReplicaRestarted](h)) == 1, "it says %d times that it restarts", len(told[actors.ReplicaRestarted](h)))
	b.demand(errors.Is(first.err(), actors.ErrIndeterminate), "who waited with the one that panicked is told %v", first.err())
	h.leads()
}

// noHeartbeat: a host whose heartbeat panics whatever it is told cannot go on, and says so.
func (b *bench) noHeartbeat() {
	h := b.putHost(&image{}, newTree(), nil, nil)
	h.leads()
	h.panics = func(d stage.Delivery) any {
		if d.To != nil && nameOf(d.To) == "heartbeat.pulser" {
			return errSabotage
		}
		return nil
	}
	for range 200 {
		h.pass(100 * time.Millisecond)
		h.answers(2)
	}
	h.panics = nil
	h.loud["actor panicked"] = false
	failed := told[actors.ReplicaFailed](h)
	b.demand(len(failed) == 1 && h.group.Status().Phase == actors.Failed && errors.Is(h.asks(&actors.Propose{}).err(), actors.ErrStopped), "without a heartbeat it is %+v", h.group.Status())
}

// damagedLog: a leader that finds damage in its own log as it feeds a follower fails, and says so; so does a replica whose disk holds what no replica wrote.
func (b *bench) damagedLog() {
	h := b.putHost(&image{}, newTree(), nil, func(c *actors.GroupConfig) { c.Tuning.CacheBytes = 1 })
	term := h.leads()
	h.session()
	h.unread = &persister.CorruptError{Dir: damagedDisk, Group: groupID, Index: 1, Reason: "block"}
	for range 10 { // whose log is empty
		for _, m := range took[*remote.AppendBlocks](h, 3) {
			if len(m.Blocks) == 0 {
				h.hears(3, &raft.AppendEntriesReply{Term: term, Success: true, Match: m.Prev.Index, Prev: m.Prev.Index})
			}
		}
		h.pass(100 * time.Millisecond)
		h.answers(2)
	}
	failed := told[actors.ReplicaFailed](h)
	rotten := (*persister.CorruptError)(nil)
	b.demand(len(failed) == 1 && errors.As(failed[0].Reason, &rotten) && h.group.Status().Phase == actors.Failed, "a leader that cannot read its log is %+v", h.group.Status().Err)

	three := raft.Membership{Voters: []raft.NodeID{1, 2, 3}}
	for what, m := range map[string]*image{
		"entries of a term beyond its own": {alive: true, hard: raft.HardState{Term: 1}, snapshot: raft.SnapshotMeta{Membership: three}, blocks: []*entry.Block{commands(4, 1, 0)}},
	} {
		h = b.putHost(m, newTree(), nil, nil)
		b.demand(h.group.Status().Phase == actors.Failed && len(told[actors.ReplicaFailed](h)) == 1, "a disk with %s is begun from", what)
	}
}

// noAddress: a member that is heard, and whom nobody can answer, is named once, until there is a way to it.
func (b *bench) noAddress() {
	h := b.putHost(&image{}, newTree(), nil, nil)
	h.nowhere = 3
	missing := (*actors.NoAddressError)(nil)
	for range 3 {
		h.hears(3, &raft.Heartbeat{Term: 2, Leader: 3})
		b.demand(errors.As(h.trouble(), &missing) && len(took[*raft.HeartbeatReply](h, 3)) == 0, "a leader without an address is in %v", h.trouble())
	}
	b.demand(len(told[actors.PeerTrouble](h)) == 1, "it is named %d times", len(told[actors.PeerTrouble](h)))
	h.nowhere = raft.None
	h.hears(3, &raft.Heartbeat{Term: 2, Leader: 3})
	b.demand(h.trouble() == nil && len(took[*raft.HeartbeatReply](h, 3)) == 1, "a leader to whom there is a way again is in %v", h.trouble())

	h.nowhere = 2 // a candidate, which is sent nothing by itself
	h.hears(2, &raft.RequestVote{Term: 9, Candidate: 2}, &raft.RequestVote{Term: 9, Candidate: 2})
	h.nowhere = raft.None
	h.hears(2, &raft.RequestVoteReply{Term: 1})
	b.demand(len(told[actors.PeerTrouble](h)) == 2 && h.group.Status().Members[1].Trouble == nil, "who is heard again, and can be reached, is in %v", h.group.Status().Members[1].Trouble)
}

// strangeFounders: a replica does not hear nodes that were founded with others, names them, as many as it may, and tells them once in a while.
func (b *bench) strangeFounders() {
	h := b.putHost(&image{}, newTree(), nil, func(c *actors.GroupConfig) { c.Tuning.Strangers = 4 })
	h.pass(0)
	term := h.group.Status().Term
	vote := func(of raft.NodeID) any { return &raft.RequestVote{Term: term + 5, Candidate: of, Founders: 4711} }
	h.hears(3, vote(3), vote(3), vote(3))
	mismatches := took[*remote.Mismatch](h, 3)
	b.demand(len(mismatches) == 1 && mismatches[0].Kind == remote.OtherFounders && len(mismatches[0].Founders) == 3, "a node that was founded with others is told %+v", mismatches)
	other := (*actors.FoundersError)(nil)
	b.demand(errors.As(h.trouble(), &other) && other.Theirs == nil && h.group.Status().Term == term, "it is in %v, at term %d", h.trouble(), h.group.Status().Term)
	h.hears(3, &remote.SnapshotChunk{Term: term + 5, Leader: 3, Meta: metaAt(7), Size: 9, Data: []byte("snapshot!")}) // which names no founders
	b.demand(h.group.Status().Term == term && len(took[any](h, 3)) == 0, "a snapshot of a node that was founded with others is heard: term %d", h.group.Status().Term)
	h.hears(3, &remote.Mismatch{Kind: remote.OtherFounders, Founders: []raft.NodeID{3, 4}})
	b.demand(errors.As(h.trouble(), &other) && len(other.Theirs) == 2, "what its founders are is not said: %v", h.trouble())
	h.hears(9, &remote.Mismatch{Kind: remote.NoGroup}, &remote.Mismatch{Kind: remote.OtherFounders})
	for of := raft.NodeID(20); of < 60; of++ {
		h.hears(of, vote(of))
	}
	named := map[raft.NodeID]bool{}
	for _, e := range told[actors.PeerTrouble](h) {
		named[e.Peer] = true
	}
	b.demand(!named[9] && named[3] && len(named) <= 4+3, "it names %v", named)
}

// missingGroups: who sends messages of a group that does not run here is told, now and then, and whoever says so of this group is named.
func (b *bench) missingGroups() {
	h := b.putHost(&image{}, newTree(), nil, nil)
	h.leads()
	for range 4 {
		h.deliver(3, []remote.Envelope{{Group: 77, Message: &raft.Heartbeat{Term: 1, Leader: 3}}})
		h.pass(5 * time.Second)
	}
	mismatches := took[*remote.Mismatch](h, 3)
	b.demand(len(mismatches) > 0 && mismatches[0].Kind == remote.NoGroup, "who sends messages of a group that does not run here is told %+v", mismatches)
	h.hears(3, &remote.Mismatch{Kind: remote.NoGroup})
	none := (*actors.NoGroupError)(nil)
	b.demand(errors.As(h.trouble(), &none) && none.Peer == 3, "where the group does not run is not said: %v", h.trouble())
}

// stampedLow: a log whose stamps fall, as those of the first release did when a calendar was set back, is gone on with from the greatest; and so is a
// snapshot after which nothing is in the log.
func (b *bench) stampedLow() {
	h := b.putHost(&image{}, newTree(), nil, nil)
	h.pass(0)
	h.hears(2, appended(3, raft.EntryID{}, 0, commands(3, 1, 9_000)), appended(3, raft.EntryID{Index: 1, Term: 3}, 0, commands(3, 2, 40)))
	h.hears(2, &raft.Heartbeat{Term: 3, Leader: 2, Commit: raft.EntryID{Index: 2, Term: 3}})
	b.demand(h.group.Status().Applied == 2, "it has applied %d of what is committed", h.group.Status().Applied)
	h.leads()
	h.session()
	last := h.image.blocks[len(h.image.blocks)-1]
	b.demand(last.Stamp() >= 9_000, "an entry is stamped %d after 9000", last.Stamp())

	at, state := b.tableOf(6, 5)
	meta := raft.SnapshotMeta{Index: at, Term: 4, Membership: raft.Membership{Voters: []raft.NodeID{1}}}
	fs := filed(meta, b.written(meta, state))
	image := &image{alive: true, hard: raft.HardState{Term: 4}, snapshot: meta, prev: raft.EntryID{Index: at, Term: 4}}
	h, release := b.putHeld(image, fs, "applier.applier")
	b.demand(h.group.Status().Role == raft.Leader && h.group.Status().Applied == 0, "the only voter waits for its state machine before it leads: %+v", h.group.Status())
	b.demand(image.blocks[0].Stamp() == 0, "what nobody knows the log's time at is stamped %d", image.blocks[0].Stamp())
	release()
	b.pass(0)
	h.session()
	last = image.blocks[len(image.blocks)-1]
	b.demand(last.Stamp() >= 5, "an entry after a snapshot that holds entries stamped 5 is stamped %d", last.Stamp())
	h.rising()
}

// farTerms: of two messages in a row with terms that are far beyond its own, one alone brings a replica nearer, be the other a piece of a snapshot.
func (b *bench) farTerms() {
	h := b.putHost(&image{}, newTree(), nil, nil)
	h.pass(0)
	far := raft.Term(raft.MaxTermJump) / 2
	h.hears(2, &raft.Heartbeat{Term: far, Leader: 2})
	term := h.group.Status().Term
	h.hears(2, &remote.SnapshotChunk{Term: 2 * far, Leader: 2, Meta: metaAt(7), Size: 9, Data: []byte("snapshot!")})
	b.demand(term == far && h.group.Status().Term == term && len(took[*remote.SnapshotChunkReply](h, 2)) == 0, "it comes to term %d, then %d", term, h.group.Status().Term)
}
