// Package actors is the public face of Troupe: a Host per process and node, RaftGroup actors on it,
// and Group, their facade for plain goroutines.
//
// The RaftGroup actor alone owns a raft.Node. Everything that takes time (disk, sockets, timers, user code) is
// done by supervised daemons that exchange typed messages with it; nothing changes Raft state off its mailbox.
package actors
