// Package replication is the log syncer: it brings the log of every follower to the leader's (§5.3), one
// syncer per group, a child of it. It decides when and how much is sent; what counts belongs to package raft.
//
// Accepts *Lead, *Extend, *Peers, *Advance, *Trim, *Reply, *SnapshotDone, *Rest. Emits *OnDuty, *Matched,
// *Refusal, *NeedSnapshot, *Halted to its parent and *remote.AppendBlocks to the peers.
//
// Each follower is probed, streamed to, or waits for a snapshot, as its raft.Progress advises. Blocks
// come from memory while they are new and else from disk, read by a child so that one follower that is far
// behind never holds up the others. Whatever the source, a block leaves only if the shape of the log, as
// the leader of this term knows it, has its very run: a syncer that outlives its leader's term
// cannot ship log that the next leader has overwritten.
//
// Nothing on disk: a restart loses the followers' pacing and probes them again.
package replication
