// Package history records what the clients of a key-value store were told, and judges it. Whoever drives the store, a simulator in
// virtual time or a test of real processes, writes down each operation with the times of its call and its return; Check asks porcupine
// whether some order of the operations, one that respects those times, explains every answer: linearizability (Herlihy and Wing,
// 1990; thesis §6.3). AppendOnly is a faster judge of keys that were only appended to.
//
// An operation of unknown outcome may have taken effect at any time after its call, or may yet: it never returns. One that certainly
// did not happen is left out of a history. A read without an answer says nothing and is left out too.
package history
