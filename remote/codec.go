package remote

import (
	"fmt"
	"hash/crc32"
	"math"
	"slices"

	"github.com/troupe-raft/troupe/entry"
	"github.com/troupe-raft/troupe/raft"
)

// The numbers of the kinds.
const (
	kindRequestVote          = 1
	kindRequestVoteReply     = 2
	kindAppendBlocks         = 3
	kindAppendEntriesReply   = 4
	kindHeartbeatReply       = 5
	kindInstallSnapshotReply = 6
	kindTimeoutNow           = 7
	kindPulse                = 8
	kindSnapshotChunk        = 9
	kindSnapshotChunkReply   = 10
	kindRecall               = 11
	kindTrust                = 12
	kindMismatch             = 13
	kindLocation             = 14
	kindRemoved              = 15
)

// kinds is the protocol: see Version for how it grows. Embedded structs are laid flat.
var kinds = newCodec(
	declare(kindRequestVote, 1, Control, func(c *coder, m *raft.RequestVote) {
		unsigned(c, 1, &m.Term)
		unsigned(c, 1, &m.Candidate)
		c.id(1, &m.Last)
		c.flag(1, &m.PreVote)
		c.flag(1, &m.Transfer)
		c.narrow(1, &m.Founders)
	}),
	declare(kindRequestVoteReply, 1, Control, func(c *coder, m *raft.RequestVoteReply) {
		unsigned(c, 1, &m.Term)
		unsigned(c, 1, &m.Asked)
		c.flag(1, &m.Granted)
		c.flag(1, &m.PreVote)
	}),
	appendBlocks,
	declare(kindAppendEntriesReply, 1, Control, func(c *coder, m *raft.AppendEntriesReply) {
		unsigned(c, 1, &m.Term)
		c.flag(1, &m.Success)
		unsigned(c, 1, &m.Match)
		unsigned(c, 1, &m.Prev)
		c.id(1, &m.Hint)
		unsigned(c, 1, &m.Doubt)
	}),
	declare(kindHeartbeatReply, 1, Control, func(c *coder, m *raft.HeartbeatReply) {
		unsigned(c, 1, &m.Term)
		unsigned(c, 1, &m.Round)
		signed(c, 1, &m.Sent)
		unsigned(c, 1, &m.Last)
		unsigned(c, 1, &m.Doubt)
		unsigned(c, 1, &m.Applied)
		signed(c, 2, &m.Promise)
		unsigned(c, 2, &m.Wants)
	}),
	declare(kindInstallSnapshotReply, 1, Control, func(c *coder, m *raft.InstallSnapshotReply) {
		unsigned(c, 1, &m.Term)
		unsigned(c, 1, &m.Match)
		unsigned(c, 1, &m.Doubt)
	}),
	declare(kindTimeoutNow, 1, Control, func(c *coder, m *raft.TimeoutNow) {
		unsigned(c, 1, &m.Term)
		unsigned(c, 1, &m.Leader)
	}),
	declare(kindPulse, 1, Control, func(c *coder, m *Pulse) {
		n := c.list(1, len(m.Beats), 8)
		if c.reading && n > 0 {
			m.Beats = make([]Beat, n)
		}
		for i := 0; i < n && !c.bad; i++ {
			m.Beats[i].fields(c)
		}
	}),
	declare(kindSnapshotChunk, 1, Snapshots, chunkFields),
	declare(kindSnapshotChunkReply, 1, Control, func(c *coder, m *SnapshotChunkReply) {
		unsigned(c, 1, &m.Term)
		unsigned(c, 1, &m.Index)
		c.size(1, &m.Offset)
		c.flag(1, &m.Done)
		c.text(1, &m.Refused)
	}),
	declare(kindMismatch, 1, Control, func(c *coder, m *Mismatch) {
		kind := uint32(m.Kind)
		c.narrow(1, &kind)
		m.Kind = MismatchKind(min(kind, math.MaxUint8))
		c.nodes(1, &m.Founders)
	}),
	declare(kindLocation, 3, Control, func(c *coder, m *Location) {
		unsigned(c, 3, &m.Node)
		c.text(3, &m.Addr)
		c.text(3, &m.Tag)
	}),
	declare(kindRemoved, 3, Control, func(c *coder, m *raft.Removed) {
		unsigned(c, 3, &m.Index)
	}),
	declare(kindRecall, 1, Control, func(c *coder, m *raft.Recall) {
		unsigned(c, 1, &m.Term)
		unsigned(c, 1, &m.Leader)
		signed(c, 1, &m.Sent)
		c.id(1, &m.Entry)
	}),
	declare(kindTrust, 1, Control, func(c *coder, m *raft.Trust) {
		unsigned(c, 1, &m.Term)
		unsigned(c, 1, &m.Leader)
		unsigned(c, 1, &m.Life)
		c.id(1, &m.Entry)
		c.flag(1, &m.Unaided)
	}),
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Estimates of what encoding takes. They are never too low: a batch cut by estimate always fits its frame.
const (
	costEnvelope = 128 // any message without its variable parts
	costBlock    = 8   // size in the head
	costBeat     = 72
	costNode     = 9
	costMember   = 32 // ID and headers
)

// maxBatch is how many messages a frame holds at most: twice what a sender puts into one. Their heads are so short
// that, without it, a frame could cost its receiver thirty times its size.
const maxBatch = 2 * frameTarget / costEnvelope

// cost is how many bytes e takes at most in a frame, or 0 when it is nothing that travels.
func cost(e Envelope) int {
	n := costEnvelope
	switch m := e.Message.(type) {
	case *AppendBlocks:
		for _, b := range m.Blocks {
			n += costBlock + len(b.Bytes())
		}
	case *Pulse:
		n += costBeat * len(m.Beats)
	case *SnapshotChunk:
		n += len(m.Data)
		ms := &m.Meta.Membership
		n += costNode * (len(ms.Voters) + len(ms.Outgoing) + len(ms.Learners))
		for _, member := range ms.Members {
			n += costMember + len(member.Addr) + len(member.Tag)
		}
	case *SnapshotChunkReply:
		n += len(m.Refused)
	case *Mismatch:
		n += costNode * len(m.Founders)
	case *Location:
		n += len(m.Addr) + len(m.Tag)
	case *raft.RequestVote, *raft.RequestVoteReply, *raft.AppendEntriesReply, *raft.HeartbeatReply,
		*raft.InstallSnapshotReply, *raft.TimeoutNow, *raft.Recall, *raft.Trust, *raft.Removed:
	default:
		return 0
	}
	return n
}

// payloads calls each with what follows the heads on behalf of message.
func payloads(message any, each func([]byte)) {
	switch m := message.(type) {
	case *AppendBlocks:
		for _, block := range m.Blocks {
			each(block.Bytes())
		}
	case *SnapshotChunk:
		if len(m.Data) > 0 {
			each(m.Data)
		}
	}
}

// complete gives m the payload that its head announced. From then on m owns it.
func complete(message any, payload []byte, sizes []int, sum uint32) error {
	switch m := message.(type) {
	case *AppendBlocks:
		return m.unpack(payload, sizes)
	case *SnapshotChunk:
		if crc32.Checksum(payload, castagnoli) != sum {
			return fmt.Errorf("remote: snapshot chunk at %d: checksum mismatch", m.Offset)
		}
		if len(payload) > 0 {
			m.Data = payload
		}
	}
	return nil
}

// unpack cuts payload into blocks and derives Runs and Changes from them.
func (m *AppendBlocks) unpack(payload []byte, sizes []int) error {
	m.Blocks = slices.Grow(m.Blocks, len(sizes))
	last := m.Prev
	for _, size := range sizes {
		block, err := entry.Decode(payload[:size:size])
		if err != nil {
			return fmt.Errorf("remote: block after entry %d: %w", last.Index, err)
		}
		payload = payload[size:]
		run := block.Run()
		if run.First != last.Index+1 || run.Last < run.First || run.Term < last.Term || run.Term > m.Term {
			return fmt.Errorf("remote: %w append of term %d: entries %d to %d of term %d after entry %d of term %d",
				errMalformed, m.Term, run.First, run.Last, run.Term, last.Index, last.Term)
		}
		if n := len(m.Runs); n > 0 && run.Term == last.Term {
			m.Runs[n-1].Last = run.Last
		} else {
			m.Runs = append(m.Runs, run)
		}
		changes, err := block.Changes()
		if err != nil {
			return fmt.Errorf("remote: %w", err)
		}
		m.Changes = append(m.Changes, changes...)
		m.Blocks = append(m.Blocks, block)
		last = raft.EntryID{Index: run.Last, Term: run.Term}
	}
	return nil
}
