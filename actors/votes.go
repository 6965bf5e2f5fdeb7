package actors

import (
	"context"
	"log/slog"

	"github.com/troupe-raft/troupe/raft"
)

// logVotes tells, at debug, of the votes that a step asked for, gave, refused or was answered with, and with which entries the logs end that they rest on.
func (r *replica) logVotes(ev raft.Event, fx *raft.Effects) {
	in, _ := ev.(raft.Received)
	answer, answered := in.Message.(*raft.RequestVoteReply)
	asked, whom := asksFor(fx)
	if !answered && asked == nil && fx.Cast == nil || !r.votes.Enabled(context.Background(), slog.LevelDebug) {
		return
	}
	if c := fx.Cast; c != nil {
		r.votes.Debug(either(c.Why == raft.Granted, "vote granted", "vote refused"), "prevote", c.PreVote, "term", uint64(c.Term), "candidate", uint64(c.Candidate),
			end("candidate_last", c.Last), end("own_last", c.Own), "why", c.Why.String())
	}
	if answered {
		r.votes.Debug(either(answer.Granted, "vote received", "vote denied"), "prevote", answer.PreVote, "term", uint64(answer.Asked), "peer", uint64(in.From),
			"peer_term", uint64(answer.Term))
	}
	if asked != nil {
		r.votes.Debug("votes asked for", "prevote", asked.PreVote, "term", uint64(asked.Term), "of", whom, end("own_last", asked.Last))
	}
}

// end is with what a log ends.
func end(name string, id raft.EntryID) slog.Attr {
	return slog.Group(name, "index", uint64(id.Index), "term", uint64(id.Term))
}

func either(is bool, yes, no string) string {
	if is {
		return yes
	}
	return no
}

// asksFor is what a step asks other servers to vote for, and whom; nil: nothing.
func asksFor(fx *raft.Effects) (asked *raft.RequestVote, whom []uint64) {
	for _, out := range fx.Send {
		if m, ok := out.Message.(*raft.RequestVote); ok {
			asked, whom = m, append(whom, uint64(out.To))
		}
	}
	return asked, whom
}
