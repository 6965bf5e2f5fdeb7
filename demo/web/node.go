package web

import (
	"cmp"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/troupe-raft/troupe/actors"
	"github.com/troupe-raft/troupe/demo/api"
	"github.com/troupe-raft/troupe/demo/kv"
	"github.com/troupe-raft/troupe/entry"
	"github.com/troupe-raft/troupe/raft"
	"github.com/troupe-raft/troupe/remote"
)

// The routes that each node answers for itself.
func (s *Server) nodeRoutes() {
	s.open("GET /v1/status", func(*http.Request) reply { return encode(statusOf(s.Group.Status())) })
	s.open("GET /v1/log", s.log, "from", "to")
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
			member.Trouble = m.Trouble.Error()
		}
		out.Members = append(out.Members, member)
	}
	if st.Phase != actors.Running {
		out.Phase = st.Phase.String()
	}
	if err := cmp.Or(st.Err, st.Trouble); err != nil {
		out.Error = err.Error()
	}
	return out
}

// healthy says whether the replica is there, or comes back by itself. One that is down for good needs somebody to look at it.
func (s *Server) healthy(*http.Request) reply {
	st := s.Group.Status()
	if st.Phase != actors.Failed && st.Phase != actors.Left {
		return plain("ok\n")
	}
	words := "the replica is down for good"
	if st.Err != nil {
		words += ": " + st.Err.Error()
	}
	return s.refusal(&fault{status: http.StatusServiceUnavailable, words: words})
}

// ready says whether a leader is known and this node has caught up.
func (s *Server) ready(*http.Request) reply {
	st := s.Group.Status()
	if st.Trouble != nil {
		return s.refusal(&fault{status: http.StatusServiceUnavailable, words: st.Trouble.Error()})
	}
	if st.Removed != 0 {
		return s.refusal(errRemoved)
	}
	if st.Stopped || !st.CaughtUp || st.Leader == raft.None {
		return s.refusal(&fault{status: http.StatusServiceUnavailable, words: "not caught up with a leader"})
	}
	return plain("ok\n")
}

func (s *Server) log(r *http.Request) reply {
	ctx, cancel, err := within(r)
	if err != nil {
		return s.refusal(err)
	}
	defer cancel()
	query := r.URL.Query()
	from, err := strconv.ParseUint(cmp.Or(query.Get("from"), "1"), 10, 64)
	if err != nil {
		return s.refusal(malformed("from: %.*q is not an index", maxQuoted, query.Get("from")))
	}
	to, err := strconv.ParseUint(cmp.Or(query.Get("to"), strconv.FormatUint(math.MaxUint64, 10)), 10, 64)
	if err != nil {
		return s.refusal(malformed("to: %.*q is not an index", maxQuoted, query.Get("to")))
	}
	select {
	case s.logReaders <- struct{}{}:
		defer func() { <-s.logReaders }()
	case <-ctx.Done():
		return s.refusal(ctx.Err())
	}
	found, err := s.Group.Log(ctx, raft.Index(from), raft.Index(to))
	if err != nil {
		return s.refusal(err)
	}
	size := 0
	for _, e := range found.Entries {
		size += len(e.Data)
	}
	out, err := s.render(ctx, size, func(b *buffer) error {
		return cmp.Or(
			b.text(fmt.Sprintf(`{"first":%d,"last":%d,"entries":`, found.First, found.Last)),
			b.array(len(found.Entries), func(i int) any {
				e := found.Entries[i]
				kind, data, text := inWords(e)
				out := api.Entry{Index: uint64(e.Index), Term: uint64(e.Term), Kind: kind, Data: data}
				if !text {
					out.DataBase64 = e.Data
				}
				return out
			}),
			b.text("}"),
		)
	})
	if err != nil {
		return s.refusal(err)
	}
	return out
}

// inWords tells what an entry is and says, and whether that is all text.
func inWords(e entry.Entry) (kind, data string, text bool) {
	switch e.Kind {
	case raft.Command:
		c, err := kv.DecodeCommand(e.Data)
		if err != nil {
			return "command", fmt.Sprintf("%q", e.Data), utf8.Valid(e.Data)
		}
		return "command", c.String(), utf8.ValidString(c.Key) && utf8.Valid(c.Value) && utf8.Valid(c.Expect)
	case raft.NoOp:
		return "noop", "", true
	case raft.Reconfigure:
		m, err := entry.DecodeMembership(e.Data)
		if err != nil {
			return "membership", fmt.Sprintf("%q", e.Data), utf8.Valid(e.Data)
		}
		return "membership", memberWords(m), true
	case raft.OpenSession:
		return "open-session", "", true
	case raft.CloseSession:
		return "close-session", strconv.FormatUint(e.Session, 10), true
	default:
		return fmt.Sprintf("kind-%d", e.Kind), fmt.Sprintf("%q", e.Data), utf8.Valid(e.Data)
	}
}

func memberWords(m raft.Membership) string {
	var parts []string
	for _, l := range []struct {
		name string
		ids  []raft.NodeID
	}{{"voters", m.Voters}, {"outgoing", m.Outgoing}, {"learners", m.Learners}} {
		if len(l.ids) > 0 {
			parts = append(parts, l.name+" "+strings.Trim(fmt.Sprint(l.ids), "[]"))
		}
	}
	return strings.Join(parts, ", ")
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
