package persister

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/troupe-raft/troupe/raft"
)

type met = map[raft.NodeID]raft.Acquaintance

func acquaintance(start uint64) raft.Acquaintance {
	return raft.Acquaintance{Incarnation: raft.Incarnation{Store: 7, Start: start, Nonce: start}}
}

// meeting is one change of what is remembered, the same content again and again among them, and nothing.
type meeting struct {
	node raft.NodeID
	with raft.Acquaintance
}

var meetings = []meeting{
	{2, acquaintance(1)}, {2, acquaintance(2)}, {2, acquaintance(1)}, {3, acquaintance(5)}, {2, raft.Acquaintance{}}, {3, raft.Acquaintance{}},
	{2, acquaintance(1)}, {2, acquaintance(2)}, {2, raft.Acquaintance{}},
}

// after is what is remembered after the first n meetings.
func after(n int) met {
	m := met{}
	for _, x := range meetings[:n] {
		if m[x.node] = x.with; x.with == (raft.Acquaintance{}) {
			delete(m, x.node)
		}
	}
	return m
}

func opened(t *testing.T, disk vfs.FS) *Store {
	t.Helper()
	s, err := Open(config(disk, "d"))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func closed(t *testing.T, s *Store) {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

func meet(t *testing.T, s *Store, m meeting) {
	t.Helper()
	if err := s.Meet(m.node, m.with); err != nil {
		t.Fatal(err)
	}
}

// TestPeersOfAnOlderCopy puts PEERS alone back to each state that it had, or removes it, while the store runs and after it ended: an older copy of a
// peer's folder would pass here.
func TestPeersOfAnOlderCopy(t *testing.T) {
	disk := vfs.NewCrashableMem()
	var olders [][]byte
	noticed := func(disk *vfs.MemFS, what string) {
		t.Helper()
		path := "d/" + peersName
		for i := range len(olders) {
			copied := disk.CrashClone(vfs.CrashCloneCfg{})
			older := fmt.Sprintf("state %d of %d", i, len(olders))
			if err := copied.Remove(path); err != nil {
				t.Fatal(err)
			}
			if i == 0 {
				older = "no file"
			} else if err := writeFile(copied, path, olders[i-1]); err != nil {
				t.Fatal(err)
			}
			if err := openClose(t, config(copied, "d")); !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), "readmitted") {
				t.Errorf("%s, put back to %s: %v", what, older, err)
			}
		}
		if err := openClose(t, config(disk.CrashClone(vfs.CrashCloneCfg{}), "d")); err != nil {
			t.Errorf("%s, untouched: %v", what, err)
		}
	}
	for i, m := range meetings {
		s := opened(t, disk)
		meet(t, s, m)
		olders = append(olders, must(readFile(disk, "d/"+peersName)))
		noticed(disk.CrashClone(vfs.CrashCloneCfg{}), fmt.Sprintf("%d meetings, cut short", i+1))
		if i%3 == 1 { // several in one opening, too
			if _, err := s.Speak(); err != nil {
				t.Fatal(err)
			}
			meet(t, s, meeting{9, acquaintance(uint64(i))})
			olders = append(olders, must(readFile(disk, "d/"+peersName)))
			noticed(disk.CrashClone(vfs.CrashCloneCfg{}), fmt.Sprintf("%d meetings and one more, cut short", i+1))
		}
		closed(t, s)
		noticed(disk, fmt.Sprintf("%d meetings, closed", i+1))
	}
}

// TestPeersUnderAnOlderFolder: the rest of the folder is put back, PEERS stays.
func TestPeersUnderAnOlderFolder(t *testing.T) {
	disk := vfs.NewCrashableMem()
	s := opened(t, disk)
	meet(t, s, meetings[0])
	closed(t, s)
	older := disk.CrashClone(vfs.CrashCloneCfg{})
	for _, m := range meetings[1:4] {
		s := opened(t, disk)
		meet(t, s, m)
		closed(t, s)
	}
	putBack(t, disk, older, peersName)
	refusal(t, openClose(t, config(older, "d")), peersName, ErrDamaged)
}

// TestPeersAtEveryBoundary cuts the power before every change of the disk while others are met and forgotten, and again while the store opens and goes
// on: it opens always, and remembers what it promised to, or that and what it was just told.
func TestPeersAtEveryBoundary(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	disk := vfs.NewCrashableMem()
	eye := &witness{disk: disk, rng: rand.New(rand.NewPCG(seed, 2))}
	cuts := 0
	check := func(taken []remains, n int) {
		for _, c := range taken {
			cuts++
			s, err := Open(config(c.disk, "d"))
			if err != nil {
				t.Fatalf("seed %d, meeting %d, %s: %v", seed, n, c.note, err)
			}
			if got := s.Met(); !maps.Equal(got, after(n)) && !maps.Equal(got, after(max(n-1, 0))) {
				t.Fatalf("seed %d, meeting %d, %s: remembers %v", seed, n, c.note, got)
			}
			closed(t, s)
		}
	}
	for n, m := range append([]meeting{{}}, meetings...) {
		s := opened(t, errorfs.Wrap(disk, eye))
		if n%2 == 0 {
			if _, err := s.Speak(); err != nil {
				t.Fatal(err)
			}
		}
		if opening := eye.take(); n < 4 {
			check(opening, max(n-1, 0))
		}
		if n == 0 {
			closed(t, s)
			continue
		}
		meet(t, s, m)
		for _, c := range eye.take() {
			again := &witness{disk: c.disk.CrashClone(vfs.CrashCloneCfg{}), rng: rand.New(rand.NewPCG(seed, uint64(cuts)))}
			s, err := Open(config(errorfs.Wrap(again.disk, again), "d"))
			if err != nil {
				t.Fatalf("seed %d, meeting %d, %s: %v", seed, n, c.note, err)
			}
			meet(t, s, m)
			closed(t, s)
			second := again.take()
			for i := cuts % 31; i < len(second); i += 31 {
				check(second[i:i+1], n)
			}
			check([]remains{c, {disk: again.disk, note: c.note + ", gone on"}}, n)
		}
		closed(t, s)
		check(eye.take(), n)
	}
	if t.Logf("%d power cuts", cuts); cuts < 500 {
		t.Error("there must have been more power cuts")
	}
}

// former makes a store's folder one that a release wrote that knows nothing of what IDENTITY says of PEERS and of logs.
func former(t *testing.T, disk vfs.FS, peers met) {
	t.Helper()
	var known struct {
		Format  int         `json:"format"`
		Cluster string      `json:"cluster"`
		Node    raft.NodeID `json:"node"`
		Ready   bool        `json:"ready"`
		Store   uint64      `json:"store,omitempty"`
		Start   uint64      `json:"start,omitempty"`
		Opening opening     `json:"opening,omitzero"`
	}
	line, ok := unsummed(must(readFile(disk, "d/"+identityName)))
	if err := json.Unmarshal(line, &known); !ok || err != nil {
		t.Fatal(err)
	}
	list := []acquainted{}
	for node, a := range peers {
		list = append(list, remembered(node, a))
	}
	for name, content := range map[string]any{identityName: known, peersName: list} {
		line, err := json.Marshal(content)
		if err != nil {
			t.Fatal(err)
		}
		if err := writeFile(disk, "d/"+name, summed(line)); err != nil {
			t.Fatal(err)
		}
	}
}

// TestPeersOfTheReleaseBefore, which writes PEERS without a word, and IDENTITY anew with each opening, are taken as they are, as often as the folder goes
// back and forth. This release's are missed from its first opening on.
func TestPeersOfTheReleaseBefore(t *testing.T) {
	disk := vfs.NewCrashableMem()
	closed(t, opened(t, disk))
	for i := range uint64(6) {
		want := met{2: acquaintance(100 + i)}
		former(t, disk, want)
		s := opened(t, disk)
		if got := s.Met(); !maps.Equal(got, want) {
			t.Errorf("remembers %v", got)
		}
		before := must(readFile(disk, "d/"+peersName))
		if i%2 == 1 {
			meet(t, s, meeting{2, acquaintance(200 + i)})
			meet(t, s, meeting{2, raft.Acquaintance{}})
		}
		closed(t, s)
		copied := disk.CrashClone(vfs.CrashCloneCfg{})
		if i%2 == 1 {
			if err := writeFile(copied, "d/"+peersName, before); err != nil {
				t.Fatal(err)
			}
		} else if err := copied.Remove("d/" + peersName); err != nil {
			t.Fatal(err)
		}
		refusal(t, openClose(t, config(copied, "d")), peersName, ErrDamaged)
	}
}
