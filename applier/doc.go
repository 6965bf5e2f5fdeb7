// Package applier applies committed entries, in order and each once, to the user's state machine (§5.3), and gives every result
// straight to the client that waits for it. It keeps the client sessions that make a retried write harmless (thesis §6.3).
//
// Accepts Begin, Committed, Barrier, Capture. Emits OnDuty, Begun, Progress, Applied, Captured, Broken. It may block in user code: nothing else of
// the group runs on its turn. A panic of the user's is the replica's crash, never a skipped entry.
package applier
