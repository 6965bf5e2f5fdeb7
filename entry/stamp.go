package entry

import "github.com/troupe-raft/troupe/raft"

// Timed as the Seq of an entry that the rules themselves made, a no-op or a membership, says that its Stamp is the log's time. In logs of
// the first release such entries carry no Seq, and the calendar of the server that made them as Stamp, which nothing goes by.
const Timed = 1

// Timed reports whether Stamp is the log's time: milliseconds that leaders have led, of which a log only ever has more. Entries of client
// sessions have it (thesis §6.3), and those that the rules made; see the constant.
func (e *Entry) Timed() bool { return timed(e.Kind, e.Session, e.Seq) }

func timed(kind raft.Kind, session, seq uint64) bool {
	switch kind {
	case raft.Command:
		return session != 0
	case raft.OpenSession, raft.CloseSession:
		return true
	case raft.NoOp, raft.Reconfigure:
		return seq == Timed
	}
	return false
}

// Stamp is the greatest stamp of the block's timed entries; 0 without one.
func (b *Block) Stamp() int64 { return b.stamp }
