package raft_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/troupe-raft/troupe/raft"
)

// TestRuaftMistakes holds what the five seeds get wrong, or do not test, against these rules (docs/conformance.md lists all).
func TestRuaftMistakes(t *testing.T) {
	for name, test := range map[string]func(*testing.T){
		"M1_quorum_of_every_size":           quorumOfEverySize,
		"M2_prevotes_never_block_for_good":  prevotesNeverBlock,
		"M3_follower_at_its_snapshots_edge": snapshotsEdge,
		"M4_commit_bound_by_the_message":    commitBoundByMessage,
		"M7_faults_happen":                  faultsHappen,
		"M8_nothing_is_resent_by_an_ex_leader": func(t *testing.T) {
			everySeed(t, func(t *testing.T, seed uint64) {
				c := newCluster(t, seed, 3, fair()).runOn(1, (*raft.Replica).Campaign)
				c.weather = fair().isolate(1)
				c.propose("one")
				c.runOn(1, (*raft.Replica).StepDown)
				c.watch = func(p raft.Packet) {
					switch p.Message.(type) {
					case *raft.AppendEntries, *raft.Heartbeat, *raft.InstallSnapshot:
						if p.From == 1 {
							c.fatalf("resends %T", p.Message)
						}
					}
				}
				c.runFor(3*electionTicks, "deposed", func() bool { return !c.leads(1) })
				c.must("lost")
			})
		},
		"M9_what_a_leader_must_learn":   whatLeadersLearn,
		"M10_votes_go_by_the_last_term": votesByLastTerm,
		"M11_no_quorum_no_leader":       noQuorumNoLeader,
	} {
		t.Run(name, test)
	}
}

// quorumOfEverySize: (n-1)/2 servers may be away, and with one more nothing is elected, committed or read. ruaft is right for odd n≥3 only.
func quorumOfEverySize(t *testing.T) {
	for size := 1; size <= 9; size++ {
		minority := idsTo(size)[size-(size-1)/2:]
		c := newCluster(t, uint64(size), size, fair().isolate(minority...)).runOn(1, (*raft.Replica).Campaign)
		if !c.leads(1) {
			c.fatalf("not elected with %d of %d away", len(minority), size)
		}
		c.propose("one")
		c.nodes[1].Read(1)
		c.settle()
		if done := c.nodes[1].TakeReads(); !c.has(1, "one") || len(done) != 1 || done[0].Err != nil {
			c.fatalf("with %d of %d away: reads %+v", len(minority), size, done)
		}
		if size == 1 {
			continue // nobody else can be away
		}
		if len(minority) > 0 {
			c.must("lost")
		}
		c.weather = fair().isolate(idsTo(size)[size-(size-1)/2-1:]...)
		c.propose("two")
		c.nodes[1].Read(2)
		c.runFor(5*electionTicks, "without progress", func() bool { return !c.has(raft.None, "two") })
		if done := c.nodes[1].TakeReads(); len(done) != 1 || done[0].Err == nil {
			c.fatalf("without a quorum of %d: reads %+v", size, done)
		}
		if c.must("lost"); c.hasLeader() {
			c.fatalf("elected without a quorum of %d", size)
		}
	}
}

// prevotesNeverBlock: a newer term with a short log, and an older one with a longer, of which each refuses the other's prevote. The
// refusal tells the real term, so one of them catches up and wins.
func prevotesNeverBlock(t *testing.T) {
	everySeed(t, func(t *testing.T, seed uint64) {
		c := newCluster(t, seed, 3, fair().nodeDown(3))
		c.restart(1, &raft.ReplicaState{Hard: raft.HardState{Term: 4}, Entries: commands(1, 1)})
		c.restart(2, &raft.ReplicaState{Hard: raft.HardState{Term: 3}, Entries: commands(1, 1, 3)})
		refused := 0
		c.watch = func(p raft.Packet) {
			if m, ok := p.Message.(*raft.RequestVoteReply); ok && m.PreVote && !m.Granted {
				refused++
			}
		}
		c.runOn(2, (*raft.Replica).Campaign).runOn(1, (*raft.Replica).Campaign)
		if refused == 0 {
			c.fatalf("nobody refused: this is not the case in question")
		}
		c.runUntil("a leader", c.hasLeader)
		if c.leader() != 2 || c.ticks > 20*electionTicks {
			c.fatalf("server %d leads after %d ticks", c.leader(), c.ticks)
		}
		c.commits(1, "new")
	})
}

// commands are entries of these terms, from index 1.
func commands(terms ...raft.Term) (entries []raft.CommittedEntry) {
	for i, term := range terms {
		entries = append(entries, raft.CommittedEntry{Index: raft.Index(i + 1), Term: term, Data: fmt.Appendf(nil, "%d/%d", i+1, term)})
	}
	return entries
}

// snapshotsEdge: the follower's log ends exactly at its snapshot, the leader has an older snapshot and newer entries. It catches up in a
// few messages and needs no snapshot, where ruaft goes round in circles.
func snapshotsEdge(t *testing.T) {
	all := commands(1, 1, 1, 1, 1, 1, 1, 1, 1)
	m := raft.Membership{Voters: idsTo(3)}
	state := func(snapshot, prev, last raft.Index) *raft.ReplicaState {
		return &raft.ReplicaState{
			Hard: raft.HardState{Term: 1}, Snapshot: raft.SnapshotMeta{Index: snapshot, Term: 1, Membership: m}, SnapshotData: []byte("state"),
			Prev: raft.EntryID{Index: prev, Term: 1}, Entries: all[prev:last],
		}
	}
	for newer := raft.Index(0); newer <= 3; newer++ {
		const edge = 6
		c := newCluster(t, 1, 3, fair().nodeDown(3))
		c.restart(1, state(3, 3, edge+newer))
		c.restart(2, state(edge, edge, edge))
		appends := 0
		c.watch = func(p raft.Packet) {
			switch p.Message.(type) {
			case *raft.AppendEntries:
				appends++
			case *raft.InstallSnapshot:
				c.fatalf("a snapshot is sent to a follower that has a newer one")
			}
		}
		c.campaignUntilElected(1)
		last := c.nodes[1].Status().Last
		c.runUntil("caught up", func() bool { return c.nodes[1].Status().Match[2] == last })
		if appends == 0 || appends > 8 {
			c.fatalf("%d newer entries: %d appends", newer, appends)
		}
		c.runUntil("committed", func() bool { return c.nodes[2].Status().Commit == last })
	}
}

// commitBoundByMessage: what a follower has beyond the entries of a message may still differ from the leader's.
func commitBoundByMessage(t *testing.T) {
	cfg := config(1, 3, last)
	cfg.State = &raft.ReplicaState{Hard: raft.HardState{Term: 2}, Entries: commands(1, 1, 1, 1)}
	r := newReplica(t, cfg)
	send := func(prev raft.EntryID, runs ...raft.Run) {
		p := raft.Packet{From: 2, To: 1, Message: &raft.AppendEntries{Term: 3, Leader: 2, Prev: prev, Runs: runs, Commit: 4}}
		for range runs {
			p.Data, p.Kinds = append(p.Data, []byte("new")), append(p.Kinds, raft.Command)
		}
		r.Receive(2, p)
	}
	send(raft.EntryID{Index: 1, Term: 1}) // a probe: entries 2 to 4 of term 1 are not the leader's
	if got := r.TakeCommitted(); len(got) != 1 || r.Status().Commit != 1 {
		t.Fatalf("a probe at 1 commits %+v", got)
	}
	send(raft.EntryID{Index: 1, Term: 1}, raft.Run{First: 2, Last: 2, Term: 3})
	if got := r.TakeCommitted(); len(got) != 1 || string(got[0].Data) != "new" || r.Status().Commit != 2 {
		t.Fatalf("entry 2 commits %+v", got)
	}
	send(raft.EntryID{Index: 2, Term: 3}, raft.Run{First: 3, Last: 3, Term: 3}, raft.Run{First: 4, Last: 4, Term: 3})
	if got := r.TakeCommitted(); len(got) != 2 || string(got[1].Data) != "new" {
		t.Fatalf("the rest commits %+v", got)
	}
}

// faultsHappen: this package's test network does what it says. Without that, everything above would prove little.
func faultsHappen(t *testing.T) {
	for fault, w := range map[string]weather{
		"drop": {drop: 0.2}, "dup": {dup: 0.2}, "late": {late: 0.2},
		"lost": fair().dropBetween(1, 2), "": {},
	} {
		c := newCluster(t, 1, 3, w)
		c.runFor(50*electionTicks, "running", func() bool { return true })
		for _, name := range []string{"drop", "dup", "late", "lost"} {
			if happened := c.happened[name] > 0; happened != (name == fault) {
				t.Errorf("weather %q: %v", fault, c.happened)
			}
		}
	}
	for _, w := range []weather{fair().isolate(2), fair().nodeDown(2), fair().dropTo(2)} {
		if c := newCluster(t, 1, 3, w); !c.weather.loses(1, 2) || c.weather.loses(1, 3) {
			t.Errorf("%+v", w)
		}
	}
}

// whatLeadersLearn: rusty-raft's leader adopts no newer term from appends, stays leader while granting a newer vote, and lets its commit
// index fall when it is elected again.
func whatLeadersLearn(t *testing.T) {
	r := elected(t)
	r.Advance(electionTicks * tick) // contact is stale
	receive(r, &raft.RequestVote{Term: 5, Candidate: 2, Last: raft.EntryID{Index: 9, Term: 4}})
	granted := only[*raft.RequestVoteReply](t, r.TakePackets(), 2).Message.(*raft.RequestVoteReply)
	if s := r.Status(); !granted.Granted || s.Role != raft.Follower || s.Term != 5 || s.Vote != 2 {
		t.Fatalf("%+v, %+v", granted, s)
	}
	c := electLeader(t, 3)
	c.propose("one")
	c.settle()
	commit := c.nodes[1].Status().Commit
	c.runOn(1, (*raft.Replica).StepDown)
	for range 3 {
		c.campaignUntilElected(1)
		if got := c.nodes[1].Status().Commit; got < commit {
			c.fatalf("commit fell from %d to %d", commit, got)
		}
		c.runOn(1, (*raft.Replica).StepDown)
	}
}

// votesByLastTerm: the last entry's term goes before the length (§5.4.1). Hoverbear refuses a shorter log of a newer term.
func votesByLastTerm(t *testing.T) {
	for _, c := range []struct {
		last    raft.EntryID
		granted bool
	}{
		{raft.EntryID{Index: 1, Term: 3}, true}, {raft.EntryID{Index: 3, Term: 2}, true},
		{raft.EntryID{Index: 2, Term: 2}, false}, {raft.EntryID{Index: 9, Term: 1}, false},
	} {
		cfg := config(1, 3, last)
		cfg.State = &raft.ReplicaState{Hard: raft.HardState{Term: 3}, Entries: commands(1, 1, 2)}
		r := newReplica(t, cfg)
		r.Advance(electionTicks * tick) // a server that restarted might have promised a lease
		r.TakePackets()
		receive(r, &raft.RequestVote{Term: 4, Candidate: 2, Last: c.last})
		if got := only[*raft.RequestVoteReply](t, r.TakePackets(), 2).Message.(*raft.RequestVoteReply); got.Granted != c.granted {
			t.Errorf("log ending in %+v: granted %v", c.last, got.Granted)
		}
	}
}

// noQuorumNoLeader: a leader that is cut off gives up within two patiences and answers every read with an error, where ruaft's leads and
// queues for ever.
func noQuorumNoLeader(t *testing.T) {
	everySeed(t, func(t *testing.T, seed uint64) {
		c := newCluster(t, seed, 5, fair()).runOn(1, (*raft.Replica).Campaign)
		c.weather = fair().isolate(1)
		for id := uint64(1); id <= 100; id++ {
			c.nodes[1].Read(id)
		}
		c.runUntil("given up", func() bool { return !c.leads(1) })
		c.must("lost")
		done := c.nodes[1].TakeReads()
		if c.ticks > 3*electionTicks || len(done) != 100 {
			c.fatalf("%d reads ended after %d ticks", len(done), c.ticks)
		}
		for _, d := range done {
			if !errors.Is(d.Err, raft.ErrNotLeader) {
				c.fatalf("%+v", d)
			}
		}
	})
}
