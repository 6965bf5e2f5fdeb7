package sim

import (
	"errors"
	"strings"
	"sync/atomic"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/troupe-raft/troupe/actors"
	"github.com/troupe-raft/troupe/election"
	"github.com/troupe-raft/troupe/raft"
)

// unknown is a node that nobody ever names but by mistake: careful operators do make the stranger a learner.
const unknown = stranger + 22

// A mistakeKind is one of them.
type mistakeKind struct {
	name string
	make func(*Sim, *node) any // the message, or an error that came at once
}

// mistakes are what operators and programs do that cannot be meant. None may have an effect, and none may go without an error.
var mistakes = []mistakeKind{
	{"nobody votes", func(s *Sim, n *node) any {
		return &actors.ChangeMembers{Change: actors.Change{Remove: n.life.view.members.Voters}}
	}},
	{"too many vote", func(*Sim, *node) any {
		var all []raft.Member
		for id := range raft.NodeID(raft.MaxVoters + 1) {
			all = append(all, raft.Member{ID: id + 1})
		}
		return &actors.ChangeMembers{Change: actors.Change{Voters: all}}
	}},
	{"node 0 votes", func(*Sim, *node) any {
		return &actors.ChangeMembers{Change: actors.Change{AddVoters: []raft.Member{{}}}}
	}},
	{"promote a stranger", func(*Sim, *node) any {
		return &actors.ChangeMembers{Change: actors.Change{Promote: []raft.NodeID{unknown}}}
	}},
	{"remove a stranger", func(*Sim, *node) any {
		return &actors.ChangeMembers{Change: actors.Change{Remove: []raft.NodeID{unknown}}}
	}},
	{"transfer to a stranger", func(*Sim, *node) any { return &actors.TransferLeadership{To: unknown} }},
	{"a change of members from long ago", func(s *Sim, n *node) any {
		return &actors.ChangeMembers{Change: actors.Change{AddLearners: []raft.Member{{ID: unknown}}, BasedOn: n.life.view.last.Index + 1_000_000}}
	}},
	// Of another module, as programs' are: what this one sends itself may come to a replica that has no use for it any more, and is not answered then.
	{"a message that no group knows", func(*Sim, *node) any { return &atomic.Pointer[strangeMessage]{} }},
	{"a session that is not there is closed", func(*Sim, *node) any { return &actors.CloseSession{Session: 1 << 60} }},
	{"transfer to nobody", func(*Sim, *node) any { return &actors.TransferLeadership{} }},
	{"a proposal too large", func(s *Sim, _ *node) any {
		return &actors.Propose{Data: make([]byte, s.limits.entry+1)}
	}},
	{"a change of members from before the last", func(_ *Sim, n *node) any {
		if rules := n.life.view.node; rules == nil || rules.CheckBasis(1) == nil {
			return errBad
		}
		return &actors.ChangeMembers{Change: actors.Change{AddLearners: []raft.Member{{ID: unknown}}, BasedOn: 1}}
	}},
	{"a change by value, of nobody", func(*Sim, *node) any { return actors.ChangeMembers{} }},
	{"a stranger is let back", func(*Sim, *node) any {
		return &actors.ChangeMembers{Change: actors.Change{Readmit: []raft.NodeID{unknown}}}
	}},
	{"somebody is let back who never left", func(_ *Sim, n *node) any {
		return &actors.ChangeMembers{Change: actors.Change{Readmit: []raft.NodeID{n.id}}}
	}},
	{"a follower steps down", func(_ *Sim, n *node) any {
		if n.life.view.role == raft.Leader {
			return errBad
		}
		return &actors.StepDown{}
	}},
	{"a second replica", func(s *Sim, n *node) any {
		cfg := s.group()
		cfg.StateMachine = n.life.newMachine
		_, err := actors.StartGroup(n.life.host, cfg)
		return err
	}},
	{"a group badly configured", func(s *Sim, n *node) any {
		for _, cfg := range badGroups() {
			if _, err := actors.StartGroup(n.life.host, cfg); err == nil {
				return nil
			}
		}
		return errBad
	}},
	{"a host badly configured", func(s *Sim, n *node) any {
		_, err := actors.StartHost(s.system, actors.HostConfig{Tuning: actors.HostTuning{Beats: -1}})
		return err
	}},
	{"an actor badly configured", func(s *Sim, n *node) any { return s.refuser(n, badGroup()) }},
	{"a second actor", func(s *Sim, n *node) any {
		cfg := s.group()
		cfg.StateMachine = n.life.newMachine
		return s.refuser(n, cfg)
	}},
}

// badGroups are configurations that StartGroup refuses, each for another reason.
func badGroups() []actors.GroupConfig {
	apply := func(actors.Command) []byte { return nil }
	return []actors.GroupConfig{
		badGroup(),
		{Group: 77, Apply: apply, NoRestart: true, ElectionTimeout: election.Timeout{Min: -1, Max: -2}},
		{Group: 77, Apply: apply, NoRestart: true, ElectionTimeout: election.Timeout{Min: 1, Max: 2}}, // below any heartbeat interval
		{Group: 77, Apply: apply, NoRestart: true, Tuning: actors.Tuning{Crashes: actors.Restarts{First: 2, Max: 1}}},
		{Group: 77, Apply: apply}, // nothing resets its state
	}
}

var errBad = errors.New("sim: refused, as it should be")

func badGroup() actors.GroupConfig { return actors.GroupConfig{Group: 77, MaxBlockBytes: -1} }

// mostTries is how often a mistake is made by those who find nobody that leads.
const mostTries = 4

// mistake makes one on a node: on the one that leads, if there is one, as that is who takes requests.
func (s *Sim) mistake(n *node, name string, tries int) {
	if leader := s.leader(); leader != nil {
		n = leader
	}
	if n.life == nil || n.life.group == nil || n.starting || !n.life.running() {
		return
	}
	n.life.ask(&actors.GetStatus{}, func(answer any) { // whoever made it looks
		switch answer.(type) {
		case actors.Status, *actor.DeadLetterResponse:
		default:
			s.check.fail("requests get the answer to them", "node %d answers GetStatus by %T", n.id, answer)
		}
	})
	for _, m := range allMistakes() {
		if m.name != name {
			continue
		}
		s.count("mistake: " + name)
		switch made := m.make(s, n).(type) {
		case error:
		case nil:
			s.check.fail("mistakes are refused", "%s on node %d: no error", name, n.id)
		case *refuser:
			made.ask()
		default:
			n.life.ask(made, func(answer any) {
				switch a := answer.(type) {
				case *actors.Refused:
					if a.Err == nil || a.Err.Error() == "" {
						s.check.fail("mistakes are refused", "%s on node %d: no reason is given", name, n.id)
					}
					if errors.Is(a.Err, actors.ErrNotLeader) && tries < mostTries {
						s.after(longestTimeout, func() { s.mistake(n, name, tries+1) })
					}
				case *actor.DeadLetterResponse:
				default:
					s.check.fail("mistakes are refused", "%s on node %d is answered by %T %+v", name, n.id, answer, answer)
				}
			})
		}
	}
}

// A refuser is a RaftGroup actor that cannot run.
type refuser struct {
	life *life
	pid  *actor.PID
}

// refuser spawns one.
func (s *Sim) refuser(n *node, cfg actors.GroupConfig) *refuser {
	s.misled, n.life.misled = true, true
	return &refuser{n.life, s.system.Root.Spawn(actors.RaftGroup(n.life.host, cfg))}
}

// ask demands that it refuses, and stops it.
func (r *refuser) ask() {
	s := r.life.node.sim
	r.life.askOf(r.pid, &actors.Propose{Data: []byte("x")}, func(answer any) {
		if _, refused := answer.(*actors.Refused); !refused {
			s.check.fail("mistakes are refused", "an actor that cannot run answers %T %+v", answer, answer)
		}
		s.system.Root.Stop(r.pid)
	})
}

// misledBy reports whether a replica failed since it was started by mistake.
func (l *life) misledBy(reason error) bool { return l != nil && l.misled && mistaken(reason.Error()) }

// mistaken reports whether a replica ended since there was another, or since its configuration is impossible.
func mistaken(why string) bool {
	return strings.Contains(why, "already runs") || strings.Contains(why, "GroupConfig: ")
}

// A stranger is a message that no actor knows.
type strangeMessage struct{ _ byte }

// stray sends one to an actor of a node.
func (s *Sim) stray(n *node, victim string) {
	l := n.life
	if l == nil || n.starting {
		return
	}
	var to []string
	l.stage.Each(func(id string, a actor.Actor) {
		if nameOf(a) == victim {
			to = append(to, id)
		}
	})
	for _, id := range to {
		s.count("stray message to " + victim)
		s.system.Root.Send(s.system.NewLocalPID(id), &strangeMessage{})
	}
}

// strays reports whether a warning is of such a message.
func strays(warning string) bool { return strings.Contains(warning, "strangeMessage") }
