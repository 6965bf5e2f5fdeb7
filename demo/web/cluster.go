package web

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/troupe-raft/troupe/actors"
	"github.com/troupe-raft/troupe/demo/api"
	"github.com/troupe-raft/troupe/demo/words"
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
		if err := s.serves(ctx, s.Group.Status(), change); err != nil {
			return nil, err
		}
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

// serves refuses HTTP addresses that are surely mistyped, as far as a leader can tell, unless by force: the rules know nothing of those. A member that takes
// part, and stays where it is but for its HTTP address, is asked there who it is. Of others that address is refused at which another member answers.
func (s *Server) serves(ctx context.Context, st actors.Status, c actors.Change) error {
	if c.Force || st.Role != raft.Leader {
		return nil
	}
	named := slices.Concat(c.Voters, c.Learners, c.AddVoters, c.AddLearners, c.Addresses)
	var asked []raft.Member
	for i, m := range named {
		if m.Tag == "" {
			continue
		}
		if j := slices.IndexFunc(named[:i], func(o raft.Member) bool { return o.Tag == m.Tag }); j >= 0 {
			return malformed("http: nodes %d and %d are both to be asked at %s", named[j].ID, m.ID, m.Tag)
		}
		k := slices.IndexFunc(st.Members, func(o actors.MemberStatus) bool { return o.ID == m.ID })
		switch {
		case k >= 0 && (st.Members[k].Tag == m.Tag || takesPart(st, k) && st.Members[k].Addr != m.Addr && m.Addr != ""):
			// as it is, or moved, of which the rules judge
		case k >= 0 && takesPart(st, k):
			asked = append(asked, m)
		default:
			if o := holder(st, c, named, m); o != raft.None {
				return &fault{status: http.StatusConflict, words: fmt.Sprintf("http: node %d is to be asked at %s, where node %d answers: correct it, or move or remove node %d first", m.ID, m.Tag, o, o)}
			}
		}
	}
	return s.answer(ctx, asked)
}

// takesPart reports whether a member of a leader's status answers, or is the leader itself.
func takesPart(st actors.Status, k int) bool {
	return st.Members[k].Active || st.Members[k].ID == st.Node
}

// holder is another member that takes part and has the HTTP address that m is to have, and keeps it.
func holder(st actors.Status, c actors.Change, named []raft.Member, m raft.Member) raft.NodeID {
	for k, o := range st.Members {
		i := slices.IndexFunc(named, func(m raft.Member) bool { return m.ID == o.ID })
		leaves := slices.Contains(c.Remove, o.ID) || i < 0 && len(c.Voters) > 0 || i >= 0 && named[i].Tag != ""
		if o.Tag == m.Tag && o.ID != m.ID && takesPart(st, k) && !leaves {
			return o.ID
		}
	}
	return raft.None
}

// askTime bounds the wait for nodes that are asked who they are.
const askTime = time.Second

// answer refuses a change of members that do not say, at their new HTTP address, who they are.
func (s *Server) answer(ctx context.Context, members []raft.Member) error {
	if len(members) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	wrong := make([]error, len(members))
	var all sync.WaitGroup
	for i, m := range members {
		all.Go(func() { wrong[i] = s.ask(ctx, m) })
	}
	all.Wait()
	for i, m := range members {
		if wrong[i] != nil {
			return &fault{status: http.StatusConflict, words: fmt.Sprintf("http: node %d takes part, and does not answer at %s: %v. Correct it, or start the node with it first", m.ID, m.Tag, wrong[i])}
		}
	}
	return nil
}

// ask has a member say at its HTTP address who it is. It shows nothing of the request's: the address may be anybody's.
func (s *Server) ask(ctx context.Context, m raft.Member) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.Scheme+"://"+m.Tag+"/healthz", nil)
	if err != nil {
		return err
	}
	answer, err := s.Transport.RoundTrip(req)
	if err != nil {
		return errors.New(words.Connection(err))
	}
	defer answer.Body.Close()
	switch said := answer.Header.Get(api.HeaderNode); said {
	case strconv.FormatUint(uint64(m.ID), 10):
		return nil
	case "":
		return errors.New("what answers there is no node")
	default:
		return fmt.Errorf("node %.20s answers there", said)
	}
}

// changeOf reads a membership change: exactly one of add, remove, promote, change, address and readmit, beside which force and based_on may stand.
func changeOf(text []byte) (out actors.Change, err error) {
	fields, err := object(text, changeFields)
	if err != nil {
		return out, err
	}
	var in api.Change
	if err := decodeFields(text, fields, &in, nil, changeFields); err != nil {
		return out, err
	}
	if based, given := fields["based_on"]; given && (isNull(based) || in.BasedOn == 0) {
		return out, malformed("based_on: want the index, above 0, at which the members were looked at; without it the change counts whatever they are by now")
	}
	if force, given := fields["force"]; given && isNull(force) {
		return out, malformed("force: want true or false, got null")
	}
	delete(fields, "force")
	delete(fields, "based_on")
	if len(fields) != 1 {
		return out, malformed("exactly one of add, remove, promote, change, address and readmit must be there")
	}
	for name, value := range fields {
		if isNull(value) {
			return out, malformed("%s: want the change, got null", name)
		}
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
		return out, newcomer("add", m)
	case in.Address != nil:
		m := raft.Member{ID: raft.NodeID(in.Address.ID), Addr: in.Address.Raft, Tag: in.Address.HTTP}
		out.Addresses = []raft.Member{m}
		return out, newcomer("address", m)
	case in.Remove != nil:
		out.Remove = []raft.NodeID{raft.NodeID(*in.Remove)}
		return out, someNode("remove", *in.Remove)
	case in.Promote != nil:
		out.Promote = []raft.NodeID{raft.NodeID(*in.Promote)}
		return out, someNode("promote", *in.Promote)
	case in.Readmit != nil:
		out.Readmit = []raft.NodeID{raft.NodeID(*in.Readmit)}
		return out, someNode("readmit", *in.Readmit)
	case len(in.Change.Voters) > 0:
		out.Voters, out.Learners = seats(in.Change.Voters), seats(in.Change.Learners)
		return out, seated(in.Change)
	default:
		return out, malformed("change: there must be at least one voter")
	}
}

var changeFields = []string{"add", "remove", "promote", "change", "address", "readmit", "force", "based_on"}

func someNode(field string, id uint64) error {
	if id == 0 {
		return malformed("%s: there is no node 0", field)
	}
	return nil
}

// newcomer finds every fault of a node that is to be added, or is elsewhere.
func newcomer(field string, m raft.Member) error {
	var faults []error
	if m.ID == raft.None {
		faults = append(faults, fmt.Errorf("%s: there is no node 0", field))
	}
	return joined(append(faults, reached(field, m.Addr, m.Tag)...))
}

// seated finds every fault of a whole membership.
func seated(m *api.Members) error {
	var faults []error
	for _, seat := range slices.Concat(m.Voters, m.Learners) {
		if seat.ID == 0 {
			faults = append(faults, errors.New("change: there is no node 0"))
		}
		if seat.Raft != "" || seat.HTTP != "" { // else it is known
			faults = append(faults, reached(fmt.Sprintf("change: node %d", seat.ID), seat.Raft, seat.HTTP)...)
		}
	}
	return joined(faults)
}

// reached finds fault with addresses at which no other node finds this one.
func reached(field, raftAddr, httpAddr string) (faults []error) {
	for _, a := range []struct{ kind, addr string }{{"raft", raftAddr}, {"http", httpAddr}} {
		if err := api.CheckAddress(a.addr); err != nil {
			faults = append(faults, fmt.Errorf("%s: %s: %w", field, a.kind, err))
		}
	}
	return faults
}

func joined(faults []error) error {
	if len(faults) == 0 {
		return nil
	}
	return malformed("%s", strings.ReplaceAll(errors.Join(faults...).Error(), "\n", "; "))
}

func seats(in []api.Seat) (out []raft.Member) {
	for _, m := range in {
		out = append(out, raft.Member{ID: raft.NodeID(m.ID), Addr: m.Raft, Tag: m.HTTP})
	}
	return out
}
