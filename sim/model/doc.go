// Package model checks package raft exhaustively within small bounds: breadth-first through every order in which a few
// servers may lose patience, hear messages, sync, crash and be asked for things, with the properties of the paper's Figure 3
// looked at in every state. The servers are raft.Node itself, not a model of it; only what surrounds them is modelled.
//
// The network forgets nothing: what was sent once may arrive at any time, any number of times, in any order, or never. A
// leader counts as having sent every AppendEntries that its log and commit index allow, since pacing is not safety. Patience may end
// whenever. A disk writes in order and, with Scope.HoldSync, late; a crash is a restart from what was synced, a loss one from less than
// that, by a server that knows it (it is in doubt): how a server comes to know is not in the model.
//
// Speed comes from numbering: a server's state, a message and a set of messages each exist once, and what an event does to a
// server in a state is worked out once. A state of the cluster is then six small numbers, kept exactly and not as a hash.
//
// Servers that only differ by their names count once (renaming), and messages that can do nothing any more are dropped; tests show
// that both leave out nothing.
//
// A Scope is one set of bounds, with the figures that its exhaustion is known to give. Quick ones run in every go test, the Full ones by
//
//	go run ./sim/model/check
//
// A change to the rules that changes a figure changed what the rules can do: look whether it was meant, then take the new figures
// over, which the command prints.
//
// Not in the model: payloads, pacing, more than one read at a time, clocks of different speed (but a test has one), disks that sync
// out of order.
package model
