package sim

import (
	"log/slog"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/troupe-raft/troupe/entry"
	"github.com/troupe-raft/troupe/heartbeat"
	"github.com/troupe-raft/troupe/persister"
	"github.com/troupe-raft/troupe/raft"
	"github.com/troupe-raft/troupe/remote"
	"github.com/troupe-raft/troupe/replication"
	"github.com/troupe-raft/troupe/stage"
)

// putHeartbeat has one of node 1, with all its defaults, whose beats its parent gets.
func (b *bench) putHeartbeat() {
	b.put(func(s stage.Stage, out *slog.Logger) *actor.Props {
		return heartbeat.Props(heartbeat.Config{Stage: s, Node: 1, Log: out, Sender: func(raft.NodeID) *actor.PID { return b.parent }})
	})
	b.heard("heartbeat.OnDuty")
}

// beats takes the beats that were sent.
func (b *bench) beats() (all []remote.Beat) {
	kept := b.said[:0]
	for _, m := range b.said {
		if post, ok := m.(*remote.Post); ok {
			all = append(all, post.Envelope.Message.(*remote.Pulse).Beats...)
		} else {
			kept = append(kept, m)
		}
	}
	b.said = kept
	return all
}

// strayHeartbeat: orders of an older term change nothing, and those of the same one take nothing back.
func (b *bench) strayHeartbeat() {
	b.putHeartbeat()
	commit := raft.EntryID{Index: 9, Term: 5}
	lead := func(term raft.Term, commit raft.EntryID, peers ...raft.NodeID) any {
		return &heartbeat.Lead{Group: 1, Term: term, Commit: commit, Round: uint64(term), Peers: peers, Actor: b.parent}
	}
	only := func(what string, term raft.Term, commit raft.EntryID, peers int) {
		all := b.beats()
		b.demand(len(all) == peers, "%s: %d beats for %d peers", what, len(all), peers)
		for _, beat := range all {
			b.demand(beat.Term == term && beat.Commit == commit && beat.Round == uint64(term), "%s: a beat %+v", what, beat)
		}
		b.heard()
	}
	b.tell(lead(5, commit, 2, 3, 3, 1, 2))
	only("peers that repeat", 5, commit, 2)
	b.tell(lead(4, raft.EntryID{Index: 20, Term: 4}, 2, 3))
	only("an older term", 0, commit, 0)
	b.tell(lead(5, raft.EntryID{Index: 3, Term: 5}, 2, 3))
	only("an older commit", 5, commit, 2)
	b.tell(&heartbeat.Rest{Group: 1, Term: 4}, &heartbeat.Alive{Group: 1, Term: 4}, &heartbeat.BeatNow{Group: 1, Term: 4, Round: 99}, &heartbeat.Advance{Group: 1, Term: 4}, &heartbeat.Alive{Group: 2, Term: 5})
	only("orders of another term", 0, commit, 0)

	b.pass(3 * heartbeat.DefaultStall)
	b.beats()
	b.heard("heartbeat.Probe", "heartbeat.Stalled")
	b.pass(heartbeat.DefaultStall)
	only("a group that gives no sign", 0, commit, 0)
	b.tell(lead(5, commit, 2, 3))
	b.beats()
	b.heard("heartbeat.Resumed")
	b.pass(heartbeat.DefaultInterval)
	only("a group that leads again in its term", 5, commit, 2)
	b.tell(&strangeMessage{})
	b.demand(b.loud["unexpected message"], "a message that nobody knows goes unnoticed")
}

// A fickle log is read by a syncer. It implements persister.Reader.
type fickle struct {
	read   func(from, to raft.Index) ([]*entry.Block, error)
	reads  int
	asked  raft.Index
	panics bool
}

func (f *fickle) Blocks(_ raft.GroupID, from, to raft.Index, _ int) ([]*entry.Block, error) {
	f.reads++
	if f.asked = from; f.panics {
		panic(errSabotage)
	}
	return f.read(from, to)
}

// run is a block of commands of one term.
func run(first, last raft.Index, term raft.Term) *entry.Block {
	var build entry.Builder
	for i := first; i <= last; i++ {
		build.Append(raft.Command, 0, 0, 0, []byte("x"))
	}
	return build.Seal(term, first)
}

// putSyncer has one of node 1 on a log, with its defaults but for some restarts, which leads term 3 with entries 1 to 9 of term 2 and 10 of its own.
func (b *bench) putSyncer(log persister.Reader, peers ...raft.NodeID) {
	b.put(func(s stage.Stage, out *slog.Logger) *actor.Props {
		return replication.Props(replication.Config{Group: 1, Stage: s, Reader: log, Restarts: 2, Log: out, Sender: func(raft.NodeID) *actor.PID { return b.parent }})
	})
	b.heard("replication.OnDuty")
	b.tell(b.leads(peers...))
}

func (b *bench) leads(peers ...raft.NodeID) any {
	return &replication.Lead{Term: 3, Leader: 1, Peers: peers, Shape: raft.Shape{Runs: []raft.Run{{First: 1, Last: 9, Term: 2}, {First: 10, Last: 10, Term: 3}}}}
}

// appends takes the appends that were sent.
func (b *bench) appends() (all []*remote.AppendBlocks) {
	kept := b.said[:0]
	for _, m := range b.said {
		switch m := m.(type) {
		case *remote.Post:
			all = append(all, m.Envelope.Message.(*remote.AppendBlocks))
		case *replication.Feeding, *replication.Matched:
		default:
			kept = append(kept, m)
		}
	}
	b.said = kept
	return all
}

// lag has follower 2 say, and confirm, that it has entries through 3 alone.
func (b *bench) lag() {
	b.tell(&replication.Reply{From: 2, Message: &raft.AppendEntriesReply{Term: 3, Prev: 10, Hint: raft.EntryID{Index: 3, Term: 2}}})
	b.appends()
	b.tell(&replication.Reply{From: 2, Message: &raft.AppendEntriesReply{Term: 3, Success: true, Match: 3, Prev: 3}})
}

// straySyncer: what is of another term, or told twice, changes nothing; and an entry that does not follow what is known makes it begin anew.
func (b *bench) straySyncer() {
	none := &fickle{read: func(raft.Index, raft.Index) ([]*entry.Block, error) { return nil, persister.ErrMissing }}
	b.putSyncer(none, 2, 1, 2, raft.None)
	b.demand(len(b.appends()) == 1, "peers that repeat are not fed once")
	b.tell(&replication.Lead{Term: 2, Leader: 1, Peers: []raft.NodeID{2, 3}}, &replication.Peers{Term: 2, Peers: []raft.NodeID{3}}, &replication.Extend{Term: 2, Blocks: []*entry.Block{run(1, 2, 2)}},
		&replication.Trim{Term: 2, First: 9}, &replication.Rest{Term: 2}, &replication.SnapshotDone{Peer: 3}, &replication.Heard{Term: 2, Peer: 2}, &strangeMessage{})
	b.demand(len(b.appends()) == 0, "orders of an older term are obeyed")
	b.heard()
	b.demand(b.loud["unexpected message"], "a message that nobody knows goes unnoticed")
	b.tell(&replication.Extend{Term: 3, Blocks: []*entry.Block{run(11, 12, 3), run(13, 13, 3)}}, &replication.Extend{Term: 3, Blocks: []*entry.Block{run(11, 12, 3)}}) // told twice
	b.tell(&replication.Reply{From: 2, Message: &raft.AppendEntriesReply{Term: 3, Success: true, Match: 10}})
	sent := raft.Index(10)
	for _, m := range b.appends() {
		for _, block := range m.Blocks {
			b.demand(block.First() == sent+1, "entry %d follows %d", block.First(), sent)
			sent = block.Last()
		}
	}
	b.demand(sent == 13, "a follower was sent entries through %d of 13", sent)
	var many []*entry.Block
	for i := raft.Index(14); i < 14+300; i++ {
		many = append(many, run(i, i, 3))
	}
	b.tell(&replication.Extend{Term: 3, Blocks: many}, &replication.Extend{Term: 3, Blocks: []*entry.Block{run(5, 9, 2)}}, &replication.Extend{Term: 3, Blocks: []*entry.Block{run(314, 314, 3)}}) // a copy of what is not at hand
	b.appends()
	b.heard()
	b.tell(&replication.Extend{Term: 3, Blocks: []*entry.Block{run(330, 330, 3)}})
	b.pass(10 * time.Second)
	b.appends()
	b.heard("replication.OnDuty")
	b.demand(b.loud["actor panicked"], "an entry is taken that does not follow the log")
	b.loud["actor panicked"] = false

	b.name = "a syncer's reader panics without end"
	none.panics = true
	b.putSyncer(none, 2)
	b.lag()
	b.pass(20 * time.Second)
	b.demand(b.loud["reader kept crashing"] && none.reads > 3, "after %d reads nobody says so", none.reads)
	none.panics, none.read = false, func(raft.Index, raft.Index) ([]*entry.Block, error) {
		return []*entry.Block{run(4, 9, 2), run(10, 10, 3)}, nil
	}
	b.appends()
	b.pass(20 * time.Second)
	fed := false
	for _, m := range b.appends() {
		fed = fed || len(m.Blocks) > 0
	}
	b.demand(fed, "nobody is fed by the next reader")
	b.loud["actor panicked"] = false

	b.name = "a syncer's reader gets what nobody sends, and answers who leads no more"
	b.putSyncer(none, 2)
	var reader string
	b.stage.Observe(func(d stage.Delivery) {
		if d.To != nil && nameOf(d.To) == "replication.reader" {
			reader = d.Actor
		}
	})
	none.read = func(raft.Index, raft.Index) ([]*entry.Block, error) {
		b.system.Root.Send(b.daemon, b.leads(2, 4))
		return []*entry.Block{run(4, 9, 2)}, nil
	}
	b.lag()
	b.appends()
	b.heard()
	none.read = func(raft.Index, raft.Index) ([]*entry.Block, error) {
		b.system.Root.Send(b.daemon, &replication.Peers{Term: 3, Peers: []raft.NodeID{4}})
		return []*entry.Block{run(4, 9, 2)}, nil
	}
	b.lag()
	if b.demand(reader != "", "nothing was read"); reader != "" {
		b.system.Root.Send(b.system.NewLocalPID(reader), &strangeMessage{})
		b.pass(0)
		b.demand(b.loud["unexpected message"], "a message that nobody knows goes unnoticed")
	}
	b.appends()
	b.heard()
}

// otherLogs: what is read and is not the log that its leader has ends the feeding; what is more, or not there yet, does not.
func (b *bench) otherLogs() {
	for _, log := range []struct {
		what  string
		says  []string
		read  []*entry.Block
		fails error
		fed   raft.Index // through
	}{
		{"the whole log", nil, []*entry.Block{run(4, 9, 2), run(10, 10, 3)}, nil, 10},
		{"more than was asked for", nil, []*entry.Block{run(1, 9, 2), run(10, 14, 3)}, nil, 10},
		{"blocks beyond the log", nil, []*entry.Block{run(4, 9, 2), run(10, 10, 3), run(11, 12, 3)}, nil, 10},
		{"nothing", nil, nil, nil, 3},
		{"an error", nil, nil, errRead, 3},
		{"damage", []string{"replication.Halted"}, nil, &persister.CorruptError{Dir: damagedDisk, Group: groupID, Index: 4, Reason: "it has rotted"}, 3},
		{"entries that were asked for no more", []string{"replication.Halted"}, []*entry.Block{run(1, 2, 2)}, nil, 3},
		{"a gap", []string{"replication.Halted"}, []*entry.Block{run(4, 5, 2), run(7, 9, 2)}, nil, 3},
		{"another term's", []string{"replication.Halted"}, []*entry.Block{run(4, 9, 1)}, nil, 3},
		{"what was compacted", []string{"replication.NeedSnapshot"}, nil, persister.ErrCompacted, 3},
	} {
		b.name = "a syncer reads " + log.what
		b.putSyncer(&fickle{read: func(raft.Index, raft.Index) ([]*entry.Block, error) { return log.read, log.fails }}, 2)
		b.appends()
		b.lag()
		fed := raft.Index(3)
		for _, m := range b.appends() {
			for _, block := range m.Blocks {
				b.demand(block.First() == fed+1, "it sends %v after entry %d", block, fed)
				fed = block.Last()
			}
		}
		b.demand(fed == log.fed, "it feeds through entry %d, not %d", fed, log.fed)
		b.heard(log.says...)
		b.pass(10 * time.Second) // an error passes, and comes again
		b.appends()
		b.heard()
	}
}
