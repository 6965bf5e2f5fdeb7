// Package raft holds the rules of Raft and nothing else: Figures 2 and 13 of the paper, prevote,
// check-quorum, membership, transfer and reads, as a machine that is stepped by its caller.
// It has no clock, disk, goroutine or network.
//
// A [Node] takes one [Event] at a time and returns [Effects]: what to store, what to send, what became
// known. It sees terms, indices and memberships, never a payload. [Progress] paces what the leader sends
// to one follower. [Replica] puts both together with payloads kept in memory: a complete server without
// an actor, a clock or a socket, for tests, simulators and programs that bring their own runtime.
//
// A Node, a Progress and a Replica each belong to one goroutine at a time.
//
// "§" and "Figure" cite Ongaro and Ousterhout, In Search of an Understandable Consensus Algorithm
// (extended version, 2014); "thesis" cites Ongaro, Consensus: Bridging Theory and Practice (2014).
package raft
