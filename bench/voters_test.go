package main

import (
	"errors"
	"slices"
	"strconv"
	"sync"
	"testing"
)

// errFakeFollower refuses what only a leader may take.
var errFakeFollower = errors.New("fake: not the leader")

// A fakeGroup is what the voters of a fake cluster share: the log, which is their disk and their network.
type fakeGroup struct {
	mu       sync.Mutex
	settings settings
	log      [][]byte
	up       [voters]*fakeVoter
	leader   int
	refusals int // proposals that are refused before another voter leads
	waiting  int // such refusals since there was a leader

	forget   bool   // a voter that comes back has lost the last entry
	sendLog  bool   // a voter that is new gets the log although there is a snapshot
	snapshot []byte // nil: none yet
	opened   []string
}

func (g *fakeGroup) set(dir string) voterSet {
	return &votersOf[*fakeVoter]{dir: dir, listen: func(place int, dir, address string) (*fakeVoter, error) {
		v := &fakeVoter{place: place, group: g, listening: address}
		if v.listening == anyPort {
			v.listening = "fake:" + strconv.Itoa(place)
		}
		v.machine.keep = g.settings.keep
		return v, nil
	}}
}

// A fakeVoter applies whatever its leader takes as long as it is up.
type fakeVoter struct {
	place     int
	group     *fakeGroup
	listening string
	machine   machine
	halts     int
	closes    int
}

func (v *fakeVoter) address() string { return v.listening }
func (v *fakeVoter) state() *machine { return &v.machine }

func (v *fakeVoter) join(addresses []string) error {
	g := v.group
	g.mu.Lock()
	defer g.mu.Unlock()
	g.opened = append(g.opened, v.listening)
	g.up[v.place] = v
	if g.snapshot != nil && !g.sendLog {
		return v.machine.load(g.snapshot)
	}
	for i, data := range g.log {
		if !g.forget || i < len(g.log)-1 {
			v.machine.apply(data)
		}
	}
	return nil
}

func (v *fakeVoter) leads() bool {
	v.group.mu.Lock()
	defer v.group.mu.Unlock()
	return v.group.leads(v)
}

// leads makes a voter the leader if there has been none for long enough.
func (g *fakeGroup) leads(v *fakeVoter) bool {
	if g.up[g.leader] == nil {
		if g.waiting++; g.waiting > g.refusals {
			g.leader, g.waiting = v.place, 0
		}
	}
	return g.up[g.leader] == v
}

func (v *fakeVoter) propose(data []byte) error {
	g := v.group
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.leads(v) {
		return errFakeFollower
	}
	g.log = append(g.log, slices.Clone(data))
	for _, v := range g.up {
		if v != nil {
			v.machine.apply(data)
		}
	}
	return nil
}

func (v *fakeVoter) read(bool) (uint64, error) { return v.machine.count.Load(), nil }

func (v *fakeVoter) snapshot() error {
	v.group.snapshot = v.machine.save()
	return nil
}

func (v *fakeVoter) halt() {
	v.group.mu.Lock()
	defer v.group.mu.Unlock()
	v.halts++
	v.group.up[v.place] = nil
}

func (v *fakeVoter) close() error {
	v.closes++
	return nil
}

// TestVotersComeBack: whoever is opened again gets its old address, and stop closes each voter once, halted before or not.
func TestVotersComeBack(t *testing.T) {
	g := &fakeGroup{}
	c := g.set(t.TempDir())
	if err := c.reserve(2); err != nil {
		t.Fatal(err)
	}
	if err := open(t.Context(), c, 0, 1); err != nil {
		t.Fatal(err)
	}
	if err := c.propose([]byte("x")); err != nil {
		t.Fatal(err)
	}
	if n := len(c.machines()); n != 2 {
		t.Errorf("%d machines of 2 voters", n)
	}
	if err := c.open(2); err != nil {
		t.Fatal(err)
	}
	was := []*fakeVoter{c.at(0).(*fakeVoter), c.at(1).(*fakeVoter), c.at(2).(*fakeVoter)}
	c.halt(0)
	if n := len(c.machines()); n != 2 {
		t.Errorf("%d machines of 2 voters that are left", n)
	}
	if err := c.stop(); err != nil {
		t.Fatal(err)
	}
	for i, v := range was {
		if v.halts != 1 || v.closes != 1 {
			t.Errorf("voter %d was halted %d times and closed %d times", i, v.halts, v.closes)
		}
	}
	g.opened = nil
	if err := open(t.Context(), c, 0, 1, 2); err != nil {
		t.Fatal(err)
	}
	if err := verify(t.Context(), c.machines(), 1, convergeTimeout); err != nil {
		t.Error(err)
	}
	for _, v := range was {
		if !slices.Contains(g.opened, v.listening) {
			t.Errorf("%s is not among %v", v.listening, g.opened)
		}
	}
	if err := c.stop(); err != nil {
		t.Error(err)
	}
}

func TestVoterThatCannotOpen(t *testing.T) {
	broken := errors.New("port in use")
	c := &votersOf[*fakeVoter]{dir: t.TempDir()}
	works := (&fakeGroup{}).set(c.dir).(*votersOf[*fakeVoter]).listen
	c.listen = func(place int, dir, address string) (*fakeVoter, error) {
		if place == 1 {
			return nil, broken
		}
		return works(place, dir, address)
	}
	if _, err := launch(c); !errors.Is(err, broken) {
		t.Errorf("launch: %v", err)
	}
}
