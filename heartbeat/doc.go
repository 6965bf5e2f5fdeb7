// Package heartbeat is the leader's pulse (§5.2): it keeps the followers of every group that this
// host leads patient, with one message per peer node and interval, however many groups there are.
//
// Accepts *Lead, *Advance, *BeatNow, *Rest. Emits OnDuty to its parent and *remote.Pulse to the peers.
// Replies do not come here: they are evidence of a quorum and belong to package raft. Nothing on
// disk: a restart forgets every group until each has sent Lead again.
package heartbeat
