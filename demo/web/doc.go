// Package web is the demo's HTTP interface: durio's four routes, /v1 and the probes. Any node serves any request: what
// only the leader can do is passed on to it, once, and retried while that is safe and the deadline allows.
package web

import (
	"context"

	"github.com/troupe-raft/troupe/actors"
	"github.com/troupe-raft/troupe/raft"
)

// Consensus is what the interface needs of a replica; *actors.Group is one.
type Consensus interface {
	ProposeIn(ctx context.Context, session, seq uint64, data []byte) (actors.Result, error)
	OpenSession(ctx context.Context) (uint64, error)
	CloseSession(ctx context.Context, session uint64) error
	Read(ctx context.Context) (raft.Index, error)
	LeaseRead(ctx context.Context) (raft.Index, error)
	Status() actors.Status
	Log(ctx context.Context, from, to raft.Index) (actors.LogRange, error)
	ChangeMembers(ctx context.Context, change actors.Change) (raft.Membership, error)
	Transfer(ctx context.Context, to raft.NodeID) error
	Snapshot(ctx context.Context) (raft.Index, error)
}
