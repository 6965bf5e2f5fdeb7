package actors_test

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"hash/crc32"
	"io"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/troupe-raft/troupe/actors"
	"github.com/troupe-raft/troupe/election"
	"github.com/troupe-raft/troupe/raft"
)

// The size of TestRealSizes: 64 MiB of log by default. Larger by flag.
var (
	realEntries = flag.Int("realsize.entries", 200_000, "entries of TestRealSizes")
	realBytes   = flag.Int("realsize.bytes", 320, "bytes of each of them, at least 8")
	realLimit   = flag.Duration("realsize.limit", 5*time.Minute, "longest that a step of TestRealSizes may take")
)

// A tape is a state machine as large as its log: it keeps every command, in order. Commands begin with a number of their own.
type tape struct {
	mu    sync.Mutex
	parts [][]byte
	seen  []uint64 // a bit for each number
	sum   uint32
	gate  chan struct{} // Apply waits here while it is open; nil: no gate
}

func (m *tape) Apply(c actors.Command) []byte {
	m.mu.Lock()
	gate := m.gate
	m.mu.Unlock()
	if gate != nil {
		<-gate
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.add(append([]byte(nil), c.Data...))
	return nil
}

func (m *tape) add(part []byte) {
	id := binary.BigEndian.Uint64(part)
	for uint64(len(m.seen)) <= id/64 {
		m.seen = append(m.seen, 0)
	}
	m.seen[id/64] |= 1 << (id % 64)
	m.parts = append(m.parts, part)
	m.sum = crc32.Update(m.sum, crc32.IEEETable, part)
}

func (m *tape) has(id uint64) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return id/64 < uint64(len(m.seen)) && m.seen[id/64]&(1<<(id%64)) != 0
}

func (m *tape) length() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.parts)
}

func (m *tape) digest() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return fmt.Sprintf("%d commands, sum %08x", len(m.parts), m.sum)
}

func (m *tape) Snapshot() (func(io.Writer) error, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	parts := m.parts[:len(m.parts):len(m.parts)]
	return func(w io.Writer) error {
		b := bufio.NewWriter(w)
		for _, p := range parts {
			if err := binary.Write(b, binary.BigEndian, uint32(len(p))); err != nil {
				return err
			}
			if _, err := b.Write(p); err != nil {
				return err
			}
		}
		return b.Flush()
	}, nil
}

func (m *tape) Restore(r io.Reader) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.parts, m.seen, m.sum = nil, nil, 0
	if r == nil {
		return nil
	}
	for b := bufio.NewReader(r); ; {
		var size uint32
		if err := binary.Read(b, binary.BigEndian, &size); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		part := make([]byte, size)
		if _, err := io.ReadFull(b, part); err != nil {
			return err
		}
		m.add(part)
	}
}

// A sized is a cluster of tapes.
type sized struct {
	*testCluster
	tapes map[raft.NodeID]*tape
	next  atomic.Uint64 // number of the next command
	acked []uint64
}

func newSized(t *testing.T) *sized {
	s := &sized{tapes: map[raft.NodeID]*tape{}}
	s.testCluster = newCluster(t, 3, func(c *testCluster) {
		c.config = func(id raft.NodeID, cfg *actors.GroupConfig) {
			m := &tape{}
			s.tapes[id] = m
			cfg.StateMachine = func() actors.StateMachine { return m }
			cfg.SnapshotEvery, cfg.TrailingEntries = actors.NoSnapshots, 1000
			cfg.MaxInflightBytes = 8 << 20 // so that blocks of a replica that lags are let go of, and are read from the disk again
			cfg.ElectionTimeout = election.Timeout{Min: time.Second, Max: 2 * time.Second}
		}
	})
	return s
}

// write has n commands applied through whoever leads, many at a time.
func (s *sized) write(n int) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), *realLimit)
	defer cancel()
	lead := s.leader().group
	var mu sync.Mutex
	var wg sync.WaitGroup
	var left atomic.Int64
	left.Store(int64(n))
	for range 512 {
		wg.Go(func() {
			data := make([]byte, max(*realBytes, 8))
			for left.Add(-1) >= 0 && ctx.Err() == nil {
				id := s.next.Add(1)
				binary.BigEndian.PutUint64(data, id)
				if _, err := lead.Propose(ctx, data); err != nil {
					continue // counted below
				}
				mu.Lock()
				s.acked = append(s.acked, id)
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if len(s.acked) < int(s.next.Load())*9/10 {
		s.t.Fatalf("only %d of %d writes were acknowledged", len(s.acked), s.next.Load())
	}
}

// alike waits until all running nodes hold the same, with all that was acknowledged in it.
func (s *sized) alike(when string) {
	s.t.Helper()
	deadline := time.Now().Add(*realLimit)
	for {
		lead, same := s.leader().group.Status(), true
		for _, n := range s.nodes {
			st := n.group.Status()
			if st.Err != nil {
				s.t.Fatalf("%s: node %d failed: %v", when, n.id, st.Err)
			}
			same = same && st.Applied >= lead.Commit && s.tapes[n.id].length() >= len(s.acked) && s.tapes[n.id].digest() == s.tapes[lead.Node].digest()
		}
		if same {
			break
		}
		if time.Now().After(deadline) {
			s.t.Fatalf("%s: not equal within %v", when, *realLimit)
		}
		select {
		case <-s.t.Context().Done():
		case <-time.After(10 * time.Millisecond):
		}
	}
	for _, n := range s.nodes {
		for _, id := range s.acked {
			if !s.tapes[n.id].has(id) {
				s.t.Fatalf("%s: node %d lacks command %d, which was acknowledged", when, n.id, id)
			}
		}
	}
}

// TestRealSizes takes a cluster on real sockets and disks through what small tests cannot show: a log that is far larger than what is read, sent, cached or
// applied at once is caught up with, replayed and turned into a snapshot as large.
func TestRealSizes(t *testing.T) {
	s := newSized(t)
	quarter := *realEntries / 4
	s.write(quarter)
	s.alike("after the first quarter")

	slow := s.follower().id // its state machine lags: what it has to apply is on its disk only, and more comes all the time
	gate := make(chan struct{})
	s.tapes[slow].mu.Lock()
	s.tapes[slow].gate = gate
	s.tapes[slow].mu.Unlock()
	s.write(quarter)
	s.tapes[slow].mu.Lock()
	s.tapes[slow].gate = nil
	s.tapes[slow].mu.Unlock()
	close(gate)
	s.write(quarter)
	s.alike("after a state machine lagged")

	away := s.follower().id // it catches up from the leader's disk
	s.stop(away)
	s.write(quarter)
	s.restart(away)
	s.alike("after a node was away")

	s.bounce() // all of it is replayed
	s.alike("after all restarted")
	s.write(1000)

	if _, err := s.leader().group.Snapshot(t.Context()); err != nil {
		t.Fatal(err)
	}
	await(t, "the leader compacts its log", func() bool { return s.leader().group.Status().First > 1 })
	s.change(actors.Change{AddLearners: []raft.Member{s.join("")}})
	s.alike("after a node was fed from a snapshot")
	if got := s.nodes[4].group.Status().Snapshot; got < raft.Index(*realEntries) {
		t.Errorf("node 4 has the log from a snapshot at %d on", got)
	}
	s.stop(4)
	s.startHost(4)
	s.startGroup(4, nil)
	s.write(1000)
	s.alike("after a restart from the snapshot")
}
