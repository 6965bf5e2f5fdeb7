package web

import (
	"cmp"
	"net/http"
	"time"

	"github.com/troupe-raft/troupe/actors"
	"github.com/troupe-raft/troupe/demo/api"
	"github.com/troupe-raft/troupe/demo/words"
	"github.com/troupe-raft/troupe/raft"
	"github.com/troupe-raft/troupe/remote"
)

// The routes that each node answers for itself.
func (s *Server) nodeRoutes() {
	s.guarded("GET /v1/status", func(*http.Request) reply { return encode(statusOf(s.Group.Status())) })
	s.guarded("GET /v1/log", s.log, "from", "to")
	s.guarded("POST /v1/snapshot", s.snapshot)
	s.open("GET /healthz", s.healthy)
	s.open("GET /readyz", s.ready)
	if s.Chaos != nil {
		s.guarded("POST /v1/chaos", s.chaos)
	}
}

func statusOf(st actors.Status) api.Status {
	out := api.Status{
		Node: uint64(st.Node), Role: st.RoleName(), Term: uint64(st.Term), Leader: uint64(st.Leader),
		Commit: uint64(st.Commit), Applied: uint64(st.Applied),
		First: uint64(st.First), Last: uint64(st.Last), Snapshot: uint64(st.Snapshot),
		Members: make([]api.Member, 0, len(st.Members)),
	}
	for _, m := range st.Members {
		member := api.Member{ID: uint64(m.ID), Raft: m.Addr, HTTP: m.Tag, Voter: m.Voter, Match: uint64(m.Match), Active: m.Active, Doubt: m.Doubt}
		if m.Trouble != nil {
			member.Trouble = words.Ours(m.Trouble.Error())
		}
		out.Members = append(out.Members, member)
	}
	if st.Phase != actors.Running {
		out.Phase = st.Phase.String()
	}
	if err := cmp.Or(st.Err, st.Trouble); err != nil {
		out.Error = words.Ours(err.Error())
	}
	return out
}

// healthy says whether the replica is there, or comes back by itself. One that is down for good needs somebody to look at it.
func (s *Server) healthy(*http.Request) reply {
	st := s.Group.Status()
	if st.Phase != actors.Failed && st.Phase != actors.Left {
		return plain("ok\n")
	}
	what := "the replica is down for good"
	if st.Err != nil {
		what += ": " + words.Ours(st.Err.Error())
	}
	return s.refusal(&fault{status: http.StatusServiceUnavailable, words: what})
}

// ready says whether a leader is known and this node has caught up.
func (s *Server) ready(*http.Request) reply {
	st := s.Group.Status()
	if st.Trouble != nil {
		return s.refusal(&fault{status: http.StatusServiceUnavailable, words: words.Ours(st.Trouble.Error())})
	}
	if st.Removed != 0 {
		return s.refusal(errRemoved)
	}
	if st.Stopped || !st.CaughtUp || st.Leader == raft.None {
		return s.refusal(&fault{status: http.StatusServiceUnavailable, words: "not caught up with a leader"})
	}
	return plain("ok\n")
}

func (s *Server) snapshot(r *http.Request) reply {
	ctx, cancel, err := within(r)
	if err != nil {
		return s.refusal(err)
	}
	defer cancel()
	index, err := s.Group.Snapshot(ctx)
	if err != nil {
		return s.refusal(err)
	}
	return encode(api.Index{Index: uint64(index)})
}

// maxChaosDelay keeps a disturbed node from holding messages for hours.
const maxChaosDelay = time.Minute

func (s *Server) chaos(r *http.Request) reply {
	text, err := body(r, maxOrder)
	if err != nil {
		return s.refusal(err)
	}
	var in api.Chaos
	if err := decode(text, &in, nil, []string{"drop", "delay", "block"}); err != nil {
		return s.refusal(err)
	}
	wanted := remote.Chaos{Drop: in.Drop}
	if in.Delay != "" {
		if wanted.Delay, err = time.ParseDuration(in.Delay); err != nil || wanted.Delay < 0 || wanted.Delay > maxChaosDelay {
			return s.refusal(malformed("delay: %q is not a duration from 0 to %v", in.Delay, maxChaosDelay))
		}
	}
	if in.Drop < 0 || in.Drop > 1 {
		return s.refusal(malformed("drop: %v is not a share from 0 to 1", in.Drop))
	}
	for _, id := range in.Block {
		wanted.Block = append(wanted.Block, raft.NodeID(id))
	}
	s.Chaos(wanted)
	s.Log.Info("chaos", "drop", wanted.Drop, "delay", wanted.Delay, "block", wanted.Block)
	if in.Block == nil {
		in.Block = []uint64{}
	}
	return encode(api.Chaos{Drop: in.Drop, Delay: wanted.Delay.String(), Block: in.Block})
}

var _ Consensus = (*actors.Group)(nil)
