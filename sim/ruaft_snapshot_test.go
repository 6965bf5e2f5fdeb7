package sim

import (
	"fmt"
	"testing"
	"time"

	"github.com/troupe-raft/troupe/raft"
	"github.com/troupe-raft/troupe/sim/history"
)

// TestRuaftSnapshot is ruaft's suite of snapshots, with the key-value store.
func TestRuaftSnapshot(t *testing.T) {
	set := setting{Nodes: 3, SnapshotEvery: snapshotEvery, TrailingEntries: trailingEntries}
	stories(t, "install_snapshot_rpc", 5, set, installSnapshot)
	stories(t, "snapshot_size", 3, set, func(sc *scenario) { snapshotSize(sc, true, 500) })
	// kvraft remembers one answer for each client, our sessions the last 64, of about 12 bytes here.
	stories(t, "snapshot_size, with a session", 3, set, func(sc *scenario) { snapshotSize(sc, false, 500+64*12) })
	generic{clients: 1, crash: true, snapshots: true}.story(t, "snapshot_recover_test", 2)
	generic{clients: 20, crash: true, snapshots: true, atLeast: -1}.story(t, "snapshot_recover_many_clients", 1)
	generic{clients: 5, unreliable: true, snapshots: true}.story(t, "snapshot_unreliable_test", 2)
	generic{clients: 5, unreliable: true, crash: true, snapshots: true}.story(t, "snapshot_unreliable_recover_test", 2)
	generic{clients: 5, unreliable: true, crash: true, partition: true, snapshots: true, atLeast: -1}.story(t, "snapshot_unreliable_recover_partition", 2)
	generic{clients: 15, unreliable: true, crash: true, partition: true, snapshots: true, atLeast: -1, linear: true}.story(t, "linearizability", 3)
}

// installSnapshot: a node that was away needs what the others have compacted, and becomes one of a majority of two.
func installSnapshot(sc *scenario) {
	k := sc.clerk()
	k.put("a", "A")
	k.expect("a", "A")
	major, minor := sc.halves(true)
	sc.partition(major, minor)
	majority := sc.clerk(major...)
	for i := range 50 {
		majority.put(fmt.Sprint(i), fmt.Sprint(i))
	}
	sc.sleepElection()
	majority.put("b", "B")
	sc.sleep(100 * time.Millisecond)
	sc.trimmed(major...)
	if at := sc.life(minor[0]).machine.index; at > 10 || sc.messages["remote.SnapshotChunk"] > 0 {
		sc.fatalf("the node that is away is at %d, after %v", at, sc.messages)
	}

	major, minor = []raft.NodeID{minor[0], major[1]}, major[:1]
	sc.partition(major, minor)
	majority = sc.clerk(major...)
	majority.put("c", "C")
	majority.put("d", "D")
	for key, value := range map[string]string{"a": "A", "b": "B", "c": "C", "d": "D", "1": "1", "49": "49"} {
		majority.expect(key, value)
	}
	sc.connectAll()
	k.put("e", "E")
	for key, value := range map[string]string{"c": "C", "e": "E", "1": "1", "49": "49"} {
		k.expect(key, value)
	}
	if sc.messages["remote.SnapshotChunk"] == 0 || sc.check.restores == 0 || sc.net.dropped == 0 {
		sc.fatalf("%d snapshots restored, %d messages lost, %v", sc.check.restores, sc.net.dropped, sc.messages)
	}
	sc.end()
}

// snapshotSize: neither the log nor the snapshot grows with what was ever written.
func snapshotSize(sc *scenario, plain bool, limit int64) {
	k := sc.clerk()
	sc.checkOneLeader()
	k.do(&history.Op{Kind: history.Get, Key: "x"}) // by now the clerk knows who leads
	k.plain = plain
	for range 200 {
		k.put("x", "0")
		k.expect("x", "0")
		k.put("x", "1")
		k.expect("x", "1")
	}
	sc.await(time.Second, "all nodes are equal", sc.equal)
	sc.trimmed()
	for _, id := range sc.ids {
		if n := sc.snapshotBytes(id); n == 0 || n > limit {
			sc.fatalf("the snapshots of node %d have %d bytes", id, n)
		}
	}
	sc.end()
}

// BenchmarkRuaftThroughput is throughput of the snapshot suite: 32 clients append for a while, with snapshots. What it reports is virtual,
// but for the time of an operation.
func BenchmarkRuaftThroughput(b *testing.B) {
	set := setting{Seed: 1, Nodes: 5, SnapshotEvery: 100, TrailingEntries: 10}
	sc := newScenario(b, set)
	sc.clerk().put("k", "") // somebody leads
	start, sent := sc.clock.Now(), sc.net.sent
	done := 0
	b.ResetTimer()
	var clerks []*clerk
	for range 32 {
		k := sc.clerk()
		clerks = append(clerks, k)
		k.run(func() *history.Op {
			if done == b.N {
				return nil
			}
			done++
			return &history.Op{Kind: history.Put, Key: key(k.id), Arg: fmt.Sprint(done)}
		})
	}
	sc.await(time.Duration(b.N+1)*time.Second, "every client finishes", idle(clerks))
	b.StopTimer()
	took := sc.clock.Now() - start
	b.ReportMetric(float64(b.N)/took.Seconds(), "op/virtual-s")
	b.ReportMetric(float64(sc.net.sent-sent)/float64(b.N), "messages/op")
}
