package remote

import (
	"fmt"
	"time"

	"github.com/troupe-raft/troupe/entry"
	"github.com/troupe-raft/troupe/raft"
)

// heads is a decoded head section, reused from frame to frame by the goroutine that reads a connection.
type heads struct {
	batch []Envelope
	wants []want
	sizes []int // of payloads, for all wants
}

// A want is what a message of the batch still lacks.
type want struct {
	at       int // in batch
	from, to int // in sizes
	bytes    int
	sum      uint32
}

// decode fills h from a head section that announces payload bytes in all. It copies what it keeps.
func (h *heads) decode(section []byte, payload int) error {
	clear(h.batch)
	h.batch, h.wants, h.sizes = h.batch[:0], h.wants[:0], h.sizes[:0]
	r := reader{b: section}
	announced := 0
	for len(r.b) > 0 {
		if len(h.batch) == maxBatch {
			return fmt.Errorf("remote: %w frame: more than %d messages", errMalformed, maxBatch)
		}
		wants := len(h.wants)
		e, err := h.envelope(&r)
		if err != nil {
			return err
		}
		h.batch = append(h.batch, e)
		if len(h.wants) > wants {
			announced += h.wants[wants].bytes
		}
		if announced > payload {
			break
		}
	}
	if announced != payload {
		return fmt.Errorf("remote: %w frame: heads announce %d bytes of payload, the frame has %d", errMalformed, announced, payload)
	}
	return nil
}

func (h *heads) envelope(r *reader) (Envelope, error) {
	fields := r.array(1)
	kind := r.byte()
	e := Envelope{Group: raft.GroupID(r.uint())}
	known := 0
	switch kind {
	case kindRequestVote:
		known = 6
		e.Message = &raft.RequestVote{Term: r.term(), Candidate: r.node(), Last: r.id(), PreVote: r.bool(), Transfer: r.bool()}
	case kindRequestVoteReply:
		known = 4
		e.Message = &raft.RequestVoteReply{Term: r.term(), Asked: r.term(), Granted: r.bool(), PreVote: r.bool()}
	case kindAppendBlocks:
		known = 6
		m := &roomForOne{}
		m.AppendEntries = raft.AppendEntries{Term: r.term(), Leader: r.node(), Prev: r.id(), Commit: r.index()}
		if h.wantBlocks(r) {
			m.Blocks, m.Runs = m.block[:0], m.run[:0]
		}
		e.Message = &m.AppendBlocks
	case kindAppendEntriesReply:
		known = 6
		e.Message = &raft.AppendEntriesReply{Term: r.term(), Success: r.bool(), Match: r.index(), Prev: r.index(), Hint: r.id()}
	case kindHeartbeatReply:
		known = 3
		e.Message = &raft.HeartbeatReply{Term: r.term(), Round: r.uint(), Sent: time.Duration(r.int())}
	case kindInstallSnapshotReply:
		known = 2
		e.Message = &raft.InstallSnapshotReply{Term: r.term(), Match: r.index()}
	case kindTimeoutNow:
		known = 2
		e.Message = &raft.TimeoutNow{Term: r.term(), Leader: r.node()}
	case kindPulse:
		known = 1
		e.Message = r.pulse()
	case kindSnapshotChunk:
		known = 11
		m := r.chunk()
		h.wantData(r)
		e.Message = m
	case kindSnapshotChunkReply:
		known = 5
		e.Message = &SnapshotChunkReply{Term: r.term(), Index: r.index(), Offset: r.size(), Done: r.bool(), Refused: r.string()}
	default:
		return e, fmt.Errorf("remote: %w head: unknown kind %d", errMalformed, kind)
	}
	if r.bad || fields != 2+known {
		return e, fmt.Errorf("remote: %w head of kind %d", errMalformed, kind)
	}
	return e, nil
}

// A roomForOne spares the usual append, of a single block, two allocations.
type roomForOne struct {
	AppendBlocks
	block [1]*entry.Block
	run   [1]raft.Run
}

// wantBlocks reads the sizes of the blocks of the envelope that is next to join the batch, and whether there are any.
func (h *heads) wantBlocks(r *reader) bool {
	n := r.array(1)
	w := want{at: len(h.batch), from: len(h.sizes)}
	for range n {
		size := int(r.uint32())
		if size <= 0 || size > maxFrame || r.bad {
			r.bad = true
			return false
		}
		h.sizes = append(h.sizes, size)
		w.bytes += size
	}
	w.to = len(h.sizes)
	if n > 0 {
		h.wants = append(h.wants, w)
	}
	return n > 0
}

func (h *heads) wantData(r *reader) {
	w := want{at: len(h.batch), bytes: int(r.uint32()), sum: r.uint32()}
	r.bad = r.bad || w.bytes < 0 || w.bytes > maxFrame
	h.wants = append(h.wants, w)
}

func (r *reader) term() raft.Term   { return raft.Term(r.uint()) }
func (r *reader) index() raft.Index { return raft.Index(r.uint()) }
func (r *reader) node() raft.NodeID { return raft.NodeID(r.uint()) }

func (r *reader) id() raft.EntryID { return raft.EntryID{Index: r.index(), Term: r.term()} }

// size is an int64 that counts bytes.
func (r *reader) size() int64 {
	v := r.int()
	r.bad = r.bad || v < 0
	return v
}

// structure reads the header of an array of exactly n fields.
func (r *reader) structure(n int) {
	r.bad = r.array(1) != n || r.bad
}

func (r *reader) pulse() *Pulse {
	m := &Pulse{}
	if n := r.array(8); n > 0 {
		m.Beats = make([]Beat, 0, n)
		for range n {
			r.structure(7)
			m.Beats = append(m.Beats, Beat{Group: raft.GroupID(r.uint()), Heartbeat: raft.Heartbeat{
				Term: r.term(), Leader: r.node(), Round: r.uint(), Sent: time.Duration(r.int()), Commit: r.id()}})
			if r.bad {
				return m
			}
		}
	}
	return m
}

func (r *reader) chunk() *SnapshotChunk {
	m := &SnapshotChunk{Term: r.term(), Leader: r.node()}
	m.Meta.Index, m.Meta.Term = r.index(), r.term()
	membership, err := entry.DecodeMembership(r.bin())
	r.bad = r.bad || err != nil
	m.Meta.Membership = membership
	m.Size, m.Sum, m.Offset, m.Last = r.size(), r.uint32(), r.size(), r.bool()
	return m
}
