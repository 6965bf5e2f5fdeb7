// Package kv is the demo's state machine: an ordered map of byte strings that every replica builds from the same
// commands in the same order. Commands, results and snapshots are msgpack.
//
// Store is written by one applier and read by anybody. Nothing in it depends on a clock, a random
// number or a map's order, so that replicas that applied the same commands are equal.
package kv

// Limits that hold after every command. A command that would break one is answered TooLarge and changes nothing.
const (
	MaxKey   = 1 << 10 // bytes of a key
	MaxValue = 1 << 20 // bytes of a value
)
