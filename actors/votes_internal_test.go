package actors

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"

	"github.com/troupe-raft/troupe/raft"
)

// Votes are told of by whoever asks, gives or refuses, and is answered, with the logs' ends; at debug only.
func TestVotesAreLogged(t *testing.T) {
	asks := func(m raft.RequestVote) *raft.Effects {
		return &raft.Effects{Send: []raft.Outgoing{{To: 2, Message: &m}, {To: 3, Message: &m}}}
	}
	cast := func(why raft.CastReason) *raft.Effects {
		return &raft.Effects{Cast: &raft.Cast{Candidate: 2, Term: 7, PreVote: true, Why: why, Last: raft.EntryID{Index: 4, Term: 3}, Own: raft.EntryID{Index: 9, Term: 5}}}
	}
	for _, c := range []struct {
		name string
		ev   raft.Event
		fx   *raft.Effects
		want string
	}{
		{"asked for", raft.Elapsed{}, asks(raft.RequestVote{Term: 7, PreVote: true, Last: raft.EntryID{Index: 9, Term: 5}}),
			`"votes asked for" prevote=true term=7 of="[2 3]" own_last.index=9 own_last.term=5`},
		{"given", raft.Received{From: 2, Message: &raft.RequestVote{}}, cast(raft.Granted),
			`"vote granted" prevote=true term=7 candidate=2 candidate_last.index=4 candidate_last.term=3 own_last.index=9 own_last.term=5 why=granted`},
		{"refused", raft.Received{From: 2, Message: &raft.RequestVote{}}, cast(raft.LogIsOlder),
			`"vote refused" prevote=true term=7 candidate=2 candidate_last.index=4 candidate_last.term=3 own_last.index=9 own_last.term=5 why="the candidate's log is older"`},
		{"received", raft.Received{From: 3, Message: &raft.RequestVoteReply{Asked: 7, Term: 6, Granted: true}}, &raft.Effects{}, `"vote received" prevote=false term=7 peer=3 peer_term=6`},
		{"denied", raft.Received{From: 3, Message: &raft.RequestVoteReply{Asked: 7, Term: 8, PreVote: true}}, &raft.Effects{}, `"vote denied" prevote=true term=7 peer=3 peer_term=8`},
		{"the last one, which makes it a candidate", raft.Received{From: 3, Message: &raft.RequestVoteReply{Asked: 7, Term: 6, Granted: true, PreVote: true}},
			asks(raft.RequestVote{Term: 7}), `"vote received" prevote=true term=7 peer=3 peer_term=6` + "\n" + `"votes asked for" prevote=false term=7 of="[2 3]" own_last.index=0 own_last.term=0`},
		{"nothing of the kind", raft.Received{From: 3, Message: &raft.Heartbeat{}}, &raft.Effects{}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			for level, want := range map[slog.Level]string{slog.LevelDebug: c.want, slog.LevelInfo: ""} {
				var out bytes.Buffer
				bare := func(_ []string, a slog.Attr) slog.Attr {
					if a.Key == slog.TimeKey || a.Key == slog.LevelKey {
						return slog.Attr{}
					}
					return a
				}
				r := &replica{votes: slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: level, ReplaceAttr: bare}))}
				r.logVotes(c.ev, c.fx)
				if got := strings.ReplaceAll(strings.TrimSpace(out.String()), "msg=", ""); got != want {
					t.Errorf("at %v: %s\nwant %s", level, got, want)
				}
			}
		})
	}
}
