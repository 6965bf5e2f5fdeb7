package sim

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/troupe-raft/troupe/actors"
	"github.com/troupe-raft/troupe/applier"
	"github.com/troupe-raft/troupe/demo/kv"
	"github.com/troupe-raft/troupe/raft"
)

// A machine is the demo's store of one replica, with a record of what was applied to it.
type machine struct {
	life  *life
	kv    *kv.Store
	index raft.Index
	chain uint64 // of everything applied: equal on all replicas at the same index
}

// errSabotage is what an injected panic says.
var errSabotage = errors.New("injected panic")

func (l *life) newMachine() actors.StateMachine {
	l.mayPanic("New")
	l.machine = &machine{life: l, kv: kv.NewStore()}
	return l.machine
}

// Apply implements actors.StateMachine.
func (m *machine) Apply(c actors.Command) []byte {
	m.life.mayPanic("Apply")
	m.life.calls("Apply")
	m.life.asksInVain("Apply")
	if n := m.life.node; n.toil > 0 {
		n.sim.stage.Spend(n.toil)
	}
	if n := m.life.node; n.linger != nil {
		n.sim.stage.Spend(2 * applier.DefaultTurnTime) // by any clock its turn is over
		n.sim.hang(n, "applier.applier", n.linger())
	}
	check := m.life.node.sim.check
	if c.Index <= m.index {
		check.fail("each index is applied once, in order", "node %d applies %d after %d", m.life.node.id, c.Index, m.index)
	}
	check.applies(m.life.node.id, c)
	check.executes(m.life.node.id, c.Index)
	result := m.kv.Apply(c.Data)
	m.index = c.Index
	m.chain = mix(mix(m.chain, uint64(c.Index)), hashOf(c.Data))
	check.result(m.life.node.id, c.Index, applied{chain: m.chain, result: hashOf(result)})
	return result
}

func mix(a, b uint64) uint64 { return (a^b)*0x9e3779b97f4a7c15 ^ a>>29 }

// Snapshot implements actors.StateMachine.
func (m *machine) Snapshot() (func(io.Writer) error, error) {
	m.life.mayPanic("Snapshot")
	m.life.asksInVain("Snapshot")
	write, err := m.kv.Snapshot()
	if err != nil {
		return nil, err
	}
	content, err := m.imprint()
	if err != nil {
		return nil, err
	}
	m.life.node.sim.check.content(m.life.node.id, m.index, content)
	head := binary.BigEndian.AppendUint64(nil, uint64(m.index))
	head = binary.BigEndian.AppendUint64(head, m.chain)
	return func(w io.Writer) error {
		if _, err := w.Write(head); err != nil {
			return err
		}
		m.life.mayPanic("Write")
		return write(w)
	}, nil
}

// Restore implements actors.StateMachine.
func (m *machine) Restore(r io.Reader) error {
	m.life.mayPanic("Restore")
	m.life.asksInVain("Restore")
	if r == nil {
		m.index, m.chain = 0, 0
		return m.kv.Restore(nil)
	}
	var head [machineHead]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return fmt.Errorf("sim: snapshot head: %w", err)
	}
	m.index, m.chain = readHead(head[:])
	check := m.life.node.sim.check
	check.restores++
	if want := check.chains[m.index].chain; m.chain != want {
		check.fail("a snapshot equals the log it replaces", "node %d restores another state than the log makes of entry %d", m.life.node.id, m.index)
	}
	content := newImprint(r)
	if err := m.kv.Restore(content); err != nil {
		return err
	}
	check.content(m.life.node.id, m.index, content.sum)
	return nil
}

// machineHead is what a machine writes before its map: the index and the chain.
const machineHead = 16

func readHead(b []byte) (raft.Index, uint64) {
	return raft.Index(binary.BigEndian.Uint64(b)), binary.BigEndian.Uint64(b[8:])
}

// applies: what is applied is what was committed at its index.
func (c *checker) applies(node raft.NodeID, cmd actors.Command) {
	switch {
	case cmd.Index > raft.Index(len(c.log)):
		c.fail("only committed entries are applied", "node %d applies %d, committed is %d", node, cmd.Index, len(c.log))
	case c.log[cmd.Index-1].kind != raft.Command || c.log[cmd.Index-1].data != hashOf(cmd.Data) || c.log[cmd.Index-1].term != cmd.Term:
		c.fail("state machine safety", "node %d applies something else at %d than was committed", node, cmd.Index)
	}
}

// result: the same commands lead to the same state and the same results everywhere. A replica that skipped one shows here.
func (c *checker) result(node raft.NodeID, i raft.Index, got applied) {
	want, ok := c.chains[i]
	if !ok {
		c.chains[i] = got
		return
	}
	if got.chain != want.chain {
		c.fail("state machine safety", "node %d applied other commands than the first through %d", node, i)
	} else if got.result != want.result {
		c.fail("deterministic results", "node %d gets another result at %d", node, i)
	}
}
