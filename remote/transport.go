package remote

import (
	"context"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/troupe-raft/troupe/raft"
)

// Deliver takes what arrived in one frame. It is called on the goroutine that reads the connection, for several
// connections at once, and must not block: it usually sends to mailboxes. Batch is only lent for the call, the
// messages in it are the receiver's. From is the node that the handshake (and, with TLS, the certificate) named.
type Deliver func(from raft.NodeID, batch []Envelope)

// A Transport moves envelopes between nodes: at most once, in order within a lane of a connection. All
// methods are safe for concurrent use.
type Transport interface {
	// Start listens and, from then on, delivers. Call it once.
	Start(deliver Deliver) error
	// Addr is the address that peers can dial: after Start the bound one, with the port that was chosen.
	Addr() string
	// SetPeer says where a node listens. A changed address breaks the old connections; an empty one forgets the node.
	SetPeer(node raft.NodeID, addr string)
	// Sender is the actor that takes *Post for node, or nil when it has no known address, is this node itself, or
	// the transport does not run. It is cheap enough to be asked for every message. Do not keep the PID: after
	// SetPeer it may be another.
	Sender(node raft.NodeID) *actor.PID
	// HangUp ends the connections that come from node, because of what it sent: a message that no correct node sends. The node may call again. It
	// does not wait.
	HangUp(node raft.NodeID, reason error)
	// SetChaos disturbs this node's traffic until the next call.
	SetChaos(Chaos)
	// Stats counts what happened so far.
	Stats() Stats
	// Stop closes everything and waits until nothing is left running, at most as long as ctx. Posts already
	// handed over get a moment to leave. No Deliver runs after it returned nil. Stopping again is harmless.
	Stop(ctx context.Context) error
}
