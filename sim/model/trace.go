package model

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/troupe-raft/troupe/raft"
)

// explain adds to a violation at a successor of state at the way there. It is walked anew, since the states on it stand for renamed ones too.
func (c *checker) explain(at uint32) *Violation {
	way := []uint32{}
	for ; at != 0; at = c.parents[at] {
		way = append(way, at)
	}
	slices.Reverse(way)
	here := c.least(c.first)
	var trace []string
	tell := func(line string) { trace = append(trace, fmt.Sprintf("%3d  %s", len(trace)+1, line)) }
	for _, goal := range way {
		_ = c.successors(here, func(next state, who int, o *outcome, err error) error {
			if err != nil || c.least(next) != c.states[goal] {
				return nil
			}
			here = next
			tell(c.line(who, o))
			return errFound
		})
	}
	var v *Violation
	_ = c.successors(here, func(next state, who int, o *outcome, err error) error {
		if err == nil {
			err = c.judgeState(&next, who)
		}
		if errors.As(err, &v) {
			tell(c.line(who, o))
			return errFound
		}
		return nil
	})
	v.Trace = trace
	return v
}

var errFound = errors.New("found")

// line tells an event and what became of its server.
func (c *checker) line(who int, o *outcome) string {
	id := raft.NodeID(who + 1)
	if o.event.kind == tick || o.broken != 0 {
		return c.describe(id, o.event)
	}
	return fmt.Sprintf("%-58s → %v", c.describe(id, o.event), c.servers[o.after])
}

// describe says what happens when ev happens to server id.
func (c *checker) describe(id raft.NodeID, ev event) string {
	switch ev.kind {
	case hear:
		l := c.letters[ev.arg]
		return fmt.Sprintf("%d hears from %d: %s", id, l.from, say(l.message))
	case losePatience:
		return fmt.Sprintf("%d loses patience", id)
	case sync:
		return fmt.Sprintf("%d syncs its oldest write", id)
	case crash:
		return fmt.Sprintf("%d crashes and restarts", id)
	case propose:
		return fmt.Sprintf("%d takes a proposal", id)
	case change:
		t := c.scope.Targets[ev.arg]
		return fmt.Sprintf("%d is asked for voters %v, learners %v", id, t.Voters, t.Learners)
	case snapshot:
		return fmt.Sprintf("%d takes a snapshot and compacts but for %d", id, ev.arg)
	case read:
		return fmt.Sprintf("%d is asked for a read", id)
	case tick:
		return "a tick passes"
	case beat:
		return fmt.Sprintf("%d sends heartbeats", id)
	case transfer:
		return fmt.Sprintf("%d is asked to hand over to %d", id, ev.arg)
	}
	return ev.kind.String()
}

// say writes a message in a few words, entries as index.term.
func say(m raft.Message) string {
	switch m := m.(type) {
	case *raft.RequestVote:
		name := "RequestVote"
		if m.PreVote {
			name = "prevote " + name
		}
		return fmt.Sprintf("%s term %d, last %s", name, m.Term, entry(m.Last))
	case *raft.RequestVoteReply:
		name := "vote"
		if m.PreVote {
			name = "prevote"
		}
		answer := "refused"
		if m.Granted {
			answer = "granted"
		}
		return fmt.Sprintf("%s for term %d %s, term %d", name, m.Asked, answer, m.Term)
	case *raft.AppendEntries:
		var b strings.Builder
		for _, r := range m.Runs {
			for i := r.First; i <= r.Last; i++ {
				b.WriteString(" " + entry(raft.EntryID{Index: i, Term: r.Term}))
			}
		}
		return fmt.Sprintf("AppendEntries term %d, after %s:%s, commit %d", m.Term, entry(m.Prev), b.String(), m.Commit)
	case *raft.AppendEntriesReply:
		if !m.Success {
			return fmt.Sprintf("AppendEntries refused, term %d", m.Term)
		}
		return fmt.Sprintf("AppendEntries matches %d, term %d", m.Match, m.Term)
	case *raft.InstallSnapshot:
		return fmt.Sprintf("InstallSnapshot term %d, to %d.%d, voters %v", m.Term, m.Snapshot.Index, m.Snapshot.Term, m.Snapshot.Membership.Voters)
	}
	return fmt.Sprintf("%T", m)[len("*raft."):] + fmt.Sprintf("%+v", m)[1:]
}

func entry(e raft.EntryID) string { return fmt.Sprintf("%d.%d", e.Index, e.Term) }
