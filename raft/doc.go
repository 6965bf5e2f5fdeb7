// Package raft holds the rules of Raft and nothing else: Figures 2 and 13 of the paper, prevote,
// check-quorum, membership, transfer and reads, as a machine that is stepped by its caller.
// It has no clock, disk, goroutine or network.
package raft
