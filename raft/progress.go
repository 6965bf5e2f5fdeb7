package raft

import "time"

// A Shape is an immutable picture of a log without its payload: which term each index has.
// A deposed leader's syncer reads its own Shape, so it can never mistake a newer leader's entries for its own.
type Shape struct {
	Prev EntryID // the entry before the first
	Runs []Run   // read-only
}

// A Pace bounds what one follower may have in flight.
type Pace struct {
	MaxBytes    int           // unacknowledged payload bytes; one message may always go
	MaxMessages int           // unacknowledged messages
	RetryFirst  time.Duration // unanswered for this long: probe again; doubles up to RetryMax
	RetryMax    time.Duration
}

// A ProgressMode is how a follower is being fed.
type ProgressMode uint8

// The modes: Probe sends one message and waits, Stream pipelines, Snapshot waits for the snapshot stream.
const (
	Probe ProgressMode = iota
	Stream
	Snapshot
)

// An Advice is what Progress.Advise says to do next.
type Advice uint8

// The advices.
const (
	Wait         Advice = iota // nothing to do now
	SendEntries                // send entries from Next on (as many as fit), Prev is Next-1
	SendProbe                  // send an empty AppendEntries with Prev Next-1
	SendSnapshot               // the entries at Next are compacted: send a snapshot
)
