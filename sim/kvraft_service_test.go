package sim

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/troupe-raft/troupe/actors"
	"github.com/troupe-raft/troupe/raft"
	"github.com/troupe-raft/troupe/sim/history"
)

// TestKvraftService is kvraft's suite of its service, with clients that write exactly once. All histories are also judged by porcupine.
func TestKvraftService(t *testing.T) {
	generic{clients: 1}.story(t, "basic_service", 2)
	generic{clients: 5}.story(t, "concurrent_client", 2)
	generic{clients: 5, unreliable: true}.story(t, "unreliable_many_clients", 2)
	generic{clients: 1, partition: true}.story(t, "many_partitions_one_client", 2)
	generic{clients: 5, partition: true}.story(t, "many_partitions_many_client", 2)
	generic{clients: 1, crash: true}.story(t, "persist_one_client", 2)
	generic{clients: 5, crash: true}.story(t, "persist_concurrent", 2)
	generic{clients: 5, crash: true, unreliable: true}.story(t, "persist_concurrent_unreliable", 2)
	generic{clients: 5, crash: true, partition: true}.story(t, "persist_partition", 2)
	generic{clients: 5, crash: true, partition: true, unreliable: true, atLeast: 5}.story(t, "persist_partition_unreliable", 2)
	generic{clients: 15, crash: true, partition: true, unreliable: true, atLeast: -1, linear: true}.story(t, "linearizability", 2)

	set := setting{Nodes: 5, SnapshotEvery: 1, TrailingEntries: 1}
	stories(t, "unreliable_one_key_many_clients", 5, set, oneKey)
	stories(t, "one_partition", 5, setting{Nodes: 5}, onePartition)
}

// oneKey: five clients append ten times each to one key, while every command is followed by a snapshot.
func oneKey(sc *scenario) {
	sc.setUnreliable(true)
	checker := sc.clerk()
	checker.put("k", "")
	var clerks []*clerk
	for i := range 5 {
		k := sc.clerk()
		k.whole = true // so that porcupine need not guess
		clerks = append(clerks, k)
		k.run(func() *history.Op {
			if k.done == 10 {
				return nil
			}
			return &history.Op{Kind: history.Append, Key: "k", Arg: fmt.Sprintf("(%d, %d)", i, k.done)}
		})
	}
	sc.await(clerkLimit, "every client finishes", idle(clerks))
	value, repeats := checker.get("k"), 0
	for i, k := range clerks {
		rest := value
		for n := range 10 {
			word := fmt.Sprintf("(%d, %d)", i, n)
			_, after, found := strings.Cut(rest, word)
			if !found || strings.Count(value, word) != 1 {
				sc.fatalf("%s is not there once, after those before it: %s", word, value)
			}
			rest = after
		}
		repeats += k.repeats
	}
	if words := strings.Count(value, "("); words != 50 {
		sc.fatalf("%d words, not 50: %s", words, value)
	}
	if repeats == 0 || sc.net.dropped == 0 {
		sc.fatalf("%d writes were sent again, %d messages were lost", repeats, sc.net.dropped)
	}
	for _, id := range sc.ids {
		if sc.snapshotBytes(id) == 0 {
			sc.fatalf("node %d took no snapshot", id)
		}
	}
	sc.end()
}

// onePartition: the majority goes on, the minority, with the old leader, does not, and what it was asked happens after all once the links
// are mended.
func onePartition(sc *scenario) {
	anybody := sc.clerk()
	anybody.put("1", "13")
	major, minor := sc.halves(true)
	if len(major) != 3 || len(minor) != 2 || !slices.Contains(minor, sc.leader().id) {
		sc.fatalf("%v and %v", major, minor)
	}
	sc.partition(major, minor)
	majority := sc.clerk(major...)
	majority.put("1", "14")
	majority.expect("1", "14")

	writer, reader := sc.clerk(minor...), sc.clerk(minor...)
	writer.start(&history.Op{Kind: history.Put, Key: "1", Arg: "15"})
	reader.start(&history.Op{Kind: history.Get, Key: "1"})
	sc.sleep(time.Second)
	if writer.idle() || reader.idle() {
		sc.fatalf("the minority answers")
	}
	majority.expect("1", "14")
	majority.put("1", "16")
	majority.expect("1", "16")
	sc.connectAll()
	writer.reach, reader.reach = sc.ids, sc.ids
	sc.await(7*time.Second, "what waited in the minority", func() bool { return writer.idle() && reader.idle() })
	anybody.expect("1", "15")
	if sc.net.dropped == 0 {
		sc.fatalf("no message was lost between the parts")
	}
	sc.end()
}

// TestKvraftAsyncClerk is the suite of kvraft's client that many tasks share. Its servers are fakes there, of which only one, chosen by
// the key, says that it leads; here leadership moves before every call, so that no call finds it where it was.
func TestKvraftAsyncClerk(t *testing.T) {
	moving := func(sc *scenario) func() {
		return func() {
			to := sc.other(sc.checkOneLeader(), 1+sc.rand.IntN(4))
			sc.transfer(to)
		}
	}
	stories(t, "test_get_existing_data", 3, setting{Nodes: 5}, func(sc *scenario) {
		sc.clerk().put("What clerk?", "async_clerk")
		move := moving(sc)
		k := sc.clerk()
		for range 3 {
			move()
			k.expect("What clerk?", "async_clerk")
		}
		sc.end()
	})
	stories(t, "test_get_put_append", 3, setting{Nodes: 5}, func(sc *scenario) {
		move := moving(sc)
		k := sc.clerk()
		for _, step := range []func(){
			func() { k.put("Date", "2017-01-01") },
			func() { k.put("Balance", "97") },
			func() { k.expect("Date", "2017-01-01") },
			func() { k.expect("Balance", "97") },
			func() { k.append("Balance", "00") },
			func() { k.expect("Balance", "9700") }, // its fakes put what is appended in front
			func() { k.put("Balance", "10000") },
			func() { k.expect("Balance", "10000") },
		} {
			move()
			step()
		}
		if session := k.session; session == 0 || k.seq != 4 {
			sc.fatalf("session %d is at %d after 4 writes", session, k.seq)
		}
		sc.end()
	})
	// What the table of its behaviours asks for beyond these: writes at the same time, none lost.
	stories(t, "100_concurrent_writes", 3, setting{Nodes: 5}, func(sc *scenario) {
		sc.setUnreliable(true)
		var clerks []*clerk
		for i := range 100 {
			k := sc.clerk()
			k.start(&history.Op{Kind: history.Append, Key: "k", Arg: fmt.Sprintf("%d;", i)})
			clerks = append(clerks, k)
		}
		sc.sleep(20 * time.Millisecond)
		if leader := sc.leader(); leader != nil {
			sc.restart(leader.id)
			sc.connect(leader.id)
		}
		sc.await(clerkLimit, "every write", idle(clerks))
		words := strings.Split(strings.TrimSuffix(sc.clerk().get("k"), ";"), ";")
		slices.Sort(words)
		if n := len(slices.Compact(words)); n != 100 || len(words) != 100 {
			sc.fatalf("%d words, %d different ones, of 100", len(words), n)
		}
		var ops []history.Op
		for _, op := range sc.record.calls {
			ops = append(ops, *op)
		}
		if err := history.AppendOnly(ops); err != nil { // with so many at once, porcupine would take for ever
			sc.fatalf("%v", err)
		}
	})
}

// transfer hands leadership to a node, and waits until it leads.
func (sc *scenario) transfer(to raft.NodeID) {
	sc.t.Helper()
	sc.leader().life.ask(&actors.TransferLeadership{To: to}, func(any) {})
	sc.await(2*time.Second, "the transfer", func() bool { return sc.leader() != nil && sc.leader().id == to })
}
