package sim

import (
	"testing"

	"github.com/troupe-raft/troupe/demo/kv"
	"github.com/troupe-raft/troupe/remote"
)

// TestMITRPCBytes is "RPC byte count" of MIT's lab 2B, which ruaft left out: each command is sent to each peer just once.
func TestMITRPCBytes(t *testing.T) {
	stories(t, "TestRPCBytes2B", 10, setting{Nodes: 3}, func(sc *scenario) {
		sc.one(sc.command(), 3, false)
		before, sent := sc.net.bytes, 0
		times := map[Link]map[uint64]int{} // how often each command took each link
		sc.intercept = func(l Link, m any) fate {
			a, ok := m.(*remote.AppendBlocks)
			if !ok {
				return 0
			}
			for _, block := range a.Blocks {
				for e := range block.All() {
					if times[l] == nil {
						times[l] = map[uint64]int{}
					}
					times[l][hashOf(e.Data)]++
				}
			}
			return 0
		}
		var commands [][]byte
		for range 10 {
			value := make([]byte, 5000)
			for i := range value {
				value[i] = byte(sc.rand.Uint32()) // nothing that could be compressed
			}
			data := kv.Command{Op: kv.Put, Key: "k", Value: value}.Encode()
			sc.one(data, 3, false)
			commands, sent = append(commands, data), sent+len(data)
		}
		got := sc.net.bytes - before
		// MIT allows one copy for each server and 50,000 bytes more. A leader needs one less, and not much more.
		if most := 3*sent + 50_000; got > most {
			sc.fatalf("%d bytes for %d bytes of commands, more than %d", got, sent, most)
		}
		if least, most := 2*sent, 2*sent+10_000; got < least || got > most {
			sc.fatalf("%d bytes for two copies of %d bytes of commands, not between %d and %d", got, sent, least, most)
		}
		leader := sc.leader().id
		for k := 1; k <= 2; k++ {
			l := Link{leader, sc.other(leader, k)}
			for i, data := range commands {
				if n := times[l][hashOf(data)]; n != 1 {
					sc.fatalf("command %d was sent %d times over %v", i, n, l)
				}
			}
		}
	})
}
