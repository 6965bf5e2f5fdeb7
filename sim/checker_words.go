package sim

import (
	"github.com/troupe-raft/troupe/raft"
	"github.com/troupe-raft/troupe/remote"
)

// spoken looks at a message that leaves a node: what it promises must be on the node's disk.
func (c *checker) spoken(from, to raft.NodeID, e remote.Envelope) {
	m := c.sim.nodes[from].disk.image(groupID)
	var term raft.Term
	switch w := e.Message.(type) {
	case *raft.RequestVote:
		c.asks(from, m, w)
		return
	case *raft.RequestVoteReply:
		c.votesFor(from, to, m, w)
		return
	case *remote.AppendBlocks:
		term = w.Term
		c.leads(from, w.Leader, w.Term)
	case *remote.Pulse:
		for i := range w.Beats {
			term = max(term, w.Beats[i].Term)
			c.leads(from, w.Beats[i].Leader, w.Beats[i].Term)
		}
	case *raft.AppendEntriesReply:
		term = w.Term
		if w.Success {
			c.holds(from, m, w.Term, w.Match)
		}
	case *raft.InstallSnapshotReply:
		term = w.Term
		c.holds(from, m, w.Term, w.Match)
	case *raft.HeartbeatReply:
		term = w.Term
	case *raft.TimeoutNow:
		term = w.Term
	}
	c.durable(from, m, term)
}

func (c *checker) durable(node raft.NodeID, m *image, term raft.Term) {
	if m.hard.Term < term {
		c.fail("terms are durable before they are spoken", "node %d speaks in term %d, on its disk is term %d", node, term, m.hard.Term)
	}
}

// asks: a candidate's own vote is on its disk. A prevote asks for a term that is nobody's yet.
func (c *checker) asks(node raft.NodeID, m *image, w *raft.RequestVote) {
	if w.PreVote {
		c.durable(node, m, w.Term-1)
		return
	}
	c.durable(node, m, w.Term)
	if m.hard.Term == w.Term && m.hard.Vote != w.Candidate {
		c.fail("votes are durable before they are spoken", "candidate %d asks in term %d, its own vote on disk is %d", node, w.Term, m.hard.Vote)
	}
	c.voted(node, w.Term, w.Candidate)
}

func (c *checker) votesFor(node, to raft.NodeID, m *image, w *raft.RequestVoteReply) {
	c.durable(node, m, w.Term)
	if !w.Granted || w.PreVote {
		return
	}
	if m.hard.Term < w.Asked || m.hard.Term == w.Asked && m.hard.Vote != to {
		c.fail("votes are durable before they are spoken", "node %d grants term %d to %d, on its disk are term %d and vote %d", node, w.Asked, to, m.hard.Term, m.hard.Vote)
	}
	c.voted(node, w.Asked, to)
}

// voted: nobody votes twice in a term, crashes or not.
func (c *checker) voted(voter raft.NodeID, term raft.Term, candidate raft.NodeID) {
	b := ballot{voter, term}
	if had, ok := c.votes[b]; ok && had != candidate {
		c.fail("one vote per term", "node %d votes for %d and for %d in term %d", voter, had, candidate, term)
	}
	c.votes[b] = candidate
}

// leads: whoever speaks as the leader of a term is the only one who does.
func (c *checker) leads(node, leader raft.NodeID, term raft.Term) {
	if who, ok := c.leaders[term]; leader != node || ok && who != node {
		c.fail("election safety", "node %d speaks as leader %d of term %d, whose leader is %d", node, leader, term, who)
	}
}

// holds: an acknowledged log is on disk. An old acknowledgement that is still on its way after a newer term
// overwrote the log says nothing any more.
func (c *checker) holds(node raft.NodeID, m *image, term raft.Term, match raft.Index) {
	if m.hard.Term == term && m.last().Index < match && m.snapshot.Index < match {
		c.fail("acknowledgements are durable before they are spoken", "node %d acknowledges %d in term %d, its disk ends at %d", node, match, term, m.last().Index)
	}
}
