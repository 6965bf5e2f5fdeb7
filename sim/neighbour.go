package sim

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/troupe-raft/troupe/actors"
	"github.com/troupe-raft/troupe/raft"
	"github.com/troupe-raft/troupe/remote"
)

// Some runs have further groups on every founder's host, which share its heartbeats, its store and its disk with the group that all
// else looks at. They are judged by what their programs see: the state machine's order, what clients are told, and reads.

// A neighbour is one such group, in all its replicas.
type neighbour struct {
	sim     *Sim
	id      raft.GroupID
	rand    *rand.Rand
	applied map[raft.Index]uint64   // the hash of the command that was applied there first
	chains  map[raft.Index]uint64   // of all that was applied so far
	places  map[uint64]raft.Index   // where each command was applied
	refused map[uint64]error        // commands whose client was told that they never happen
	acked   raft.Index              // the last write that was acknowledged
	serial  int                     // of commands
	open    int                     // requests without an answer or a timeout
	served  time.Duration           // when a write was last acknowledged
	crowd   int                     // how many writes are open at once, each sent again at once when the group is busy
	repeats int                     // that may still follow
	target  raft.NodeID             // whom it asks
	failed  map[raft.NodeID]*life   // whose replica went down for good in this life
	plain   bool                    // its state machine has Apply alone: it takes no snapshots, and a replica that crashes is down
	groups  map[*life]*actors.Group // its replicas
	copies  map[*life]*neighbourly  // their state machines
}

// Limits of the client of a neighbour.
const (
	mostCrowd   = 24
	mostRepeats = 3_000
)

// neighbours draws how many such groups the hosts have. Disks on which something of one group rots or goes back are the matter of runs without.
func (c Config) neighbours() int {
	r := rand.New(rand.NewPCG(c.Seed, 0x4e16))
	n := 1 + r.IntN(3)
	if r.IntN(4) != 0 || c.Quiet || c.Rot || len(c.Broken) > 0 || c.Clients < 0 {
		return 0
	}
	return n
}

func (s *Sim) newNeighbour(i int) *neighbour {
	g := &neighbour{
		sim: s, id: groupID + 1 + raft.GroupID(i), rand: s.rand(fmt.Sprintf("neighbour %d", i)),
		applied: map[raft.Index]uint64{}, chains: map[raft.Index]uint64{}, places: map[uint64]raft.Index{}, refused: map[uint64]error{},
		failed: map[raft.NodeID]*life{}, groups: map[*life]*actors.Group{}, copies: map[*life]*neighbourly{}, crowd: 1, repeats: mostRepeats,
		target: s.founders[0],
	}
	g.plain = rand.New(rand.NewPCG(s.cfg.Seed, uint64(g.id))).IntN(3) == 0
	if g.rand.IntN(2) == 0 {
		g.crowd = 2 + g.rand.IntN(mostCrowd)
	}
	return g
}

// spawn starts the replica of a life.
func (g *neighbour) spawn(l *life) {
	cfg := g.sim.group()
	cfg.Group, cfg.Members = g.id, g.sim.founders
	if g.plain {
		m := &neighbourly{group: g, life: l}
		g.copies[l] = m
		cfg.Apply, cfg.NoRestart = m.Apply, true
	} else {
		cfg.StateMachine = func() actors.StateMachine {
			m := &neighbourly{group: g, life: l}
			g.copies[l] = m
			return m
		}
	}
	group, err := actors.StartGroup(l.host, cfg)
	if err != nil {
		g.sim.check.fail("groups start", "node %d, group %d: %v", l.node.id, g.id, err)
		return
	}
	g.groups[l] = group
	g.sim.foreign[group.PID().Id] = true
}

// fails notes that a replica is down for good: for its disk's sake, or after panics that were injected.
func (g *neighbour) fails(n *node, reason error) {
	g.sim.trace.note("node %d failed in group %d: %s", n.id, g.id, firstLine(reason.Error()))
	if n.life == nil {
		return
	}
	g.failed[n.id] = n.life
	if !n.life.deaf && !n.disk.excuses(reason) && !sabotaged(reason) {
		g.sim.check.fail("replicas fail only with their disk", "node %d, group %d: %v", n.id, g.id, reason)
	}
}

// pause has the clients go on after a while.
func (g *neighbour) pause() {
	g.sim.clock.AfterFunc(time.Millisecond+time.Duration(g.rand.Int64N(int64(g.sim.cfg.Think)+1)), g.next)
}

// next writes or reads.
func (g *neighbour) next() {
	if g.sim.finished {
		return
	}
	defer g.pause()
	if g.rand.IntN(3) == 0 {
		g.target = g.sim.founders[g.rand.IntN(len(g.sim.founders))]
	}
	for range g.crowd - g.open {
		if g.rand.IntN(4) == 0 {
			g.read()
		} else {
			g.serial++
			g.write(fmt.Appendf(nil, "%d.%d", g.id, g.serial))
		}
	}
}

// ask asks the replica of the node that the clients take for the leader. Without an answer in time the request is given up: what comes later is
// held to what it says.
func (g *neighbour) ask(message any, answered func(l *life, answer any)) {
	l := g.sim.nodes[g.target].life
	group := g.groups[l]
	if l == nil || group == nil {
		return
	}
	g.open++
	over := false
	end := func() {
		if !over {
			over = true
			g.open--
		}
	}
	g.sim.clock.AfterFunc(clientTimeout, end)
	l.askOf(group.PID(), message, func(answer any) {
		end()
		answered(l, answer)
	})
}

func (g *neighbour) write(data []byte) {
	hash := hashOf(data)
	g.ask(&actors.Propose{Data: data}, func(_ *life, answer any) {
		switch m := answer.(type) {
		case *actors.Proposed:
			g.acked, g.served = max(g.acked, m.Index), g.sim.clock.Now()
			if g.applied[m.Index] != hash {
				g.sim.check.fail("what is acknowledged is applied", "group %d: write %s is said to be at %d", g.id, data, m.Index)
			}
		case *actors.Refused:
			g.turnedAway(m.Err, hash, data)
		}
	})
}

// turnedAway takes a refusal. As an actor may, the client repeats at once what found the group busy.
func (g *neighbour) turnedAway(err error, hash uint64, data []byte) {
	var elsewhere *raft.NotLeaderError
	switch {
	case errors.Is(err, actors.ErrIndeterminate):
	case errors.As(err, &elsewhere) && elsewhere.Leader != raft.None:
		g.target = elsewhere.Leader
		g.refuse(hash, err)
	case errors.Is(err, actors.ErrBusy) && g.repeats > 0 && !g.sim.finished:
		g.repeats--
		g.sim.count("a busy group is asked again at once")
		g.write(data)
	default:
		g.refuse(hash, err)
	}
}

func (g *neighbour) refuse(hash uint64, err error) {
	g.refused[hash] = err
	if i, ok := g.places[hash]; ok {
		g.sim.check.fail("what is refused never happens", "group %d: it was applied at %d and then refused: %v", g.id, i, err)
	}
}

// read: whoever may be read from has applied all that had been acknowledged when it was asked.
func (g *neighbour) read() {
	before := g.acked
	g.ask(&actors.Read{Lease: g.rand.IntN(2) == 0}, func(l *life, answer any) {
		if _, ok := answer.(*actors.ReadPoint); ok && g.copies[l].index < before {
			g.sim.check.fail("linearizability", "group %d: node %d may be read at %d, acknowledged before was %d", g.id, l.node.id, g.copies[l].index, before)
		}
	})
}

// serves reports whether a write was acknowledged since a moment, or none can be.
func (g *neighbour) serves(since time.Duration) bool {
	live := 0
	for _, id := range g.sim.founders {
		if n := g.sim.nodes[id]; !n.gone && n.life != nil && g.failed[id] != n.life {
			live++
		}
	}
	return g.served > since || live <= len(g.sim.founders)/2
}

// A neighbourly is the state machine of a neighbour's replica: all that was applied, as one number. It implements actors.StateMachine.
type neighbourly struct {
	group *neighbour
	life  *life
	index raft.Index
	chain uint64
}

// Apply implements actors.StateMachine.
func (m *neighbourly) Apply(c actors.Command) []byte {
	g, hash := m.group, hashOf(c.Data)
	check := g.sim.check
	if was, ok := g.applied[c.Index]; ok && was != hash {
		check.fail("state machine safety", "group %d: node %d applies something else at %d than others", g.id, m.life.node.id, c.Index)
	}
	if at, ok := g.places[hash]; ok && at != c.Index {
		check.fail("each write happens once", "group %d: node %d applies at %d what was applied at %d", g.id, m.life.node.id, c.Index, at)
	}
	if err := g.refused[hash]; err != nil {
		check.fail("what is refused never happens", "group %d: node %d applies at %d what was refused: %v", g.id, m.life.node.id, c.Index, err)
	}
	if c.Index <= m.index {
		check.fail("each index is applied once, in order", "group %d: node %d applies %d after %d", g.id, m.life.node.id, c.Index, m.index)
	}
	m.index, m.chain = c.Index, mix(mix(m.chain, uint64(c.Index)), hash)
	if was, ok := g.chains[c.Index]; ok && was != m.chain {
		check.fail("state machine safety", "group %d: node %d applied other commands than the first through %d", g.id, m.life.node.id, c.Index)
	}
	g.applied[c.Index], g.places[hash], g.chains[c.Index] = hash, c.Index, m.chain
	return nil
}

// Snapshot implements actors.StateMachine.
func (m *neighbourly) Snapshot() (func(io.Writer) error, error) {
	content := binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(nil, uint64(m.index)), m.chain)
	return func(w io.Writer) error {
		_, err := w.Write(content)
		return err
	}, nil
}

// Restore implements actors.StateMachine.
func (m *neighbourly) Restore(r io.Reader) error {
	m.index, m.chain = 0, 0
	if r == nil {
		return nil
	}
	var content [machineHead]byte
	if _, err := io.ReadFull(r, content[:]); err != nil {
		return fmt.Errorf("sim: snapshot: %w", err)
	}
	m.index, m.chain = readHead(content[:])
	if m.group.chains[m.index] != m.chain {
		m.group.sim.check.fail("a snapshot equals the log it replaces", "group %d: node %d restores another state than the log makes of entry %d", m.group.id, m.life.node.id, m.index)
	}
	return nil
}

var _ actors.StateMachine = (*neighbourly)(nil)

// neighbourOf is the neighbour whose replica an event speaks of, nil for the group that all else looks at, and for hosts.
func (s *Sim) neighbourOf(event any) *neighbour {
	for _, g := range s.neighbours {
		if groupOf(event) == g.id {
			return g
		}
	}
	return nil
}

// groupOf is the group that an event speaks of, 0 for none.
func groupOf(event any) raft.GroupID {
	v := reflect.Indirect(reflect.ValueOf(event))
	if v.Kind() != reflect.Struct {
		return 0
	}
	field := v.FieldByName("Group")
	if !field.IsValid() || field.Type() != reflect.TypeFor[raft.GroupID]() {
		return 0
	}
	return raft.GroupID(field.Uint())
}

// elsewhere reports whether an actor of a neighbour handles the message of this step.
func (s *Sim) elsewhere() bool {
	root, _, _ := strings.Cut(s.handler, "/")
	return s.foreign[root]
}

// ofGroup is what a message says of the group that is looked at message by message, and whether it says anything of it.
func ofGroup(e remote.Envelope) (remote.Envelope, bool) {
	pulse, ok := e.Message.(*remote.Pulse)
	if !ok {
		return e, e.Group == groupID
	}
	own := &remote.Pulse{}
	for _, b := range pulse.Beats {
		if b.Group == groupID {
			own.Beats = append(own.Beats, b)
		}
	}
	return remote.Envelope{Message: own}, len(own.Beats) > 0
}

// lacks reports whether the replica of some neighbour is down for good on a node.
func (s *Sim) lacks(n *node) bool {
	return slices.ContainsFunc(s.neighbours, func(g *neighbour) bool { return n.life != nil && g.failed[n.id] == n.life })
}
