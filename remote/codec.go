package remote

import (
	"fmt"
	"hash/crc32"
	"slices"

	"github.com/troupe-raft/troupe/entry"
	"github.com/troupe-raft/troupe/raft"
)

// Kinds of messages on the wire. They never change meaning; a new one is a new protocol version.
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
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Estimates of what encoding takes. They are never too low: a batch cut by estimate always fits its frame.
const (
	costEnvelope = 128 // any message without its variable parts
	costBlock    = 8   // size in the head
	costBeat     = 64
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
	case *raft.RequestVote, *raft.RequestVoteReply, *raft.AppendEntriesReply, *raft.HeartbeatReply,
		*raft.InstallSnapshotReply, *raft.TimeoutNow:
	default:
		return 0
	}
	return n
}

// appendHead appends the head of e: an array of kind, group and the message's fields, embedded structs laid flat.
func appendHead(b []byte, e Envelope) ([]byte, error) {
	start := func(kind byte, fields int) {
		b = appendUint(append(appendArray(b, 2+fields), kind), uint64(e.Group))
	}
	switch m := e.Message.(type) {
	case *raft.RequestVote:
		start(kindRequestVote, 6)
		b = appendUint(appendUint(b, uint64(m.Term)), uint64(m.Candidate))
		b = appendBool(appendBool(appendID(b, m.Last), m.PreVote), m.Transfer)
	case *raft.RequestVoteReply:
		start(kindRequestVoteReply, 4)
		b = appendUint(appendUint(b, uint64(m.Term)), uint64(m.Asked))
		b = appendBool(appendBool(b, m.Granted), m.PreVote)
	case *AppendBlocks:
		start(kindAppendBlocks, 6)
		b = appendUint(appendUint(b, uint64(m.Term)), uint64(m.Leader))
		b = appendUint(appendID(b, m.Prev), uint64(m.Commit))
		b = appendArray(b, len(m.Blocks))
		for _, block := range m.Blocks {
			b = appendUint(b, uint64(len(block.Bytes())))
		}
	case *raft.AppendEntriesReply:
		start(kindAppendEntriesReply, 6)
		b = appendBool(appendUint(b, uint64(m.Term)), m.Success)
		b = appendID(appendUint(appendUint(b, uint64(m.Match)), uint64(m.Prev)), m.Hint)
	case *raft.HeartbeatReply:
		start(kindHeartbeatReply, 3)
		b = appendInt(appendUint(appendUint(b, uint64(m.Term)), m.Round), int64(m.Sent))
	case *raft.InstallSnapshotReply:
		start(kindInstallSnapshotReply, 2)
		b = appendUint(appendUint(b, uint64(m.Term)), uint64(m.Match))
	case *raft.TimeoutNow:
		start(kindTimeoutNow, 2)
		b = appendUint(appendUint(b, uint64(m.Term)), uint64(m.Leader))
	case *Pulse:
		start(kindPulse, 1)
		b = appendPulse(b, m)
	case *SnapshotChunk:
		start(kindSnapshotChunk, 11)
		b = appendChunk(b, m)
	case *SnapshotChunkReply:
		start(kindSnapshotChunkReply, 5)
		b = appendInt(appendUint(appendUint(b, uint64(m.Term)), uint64(m.Index)), m.Offset)
		b = appendString(appendBool(b, m.Done), m.Refused)
	default:
		return b, fmt.Errorf("remote: %T does not travel", e.Message)
	}
	return b, nil
}

func appendID(b []byte, id raft.EntryID) []byte {
	return appendUint(appendUint(b, uint64(id.Index)), uint64(id.Term))
}

func appendPulse(b []byte, m *Pulse) []byte {
	b = appendArray(b, len(m.Beats))
	for i := range m.Beats {
		beat := &m.Beats[i]
		b = appendUint(append(b, 0x97), uint64(beat.Group))
		b = appendUint(appendUint(b, uint64(beat.Term)), uint64(beat.Leader))
		b = appendID(appendInt(appendUint(b, beat.Round), int64(beat.Sent)), beat.Commit)
	}
	return b
}

func appendChunk(b []byte, m *SnapshotChunk) []byte {
	b = appendUint(appendUint(b, uint64(m.Term)), uint64(m.Leader))
	b = appendID(b, raft.EntryID{Index: m.Meta.Index, Term: m.Meta.Term})
	b = appendBin(b, entry.AppendMembership(nil, m.Meta.Membership))
	b = appendInt(appendUint(appendInt(b, m.Size), uint64(m.Sum)), m.Offset)
	b = appendUint(appendBool(b, m.Last), uint64(len(m.Data)))
	return appendUint(b, uint64(crc32.Checksum(m.Data, castagnoli)))
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
