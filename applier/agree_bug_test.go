package applier

import (
	"bytes"
	"hash/crc32"
	"io"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/troupe-raft/troupe/entry"
	"github.com/troupe-raft/troupe/raft"
)

// A digester is a state machine whose state is a checksum of all that it was told.
type digester struct{ sum uint32 }

func (d *digester) Apply(c Command) []byte {
	d.sum = crc32.Update(d.sum, crc32.IEEETable, c.Data)
	return []byte{byte(d.sum)}
}

func (d *digester) Snapshot() (func(io.Writer) error, error) {
	sum := d.sum
	return func(w io.Writer) error {
		_, err := w.Write([]byte{byte(sum >> 24), byte(sum >> 16), byte(sum >> 8), byte(sum)})
		return err
	}, nil
}

func (d *digester) Restore(io.Reader) error { return nil }

// Replicas that apply the same log are in the same state at every index, whatever their clocks say and however their maps are
// ordered: sessions that expire or are evicted do so alike (rabbitmq-server issue 14136).
func TestReplicasAgreeAtEveryIndex(t *testing.T) {
	const replicas, entries = 3, 600
	var at [replicas]*applier
	for i := range at {
		at[i] = &applier{machine: &digester{}, sessions: newSessions(), begun: true}
	}
	random := rand.New(rand.NewPCG(1, 2))
	evicted, expired := 0, 0
	var open []uint64
	seqs := map[uint64]uint64{}
	stamp := int64(1_000_000)
	for index := raft.Index(1); index <= entries; index++ {
		stamp += random.Int64N(50)
		e := entry.Entry{Index: index, Term: 1, Stamp: stamp, Kind: raft.Command, Data: []byte{byte(index)}}
		switch pick := random.IntN(10); {
		case pick < 3 || len(open) == 0:
			e.Kind, e.Data = raft.OpenSession, EncodeOpen(limits(time.Duration(1+random.IntN(600))*time.Millisecond, 8+random.IntN(8)))
			open = append(open, uint64(index))
		case pick < 9:
			e.Session = open[len(open)-1-random.IntN(min(len(open), 20))]
			seqs[e.Session]++
			e.Seq = seqs[e.Session]
		}
		size := len(at[0].sessions.table)
		var first []byte
		for i, a := range at {
			if err := a.applyEntry(&e, &Committed{}); err != nil {
				t.Fatal(err)
			}
			c := a.capture()
			var state bytes.Buffer
			if err := c.Write(&state); err != nil {
				t.Fatal(err)
			}
			if i == 0 {
				first = state.Bytes()
			} else if !bytes.Equal(first, state.Bytes()) {
				t.Fatalf("replica %d differs from replica 0 once entry %d (%v) is applied", i, index, e.Kind)
			}
		}
		switch now := len(at[0].sessions.table); {
		case e.Kind == raft.OpenSession && now <= size:
			evicted++
		case e.Kind != raft.OpenSession && now < size:
			expired++
		}
	}
	if evicted == 0 || expired == 0 {
		t.Fatalf("%d evictions, %d expiries: nothing was tested", evicted, expired)
	}
}
