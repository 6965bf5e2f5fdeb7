// Package election keeps a follower's patience: it tells the group when too long has passed
// without a leader (§5.2). It says when, never who: votes belong to package raft.
//
// Accepts Arm, Disarm. Emits OnDuty, Elapsed. Nothing on disk: a restart waits for new orders.
package election
