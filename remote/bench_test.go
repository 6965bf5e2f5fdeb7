package remote

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/troupe-raft/troupe/entry"
	"github.com/troupe-raft/troupe/raft"
)

// benchPair returns a sender's node and a receiver that counts envelopes.
func benchPair(b *testing.B) (from, to *node, arrived *atomic.Int64) {
	b.Helper()
	from, to = start(b, 1, nil), start(b, 2, nil)
	arrived = new(atomic.Int64)
	to.TCP.deliver = func(_ raft.NodeID, batch []Envelope) { arrived.Add(int64(len(batch))) }
	from.knows(to)
	from.send(2, vote(1))
	await(b, arrived, 1)
	return from, to, arrived
}

func await(b *testing.B, arrived *atomic.Int64, n int64) {
	b.Helper()
	for deadline := time.Now().Add(patience); arrived.Load() < n; {
		if time.Now().After(deadline) {
			b.Fatalf("%d of %d arrived", arrived.Load(), n)
		}
		time.Sleep(20 * time.Microsecond)
	}
}

func appendOf(size int) Envelope {
	return Envelope{1, &AppendBlocks{AppendEntries: raft.AppendEntries{Term: 5, Leader: 1, Commit: 1},
		Blocks: []*entry.Block{block(5, 1, 1, make([]byte, size))}}}
}

// oneWay pipelines appends with a bounded number under way, as the log syncer does.
func oneWay(b *testing.B, size, window int) {
	from, _, arrived := benchPair(b)
	post, pid := &Post{appendOf(size)}, from.Sender(2)
	b.SetBytes(int64(size))
	b.ReportAllocs()
	b.ResetTimer()
	base := arrived.Load()
	for i := range b.N {
		if i%(window/2) == 0 {
			await(b, arrived, base+int64(i-window/2))
		}
		system.Root.Send(pid, post)
	}
	await(b, arrived, base+int64(b.N))
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "msgs/s")
}

func BenchmarkOneWay128B(b *testing.B)  { oneWay(b, 128, 4096) }
func BenchmarkOneWay16KiB(b *testing.B) { oneWay(b, 16<<10, 512) }
func BenchmarkOneWay1MiB(b *testing.B)  { oneWay(b, 1<<20, 16) }

// BenchmarkRoundTrip has one append under way and one reply.
func BenchmarkRoundTrip(b *testing.B) {
	from, to, _ := benchPair(b)
	to.knows(from)
	back := make(chan struct{}, 1)
	reply := &Post{Envelope{1, &raft.AppendEntriesReply{Term: 5, Success: true, Match: 1}}}
	to.TCP.deliver = func(raft.NodeID, []Envelope) { system.Root.Send(to.Sender(1), reply) }
	from.TCP.deliver = func(raft.NodeID, []Envelope) { back <- struct{}{} }
	post, pid := &Post{appendOf(128)}, from.Sender(2)
	b.ReportAllocs()
	b.ResetTimer()
	for range b.N {
		system.Root.Send(pid, post)
		<-back
	}
}

// BenchmarkUnreachable is what a post to a dead peer costs.
func BenchmarkUnreachable(b *testing.B) {
	from := start(b, 1, func(c *Config) { c.BackoffFirst, c.BackoffMax = time.Hour, time.Hour })
	from.SetPeer(2, "127.0.0.1:1")
	from.send(2, vote(1))
	from.logged("WARN no connection")
	post, pid := &Post{vote(1)}, from.Sender(2)
	b.ReportAllocs()
	b.ResetTimer()
	for range b.N {
		system.Root.Send(pid, post)
	}
}

func BenchmarkEncode(b *testing.B) {
	batch := make([]Envelope, 64)
	for i := range batch {
		batch[i] = appendOf(128)
	}
	f := newFramer(kinds, newest)
	b.ReportAllocs()
	for range b.N {
		if _, err := f.frame(batch, maxFrame); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(batch)), "ns/msg")
}

func BenchmarkPulse10k(b *testing.B) {
	m := &Pulse{}
	for i := range 10_000 {
		m.Beats = append(m.Beats, Beat{raft.GroupID(i), raft.Heartbeat{Term: 5, Leader: 1, Sent: time.Hour, Commit: raft.EntryID{Index: 1000, Term: 5}}})
	}
	frame := encode(b, Envelope{0, m})
	b.SetBytes(int64(len(frame)))
	b.ReportAllocs()
	for range b.N {
		if _, _, err := newDeframer(frame, maxFrame).next(); err != nil {
			b.Fatal(err)
		}
	}
}
