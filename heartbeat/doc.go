// Package heartbeat is the leader's pulse (§5.2): it keeps the followers of every group that this
// host leads patient, with one message per peer node and interval, however many groups there are.
//
// A group whose actor is stuck gets none: followers wait for a leader, not for its node.
//
// Accepts *Lead, *Advance, *BeatNow, *Alive, *Rest. Emits *OnDuty, *Stalled and *Resumed to its parent, *Probe to a group that is silent and
// *remote.Pulse to the peers.
// Replies do not come here: they are evidence of a quorum and belong to package raft. Nothing on
// disk: a restart forgets every group until each has sent Lead again.
package heartbeat
