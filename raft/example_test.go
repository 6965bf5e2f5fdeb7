package raft_test

import (
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/troupe-raft/troupe/raft"
)

// Three servers in one goroutine: they elect a leader, replicate two commands and print what is committed.
func ExampleReplica() {
	random := rand.New(rand.NewPCG(1, 2))
	servers := map[raft.NodeID]*raft.Replica{}
	for id := raft.NodeID(1); id <= 3; id++ {
		r, err := raft.NewReplica(raft.ReplicaConfig{
			ID:          id,
			Membership:  raft.Membership{Voters: []raft.NodeID{1, 2, 3}},
			ElectionMin: 150 * time.Millisecond,
			Rand:        random.Int64N,
		})
		if err != nil {
			fmt.Println(err)
			return
		}
		servers[id] = r
	}
	deliver := func() { // a perfect network
		for moved := true; moved; {
			moved = false
			for id := raft.NodeID(1); id <= 3; id++ {
				for _, p := range servers[id].TakePackets() {
					servers[p.To].Receive(p.From, p)
					moved = true
				}
			}
		}
	}

	servers[2].Campaign() // or let time pass until one of them does
	deliver()
	fmt.Println("server 2 is", servers[2].Status().Role)

	for _, command := range []string{"set x 1", "set y 2"} {
		if _, err := servers[2].Propose([]byte(command)); err != nil {
			fmt.Println(err)
			return
		}
	}
	deliver()                                 // the entries reach everybody
	servers[2].Advance(50 * time.Millisecond) // a heartbeat tells what is committed
	deliver()

	for id := raft.NodeID(1); id <= 3; id++ {
		for _, e := range servers[id].TakeCommitted() {
			fmt.Printf("server %d: entry %d is a %v %q\n", id, e.Index, e.Kind, e.Data)
		}
	}
	_, err := servers[1].Propose([]byte("set z 3"))
	fmt.Println(err)
	// Output:
	// server 2 is leader
	// server 1: entry 1 is a noop ""
	// server 1: entry 2 is a command "set x 1"
	// server 1: entry 3 is a command "set y 2"
	// server 2: entry 1 is a noop ""
	// server 2: entry 2 is a command "set x 1"
	// server 2: entry 3 is a command "set y 2"
	// server 3: entry 1 is a noop ""
	// server 3: entry 2 is a command "set x 1"
	// server 3: entry 3 is a command "set y 2"
	// raft: not the leader; server 2 leads term 1
}
