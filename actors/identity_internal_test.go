package actors

import (
	"log/slog"
	"testing"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/troupe-raft/troupe/raft"
	"github.com/troupe-raft/troupe/remote"
)

// A heldLineage remembers in memory.
type heldLineage struct{ Lineage }

func (heldLineage) Incarnation() raft.Incarnation {
	return raft.Incarnation{Store: 1, Start: 1, Nonce: 1}
}
func (heldLineage) Met() map[raft.NodeID]raft.Acquaintance {
	return map[raft.NodeID]raft.Acquaintance{}
}
func (heldLineage) Meet(raft.NodeID, raft.Acquaintance) error { return nil }
func (heldLineage) Speak() (raft.Incarnation, error)          { return heldLineage{}.Incarnation(), nil }

// A hanging transport counts whom it hangs up on.
type hanging struct {
	remote.Transport
	ended, ungreeted []raft.NodeID
}

func (t *hanging) HangUp(node raft.NodeID, _ error) { t.ended = append(t.ended, node) }
func (t *hanging) Ungreet(node raft.NodeID)         { t.ungreeted = append(t.ungreeted, node) }

// guarded is node 1, which has met node 3 on folder 30 and runs a group in each of the given states, with numbers from 1.
func guarded(t *testing.T, groups ...Status) (*guard, *hanging) {
	t.Helper()
	line := &hanging{}
	h := &Host{cfg: HostConfig{Node: 1}, system: actor.NewActorSystem(actor.WithLoggerFactory(func(*actor.ActorSystem) *slog.Logger { return slog.New(slog.DiscardHandler) })), transport: line}
	h.guard = h.newGuard(heldLineage{})
	for i, s := range groups {
		g := &Group{host: h, id: raft.GroupID(i + 1)}
		g.status.Store(&s)
		h.groups.Store(g.id, g)
	}
	greets(t, h.guard, 30)
	return h.guard, line
}

// greets has node 3 call from a folder.
func greets(t *testing.T, g *guard, store uint64) raft.Standing {
	t.Helper()
	i := raft.Incarnation{Store: store, Start: 1, Nonce: store}
	s, err := g.Greeted(3, remote.Call{Incarnation: i}, alone{})
	if err != nil {
		t.Fatal(err)
	}
	g.Entered(3, i, s)
	return s
}

// Nobody but the caller lives.
type alone struct{}

func (alone) Another() (bool, error) { return false, nil }
func (alone) Caller() error          { return nil }

func three(store uint64) raft.Membership {
	return raft.Membership{Voters: []raft.NodeID{1, 2, 3}, Members: []raft.Member{{ID: 1}, {ID: 2}, {ID: 3, Store: store}}}
}

func without3() raft.Membership {
	return raft.Membership{Voters: []raft.NodeID{1, 2}, Members: []raft.Member{{ID: 1}, {ID: 2}}}
}

func running3(store uint64) Status {
	return Status{Phase: Running, Members: []MemberStatus{{Member: raft.Member{ID: 1}}, {Member: raft.Member{ID: 2}}, {Member: raft.Member{ID: 3, Store: store}}}}
}

// A node that a group drops is forgotten only where no other group may have it as a member, also while that one does not run: it would come back
// on an emptied folder and vote there.
func TestNodeIsForgottenByAllGroups(t *testing.T) {
	for name, c := range map[string]struct {
		other  Status
		forget bool
	}{
		"no member":  {Status{Phase: Running, Members: []MemberStatus{{Member: raft.Member{ID: 1}}}}, true},
		"a member":   {running3(0), false},
		"crashed":    {Status{Phase: Restarting, Stopped: true}, false},
		"failed":     {Status{Phase: Failed, Stopped: true}, false},
		"is loading": {Status{Phase: Starting, Stopped: true}, false},
	} {
		g, _ := guarded(t, Status{Phase: Running}, c.other)
		g.settled(1, three(0), without3())
		if g.Known(3).Known() == c.forget {
			t.Errorf("%s: known %t", name, g.Known(3).Known())
		}
	}
}

// TestForgottenBetweenGreetingAndEntry has a member taken out and put in again after it was judged and before it is connected, which may wait for a
// connection that it had before. It greets anew: connected and unknown, it could lose its folder unnoticed, and vote again.
func TestForgottenBetweenGreetingAndEntry(t *testing.T) {
	g, line := guarded(t, Status{Phase: Running})
	next := raft.Incarnation{Store: 30, Start: 2, Nonce: 5}
	s, err := g.Greeted(3, remote.Call{Incarnation: next}, alone{})
	if err != nil {
		t.Fatal(err)
	}
	g.settled(1, three(0), without3())
	g.settled(1, without3(), three(0))
	line.ended = nil // the connection that it had before
	g.Entered(3, next, s)
	if len(line.ended) != 1 || line.ended[0] != 3 || g.entered[3].Known() {
		t.Errorf("it stays connected, and is known as %+v: %v", g.Known(3), line.ended)
	}

	g, line = guarded(t, Status{Phase: Running}) // likewise one whose folder was let in meanwhile
	wiped := raft.Incarnation{Store: 31, Start: 1, Nonce: 1}
	if s, err = g.Greeted(3, remote.Call{Incarnation: wiped}, alone{}); s != raft.Wiped || err != nil {
		t.Fatalf("another folder is judged %d, %v", s, err)
	}
	g.settled(1, three(0), three(31))
	line.ended = nil
	g.Entered(3, wiped, s)
	if len(line.ended) != 1 || g.Known(3).Start != 0 {
		t.Errorf("it stays connected, and is known as %+v: %v", g.Known(3), line.ended)
	}
	if s := greets(t, g, 31); !s.Counts() || g.Known(3).Start == 0 || len(line.ended) != 1 {
		t.Errorf("it is judged %d, and known as %+v", s, g.Known(3))
	}
}

// A node that is a member again is known by the folder that it has then, and by no folder that it was let back in with before.
func TestForgottenMemberGreetsAnew(t *testing.T) {
	g, line := guarded(t, Status{Phase: Running})
	g.settled(1, three(0), without3())
	if len(line.ended) > 0 || g.Known(3).Known() {
		t.Fatalf("taken out: %v, %+v", line.ended, g.Known(3))
	}
	g.settled(1, without3(), three(0))
	g.settled(1, three(0), three(0))
	if len(line.ended) != 1 || line.ended[0] != 3 {
		t.Errorf("it does not greet anew, once: %v", line.ended)
	}
	if s := greets(t, g, 31); !s.Counts() || greets(t, g, 30).Counts() {
		t.Errorf("the folder that it came back on counts as %d", s)
	}

	g, line = guarded(t, Status{Phase: Running})
	greets(t, g, 31)
	g.settled(1, three(0), three(31))
	if !g.Known(3).Readmitted || !greets(t, g, 31).Counts() {
		t.Fatalf("let back in: %+v", g.Known(3))
	}
	g.settled(1, three(31), three(0)) // both changes at once, as a node that was down learns them
	if g.Known(3).Readmitted || len(line.ended) != 1 {
		t.Errorf("taken out and put in again: %+v, %v", g.Known(3), line.ended)
	}
}

// After a restart a node does not forget once more whom the log has dropped, and what a membership that is not committed names is not gone when
// that is rolled back.
func TestWhatARestartForgets(t *testing.T) {
	for name, c := range map[string]struct {
		committed, latest, now raft.Membership
		forget                 bool
	}{
		"dropped before":             {three(0), without3(), without3(), false},
		"dropped now":                {three(0), three(0), without3(), true},
		"never let back in":          {three(0), three(31), three(0), false},
		"put in again before":        {three(31), three(0), three(0), false},
		"put in again now":           {three(31), three(31), three(0), true},
		"the change was rolled back": {three(0), without3(), three(0), false},
	} {
		g, _ := guarded(t, Status{Phase: Running})
		g.settled(1, undropped(c.committed, c.latest), c.now)
		if g.Known(3).Known() == c.forget {
			t.Errorf("%s: known %t", name, g.Known(3).Known())
		}
	}
}

// What the membership in force says of a node's folder holds before it is known to be committed, whatever this node remembers.
func TestMembershipNamesTheFolder(t *testing.T) {
	vote := []remote.Envelope{{Group: 1, Message: &raft.RequestVoteReply{Term: 5, Asked: 5, Granted: true}}}
	for name, c := range map[string]struct {
		known  raft.Acquaintance
		calls  uint64 // 0: it says nothing of itself
		named  uint64
		passes bool
	}{
		"never met":                               {raft.Acquaintance{}, 30, 0, true},
		"never met, and named otherwise":          {raft.Acquaintance{}, 30, 31, false},
		"known":                                   {raft.Acquaintance{Incarnation: raft.Incarnation{Store: 30}}, 30, 0, true},
		"known, and named otherwise":              {raft.Acquaintance{Incarnation: raft.Incarnation{Store: 30}}, 30, 31, false},
		"known by another":                        {raft.Acquaintance{Incarnation: raft.Incarnation{Store: 30}}, 31, 0, false},
		"known by another, and named":             {raft.Acquaintance{Incarnation: raft.Incarnation{Store: 30}}, 31, 31, true},
		"let in, and named":                       {raft.Acquaintance{Incarnation: raft.Incarnation{Store: 31}, Readmitted: true}, 31, 31, true},
		"let in by another group":                 {raft.Acquaintance{Incarnation: raft.Incarnation{Store: 31}, Readmitted: true}, 31, 0, false},
		"the one before it":                       {raft.Acquaintance{Incarnation: raft.Incarnation{Store: 31}, Readmitted: true}, 30, 0, false},
		"forked":                                  {raft.Acquaintance{Incarnation: raft.Incarnation{Store: 30}, Forked: true}, 30, 30, false},
		"forked, and another is named":            {raft.Acquaintance{Incarnation: raft.Incarnation{Store: 30}, Forked: true}, 31, 31, true},
		"of a release without folders":            {raft.Acquaintance{Incarnation: raft.Incarnation{Store: 30}}, 0, 0, true},
		"of a release without folders, and named": {raft.Acquaintance{Incarnation: raft.Incarnation{Store: 30}}, 0, 31, false},
	} {
		g, _ := guarded(t, running3(c.named))
		g.inForce(three(c.named))
		g.met[3] = c.known
		g.notice(c.known)
		if c.known.Known() && c.known.Store != c.calls { // it was told so when it called
			g.odd.Store(true)
		}
		i := raft.Incarnation{Store: c.calls}
		if passed := len(g.Pass(3, i, append([]remote.Envelope(nil), vote...))) == 1; passed != c.passes {
			t.Errorf("%s: passes %t", name, passed)
		}
	}
}

// A node that another group has let back in is let in by each group, is said not to count before, and is not let in twice.
func TestNodeIsLetIntoEachGroup(t *testing.T) {
	g, _ := guarded(t, Status{Phase: Running}, Status{Phase: Running})
	if _, err := g.newcomer(3, 0, true); err == nil {
		t.Error("it is let in although it was never away")
	}
	greets(t, g, 31)
	if store, err := g.newcomer(3, 0, true); err != nil || store != 31 {
		t.Fatalf("%d, %v", store, err)
	}
	g.settled(1, three(0), three(31))
	for _, again := range []bool{false, true} { // it calls again
		if again {
			greets(t, g, 31)
		}
		if err := g.objection(3, 31); err != nil {
			t.Errorf("where it was let in: %v", err)
		}
		if g.objection(3, 0) == nil {
			t.Errorf("nothing is said where it was not let in; it has called again: %t", again)
		}
	}
	if _, err := g.newcomer(3, 31, true); err == nil {
		t.Error("it is let in twice")
	}
	if store, err := g.newcomer(3, 0, true); err != nil || store != 31 {
		t.Errorf("the other group does not let it in: %d, %v", store, err)
	}
}

// A greeting of a start that has ended may come after the one of the folder that took its place, and count. When that folder is let in, nobody knows
// its start any more: it has to greet anew, or an older copy of it could pass for its next start.
func TestFolderThatIsLetInIsKnownByItsStart(t *testing.T) {
	g, line := guarded(t)
	if s := greets(t, g, 31); s != raft.Wiped {
		t.Fatalf("the next folder is judged %d", s)
	}
	if s := greets(t, g, 30); s != raft.Same {
		t.Fatalf("what was on its way is judged %d", s)
	}
	g.settled(1, three(0), three(31))
	if len(line.ended) != 1 || line.ended[0] != 3 {
		t.Errorf("%v have to greet anew", line.ended)
	}
	greets(t, g, 31)
	g.settled(1, three(31), three(31))
	if a := g.Known(3); a.Start != 1 || !a.Readmitted || len(line.ended) != 1 {
		t.Errorf("it is known as %+v, and %v had to greet anew", a, line.ended)
	}
}
