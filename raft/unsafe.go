package raft

import (
	"fmt"
	"strings"
	"time"
)

// An UnsafeChangeError refuses a membership that may never commit anything from where the cluster is, its own taking back included. Once
// the servers that it names are ready the same change is taken; ChangeMembership.Force has it taken now.
type UnsafeChangeError struct {
	Servers               []Unready // what is in the way, ascending, each server once
	Voters, Needed, Alive int       // of the new membership: how many, its majority, and how many of them have answered lately
}

// An Unready server is in the way of a change.
type Unready struct {
	ID      NodeID
	Why     Unreadiness
	Silence time.Duration // Silent: how long; negative: this leader has never had an answer
	Lag     Index         // Behind: the entries that it lacks
	By      NodeID        // Taken: who answers there
}

// An Unreadiness is what a server lacks.
type Unreadiness uint8

// What a server may lack.
const (
	Silent     Unreadiness = iota // it has not answered within Config.ElectionMax
	NotLearner                    // it is to get a vote and is not a learner
	Behind                        // it is to get a vote and has not caught up: it lacks what the log held ElectionMax ago
	Moved                         // it answers, and is to vote from another address than the one where it does
	Doubted                       // it is to get a vote and has gone back: it is not trusted before it has caught up
	Stateless                     // it waits for a snapshot to restore its state machine from, and cannot lead
	Taken                         // it is to be reached where another member answers
)

func (u Unreadiness) String() string {
	return [...]string{"silent", "not a learner", "behind", "moved", "doubted", "without a state", "at another's address", "unknown"}[min(u, Taken+1)]
}

func (e *UnsafeChangeError) Error() string {
	var b strings.Builder
	b.WriteString("raft: unsafe change of members: ")
	for i, u := range e.Servers {
		if i > 0 {
			b.WriteString("; ")
		}
		b.WriteString(u.String())
	}
	if e.Alive < e.Needed {
		fmt.Fprintf(&b, "; of the %d new voters %d must answer, %d do", e.Voters, e.Needed, e.Alive)
	}
	b.WriteString(". The change can be forced, but what has no quorum then can neither go on nor be taken back")
	return b.String()
}

func (u Unready) String() string {
	switch {
	case u.Why == NotLearner:
		return fmt.Sprintf("server %d is to vote but is not a learner: add it as a learner and let it catch up first", u.ID)
	case u.Why == Behind:
		return fmt.Sprintf("server %d is to vote but has yet to catch up: it lacks %d entries", u.ID, u.Lag)
	case u.Why == Moved:
		return fmt.Sprintf("server %d is to vote from another address than the one where it answers now: stop it first if it is to move, or force the change", u.ID)
	case u.Why == Taken:
		return fmt.Sprintf("server %d is to be reached at the address where server %d answers", u.ID, u.By)
	case u.Why >= Doubted:
		return fmt.Sprintf("server %d is to vote but "+[...]string{"has gone back and is not trusted yet: it will be by itself, once it has caught up", stateless, "is not ready"}[min(u.Why-Doubted, 2)], u.ID)
	case u.Silence < 0:
		return fmt.Sprintf("server %d has never answered this leader", u.ID)
	}
	return fmt.Sprintf("server %d has not answered for %v", u.ID, u.Silence.Round(time.Millisecond))
}

// A MovedOnError refuses a change that was based on an older membership than the one in force.
type MovedOnError struct {
	BasedOn Index // ChangeMembership.BasedOn
	Changed Index // the membership in force was set at this index, or at an unknown one up to it
	Last    Index // the end of the log
}

func (e *MovedOnError) Error() string {
	if e.BasedOn > e.Last {
		return fmt.Sprintf("raft: the change is based on index %d, and the log ends at %d", e.BasedOn, e.Last)
	}
	return fmt.Sprintf("raft: the membership has moved on: it changed at index %d, after index %d that the change is based on", e.Changed, e.BasedOn)
}
