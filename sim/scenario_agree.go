package sim

import (
	"errors"
	"fmt"
	"time"

	"github.com/troupe-raft/troupe/actors"
	"github.com/troupe-raft/troupe/demo/kv"
	"github.com/troupe-raft/troupe/raft"
)

// A proposal is one command on its way, through the actors' own messages.
type proposal struct {
	data   []byte
	term   raft.Term
	index  raft.Index // of its place in the log of the leader that took it; 0: none yet
	answer any        // nil until there is one
}

// refused reports whether it certainly never happens.
func (p *proposal) refused() bool {
	_, ok := p.answer.(*actors.Refused)
	return ok && p.index == 0
}

// unknown reports whether the proposer was told that nobody knows.
func (sc *scenario) unknown(p *proposal) bool {
	r, ok := p.answer.(*actors.Refused)
	return ok && errors.Is(r.Err, actors.ErrIndeterminate)
}

// command makes one that is like no other.
func (sc *scenario) command() []byte { return sc.commandOf(fmt.Sprintf("%d", sc.rand.Uint64())) }

func (sc *scenario) commandOf(value string) []byte {
	return kv.Command{Op: kv.Put, Key: "k", Value: []byte(value)}.Encode()
}

// propose sends a command to a node, whoever that is, and does not wait.
func (sc *scenario) propose(id raft.NodeID, data []byte) *proposal {
	l := sc.life(id)
	p := &proposal{data: data, term: l.view.term}
	l.ask(&actors.Propose{Data: data}, func(answer any) {
		p.answer = answer
		if m, ok := answer.(*actors.Proposed); ok {
			p.index = m.Index
			sc.check.acknowledged(m.Index, data)
		}
	})
	return p
}

// start is propose, but waits until a leader put the command into its log. It returns nil if the node does not lead.
func (sc *scenario) start(id raft.NodeID, data []byte) *proposal {
	sc.t.Helper()
	l := sc.life(id)
	if l == nil || l.view.role != raft.Leader {
		return nil
	}
	from, hash := l.view.last.Index, hashOf(data)
	p := sc.propose(id, data)
	sc.await(time.Second, "a proposal is taken or refused", func() bool {
		for i := l.view.last.Index; i > from && p.index == 0; i-- {
			if k, ok := sc.check.entries[raft.EntryID{Index: i, Term: l.view.term}]; ok && k.data == hash {
				p.index, p.term = i, l.view.term
			}
		}
		return p.answer != nil || p.index != 0
	})
	if p.refused() {
		return nil
	}
	return p
}

// leads says who leads which term, among the nodes that are up and connected.
func (sc *scenario) leads() map[raft.Term]raft.NodeID {
	sc.t.Helper()
	leaders := map[raft.Term]raft.NodeID{}
	for _, id := range sc.ids {
		if l := sc.life(id); l != nil && sc.connected(id) && l.view.role == raft.Leader {
			if first, ok := leaders[l.view.term]; ok {
				sc.fatalf("term %d has leaders %d and %d", l.view.term, first, id)
			}
			leaders[l.view.term] = id
		}
	}
	return leaders
}

// checkOneLeader looks up to ten times, 450ms to 549ms apart, for the leader of the highest term.
func (sc *scenario) checkOneLeader() raft.NodeID {
	sc.t.Helper()
	for range 10 {
		sc.sleep(450*time.Millisecond + time.Duration(sc.rand.IntN(100))*time.Millisecond)
		var highest raft.Term
		leaders := sc.leads()
		for term := range leaders {
			highest = max(highest, term)
		}
		if highest > 0 {
			return leaders[highest]
		}
	}
	sc.fatalf("expected one leader, there is none")
	return raft.None
}

func (sc *scenario) checkNoLeader() {
	sc.t.Helper()
	for term, id := range sc.leads() {
		sc.fatalf("expected no leader, but node %d leads term %d", id, term)
	}
}

// checkTerms is the term that all connected nodes agree on.
func (sc *scenario) checkTerms() (term raft.Term) {
	sc.t.Helper()
	for _, id := range sc.ids {
		l := sc.life(id)
		if l == nil || !sc.connected(id) {
			continue
		}
		if term != 0 && l.view.term != term {
			sc.fatalf("nodes disagree on the term")
		}
		term = l.view.term
	}
	return term
}

// term is the one that a node is in.
func (sc *scenario) term(id raft.NodeID) raft.Term { return sc.life(id).view.term }

// committed counts the nodes that applied a command through an index. That all applied the same is the checker's business.
func (sc *scenario) committed(i raft.Index) (nodes int) {
	for _, id := range sc.ids {
		if l := sc.life(id); l != nil && l.machine != nil && l.machine.index >= i {
			nodes++
		}
	}
	return nodes
}

// holds reports whether the command is committed at the index.
func (sc *scenario) holds(i raft.Index, data []byte) bool {
	return i > 0 && i <= raft.Index(len(sc.check.log)) && sc.check.log[i-1].data == hashOf(data)
}

// wait looks up to thirty times, at intervals that double from 10ms to a second, until enough nodes applied the index. False: somebody is
// beyond the term, unless that is 0.
func (sc *scenario) wait(i raft.Index, nodes int, term raft.Term) bool {
	sc.t.Helper()
	pause := 10 * time.Millisecond
	for range 30 {
		if sc.committed(i) >= nodes {
			return true
		}
		sc.sleep(pause)
		if pause < time.Second {
			pause *= 2
		}
		for _, id := range sc.ids {
			if l := sc.life(id); l != nil && term > 0 && l.view.term > term {
				return false
			}
		}
	}
	if n := sc.committed(i); n < nodes {
		sc.fatalf("only %d applied index %d; wanted %d", n, i, nodes)
	}
	return true
}

// one has a command agreed on by so many nodes, within 10s, and returns its index. It asks all that are connected, and waits 2s for each
// agreement; without retry for one only.
func (sc *scenario) one(data []byte, nodes int, retry bool) raft.Index {
	sc.t.Helper()
	for end := sc.clock.Now() + 10*time.Second; sc.clock.Now() < end; {
		var index raft.Index
		for range sc.ids {
			sc.turn = (sc.turn + 1) % len(sc.ids)
			if id := sc.ids[sc.turn]; sc.connected(id) {
				if p := sc.start(id, data); p != nil {
					index = p.index
				}
			}
		}
		if index == 0 {
			sc.sleep(50 * time.Millisecond)
			continue
		}
		if sc.within(2*time.Second, func() bool { return sc.committed(index) >= nodes && sc.holds(index, data) }) {
			return index
		}
		if !retry {
			break
		}
	}
	sc.fatalf("one(%q) reached no agreement of %d nodes", data, nodes)
	return 0
}

// An agreement is one that is waited for in the background.
type agreement struct {
	data  []byte
	tries []*proposal
	done  bool
}

// agree is one, for one node and with retries, but does not wait.
func (sc *scenario) agree(data []byte) *agreement {
	a := &agreement{data: data}
	sc.press(a)
	return a
}

// press proposes to all who lead, and again after 2s.
func (sc *scenario) press(a *agreement) {
	a.tries = a.tries[:0]
	for _, id := range sc.ids {
		if l := sc.life(id); l != nil && sc.connected(id) && l.view.role == raft.Leader {
			a.tries = append(a.tries, sc.propose(id, a.data))
		}
	}
	if len(a.tries) == 0 {
		sc.clock.AfterFunc(50*time.Millisecond, func() { sc.press(a) })
		return
	}
	since := sc.clock.Now()
	var look func()
	look = func() {
		for _, p := range a.tries {
			a.done = a.done || p.index > 0
		}
		switch {
		case a.done:
		case sc.clock.Now()-since >= 2*time.Second:
			sc.press(a)
		default:
			sc.clock.AfterFunc(20*time.Millisecond, look)
		}
	}
	look()
}
