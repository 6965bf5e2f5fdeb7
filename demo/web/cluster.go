package web

import (
	"context"
	"net"
	"net/http"

	"github.com/troupe-raft/troupe/actors"
	"github.com/troupe-raft/troupe/demo/api"
	"github.com/troupe-raft/troupe/raft"
)

// The routes that change who leads and who takes part.
func (s *Server) clusterRoutes() {
	s.guarded("POST /v1/transfer", s.transfer)
	s.guarded("POST /v1/members", s.members)
}

func (s *Server) transfer(r *http.Request) reply {
	text, err := body(r, maxOrder)
	if err != nil {
		return s.refusal(err)
	}
	var in api.Transfer
	if err := decode(text, &in, []string{"to"}, nil); err != nil {
		return s.refusal(err)
	}
	if in.To == 0 {
		return s.refusal(malformed("to: there is no node 0"))
	}
	return s.lead(s.request(r, text, func(ctx context.Context) (any, error) {
		return api.Leader{Leader: in.To}, s.Group.Transfer(ctx, raft.NodeID(in.To))
	}))
}

func (s *Server) members(r *http.Request) reply {
	text, err := body(r, maxOrder)
	if err != nil {
		return s.refusal(err)
	}
	change, err := changeOf(text)
	if err != nil {
		return s.refusal(err)
	}
	return s.lead(s.request(r, text, func(ctx context.Context) (any, error) {
		m, err := s.Group.ChangeMembers(ctx, change)
		if err != nil {
			return nil, err
		}
		out := api.Membership{Members: []api.Seated{}}
		for _, id := range m.IDs() {
			known, _ := m.Member(id)
			out.Members = append(out.Members, api.Seated{ID: uint64(id), Raft: known.Addr, HTTP: known.Tag, Voter: m.IsVoter(id)})
		}
		return out, nil
	}))
}

// changeOf reads a membership change: exactly one of add, remove, promote, change and readmit, beside which force and based_on may stand.
func changeOf(text []byte) (out actors.Change, err error) {
	fields, err := object(text)
	if err != nil {
		return out, err
	}
	var in api.Change
	if err := decode(text, &in, nil, []string{"add", "remove", "promote", "change", "readmit", "force", "based_on"}); err != nil {
		return out, err
	}
	delete(fields, "force")
	delete(fields, "based_on")
	if len(fields) != 1 {
		return out, malformed("exactly one of add, remove, promote, change and readmit must be there")
	}
	out.Force, out.BasedOn = in.Force, raft.Index(in.BasedOn)
	switch {
	case in.Add != nil:
		m := raft.Member{ID: raft.NodeID(in.Add.ID), Addr: in.Add.Raft, Tag: in.Add.HTTP}
		if in.Add.Learner {
			out.AddLearners = []raft.Member{m}
		} else {
			out.AddVoters = []raft.Member{m}
		}
		return out, newcomer(m)
	case in.Remove != nil:
		out.Remove = []raft.NodeID{raft.NodeID(*in.Remove)}
	case in.Promote != nil:
		out.Promote = []raft.NodeID{raft.NodeID(*in.Promote)}
	case in.Readmit != nil:
		out.Readmit = []raft.NodeID{raft.NodeID(*in.Readmit)}
	case in.Change != nil && len(in.Change.Voters) > 0:
		out.Voters, out.Learners = seats(in.Change.Voters), seats(in.Change.Learners)
	case in.Change != nil:
		return out, malformed("change: there must be at least one voter")
	default:
		return out, malformed("the change is null")
	}
	return out, nil
}

func newcomer(m raft.Member) error {
	if m.ID == raft.None {
		return malformed("add: there is no node 0")
	}
	for kind, addr := range map[string]string{"raft": m.Addr, "http": m.Tag} {
		if _, port, err := net.SplitHostPort(addr); err != nil || port == "" {
			return malformed("add: %s %q is not host:port", kind, addr)
		}
	}
	return nil
}

func seats(in []api.Seat) (out []raft.Member) {
	for _, m := range in {
		out = append(out, raft.Member{ID: raft.NodeID(m.ID), Addr: m.Raft, Tag: m.HTTP})
	}
	return out
}
