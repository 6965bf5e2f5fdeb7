package journal

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/troupe-raft/troupe/internal/sectors"
)

func TestJournalKeepsItsOrder(t *testing.T) {
	r := newRig(t)
	r.open()
	for i := range 300 { // many laps of the ring
		r.append(fmt.Appendf(nil, "first %d", i), bytes.Repeat([]byte{byte(i)}, i*37%9000))
		r.settle()
		if i%50 == 49 {
			r.open()
		}
	}
	if len(r.disk.Ring) > r.limit || r.kept == 0 {
		t.Errorf("%d files, kept up to %d: no lap was made", len(r.disk.Ring), r.kept)
	}
}

// situations are journals whose next write is cut short: how they came to be, and how many pieces are in flight.
func situations(t *testing.T, visit func(name string, r *rig)) {
	payloads := map[string]func(i int) []byte{
		"bytes": func(i int) []byte { return bytes.Repeat([]byte{byte(i + 1)}, 100+i) },
		"zeros": func(i int) []byte { return make([]byte, 3000) },
		// What is stored is a page of this very journal, as it is or will be.
		"frames": func(i int) []byte {
			page := make([]byte, PageSize)
			compose(newCodec(testStore), page, Position(i)*PageSize, 9, head{kind: Flight}, []byte("hello"))
			return page[:3000]
		},
	}
	for name, payload := range payloads {
		for _, laps := range []int{0, 60} {
			for _, restarted := range []bool{false, true} {
				if raced && (laps == 0 || name != "bytes") {
					continue // one goroutine does all of it
				}
				for _, flights := range []int{1, 2, 8} {
					r := newRig(t)
					r.open()
					for i := range 3 + laps {
						r.append(payload(i))
						r.settle()
					}
					if restarted {
						r.append(payload(100))
						r.append(payload(101))
						r.write(2)
						n := 0
						r.disk.Crash(func(sectors.Place) bool { n++; return n != 3 }) // the first is torn, the second is whole
						r.open()
					}
					for i := range flights {
						r.append(payload(200 + i))
					}
					r.write(flights)
					visit(fmt.Sprintf("%s, %d before, restarted %t, %d in flight", name, 3+laps, restarted, flights), r)
				}
			}
		}
	}
}

// TestTornEnds: whatever sectors of what is in flight a crash leaves, nothing that was acknowledged is lost, nothing is
// refused, and the journal goes on.
func TestTornEnds(t *testing.T) {
	situations(t, func(name string, r *rig) {
		count := len(r.disk.Cached())
		if count == 0 {
			t.Fatal("nothing is in flight")
		}
		random := rand.New(rand.NewPCG(1, uint64(count)))
		for i := range 256 { // all of 8 sectors
			if count > 8 && i == 64 {
				break
			}
			subset := uint64(i)
			if count > 8 {
				subset = random.Uint64()
			}
			c, n := r.fork(), 0
			c.disk.Crash(func(sectors.Place) bool { n++; return subset>>(n-1)&1 == 1 })
			if err := c.tryOpen(); err != nil {
				t.Fatalf("%s, sectors %b: %v", name, subset, err)
			}
			c.append([]byte("next"))
			c.settle()
			if err := c.tryOpen(); err != nil {
				t.Fatalf("%s, sectors %b, and once more: %v", name, subset, err)
			}
		}
	})
}

// TestEveryBit flips each bit of what has landed and of what is around it. What was acknowledged is found, or missed.
func TestEveryBit(t *testing.T) {
	situations(t, func(name string, r *rig) {
		if len(r.log.flights) > 2 {
			return // many pieces are one after the other
		}
		r.settle()
		refused := 0
		for file, b := range r.disk.Files {
			for at := range b {
				sector, in := at/SectorSize, at%SectorSize
				if in < sectorData && at%661 != 0 || in >= sectorData && (sector+in)%4 != 0 { // a sample, mostly of trailers
					continue
				}
				bit := byte(1) << (at % 8)
				b[at] ^= bit
				found, _, _, _, err := r.read()
				if err == nil {
					err = r.lost(found)
					if err != nil {
						t.Fatalf("%s, file %d, byte %d: %v", name, file, at, err)
					}
				} else {
					refused++
				}
				b[at] ^= bit
			}
		}
		if refused == 0 {
			t.Errorf("%s: no damage was noticed", name)
		}
	})
}
