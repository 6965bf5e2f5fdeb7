// Package persister keeps what Raft must not lose (Figure 2, "persistent state"): term, vote, log, membership and
// snapshot metadata of all groups of a host, in one Pebble database. One actor writes it. What arrives while
// a sync runs goes into the next batch, whichever group it comes from, and what waits for durability
// leaves when that batch is on disk.
//
// Accepts Load, Write, Compact, Release, Destroy. Answers Loaded, Persisted, Compacted, Destroyed, and StoreFailed.
// The first failed write or sync ends it: nothing is acknowledged after that, and no sync is ever tried twice,
// because a file whose sync failed once may have lost the data and report success the next time.
package persister
