package actors

import (
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/troupe-raft/troupe/raft"
	"github.com/troupe-raft/troupe/remote"
)

// A Lineage is a Store that knows which start on which folder this is, and remembers those of other nodes. Without one, whoever calls in a
// node's name is taken for that node. *persister.Store is one, and says what the methods do.
type Lineage interface {
	Incarnation() raft.Incarnation
	Speak() (raft.Incarnation, error)
	Renew() (raft.Incarnation, error)
	Met() map[raft.NodeID]raft.Acquaintance
	Meet(raft.NodeID, raft.Acquaintance) error
}

// An IdentityError: what runs in the name of a node is not, as far as others remember, what they know by that name. It has no vote and does
// not count.
type IdentityError struct {
	Peer     raft.NodeID
	By       raft.NodeID // who says so; the node that has the error, unless that is Peer
	Standing raft.Standing
	// Store is the folder that Peer runs on, if it is Wiped and not the node that has the error. It tells one loss of a folder from the next.
	Store uint64
}

func (e *IdentityError) Error() string {
	return fmt.Sprintf("node %d %s (node %d says so)", e.Peer, e.what(), e.By)
}

func (e *IdentityError) what() string {
	readmit := fmt.Sprintf("let this one back in as a learner (ctl readmit %d, actors.Change.Readmit)", e.Peer)
	switch e.Standing {
	case raft.Older:
		return "was started on an older copy of its folder, which has forgotten what the node promised since; it has no vote and does not count: " +
			"stop it and start it on its newest folder, or, if that is lost, " + readmit
	case raft.Cloned:
		return "runs twice, on copies of one folder; the one that was started later has no vote and does not count: stop that one, or, if it is " +
			"to take the other's place, stop the other and " + readmit
	default:
		return "runs on another folder than before, which knows nothing of what the node promised; it has no vote and does not count: stop it and " +
			"start it on the folder that it had, or, if that is lost, " + readmit
	}
}

// A ReadmitError refuses Change.Readmit of a member.
type ReadmitError struct {
	Peer   raft.NodeID
	Reason string
}

func (e *ReadmitError) Error() string {
	return fmt.Sprintf("node %d cannot be readmitted: %s", e.Peer, e.Reason)
}

// identityMoved has a group look anew at who a node is: guard → group.
type identityMoved struct{ peer raft.NodeID }

// A guard tells the starts and folders of nodes apart, for the host's transport and its groups. It implements remote.Guard.
type guard struct {
	host    *Host
	lineage Lineage
	odd     atomic.Bool // some node is, or was, not who it was

	mu      sync.Mutex
	self    raft.Incarnation
	counted bool                              // somebody has let self in
	judged  IdentityError                     // what others make of self; Standing Unmet while they do not object
	met     map[raft.NodeID]raft.Acquaintance // as the lineage has it
	entered map[raft.NodeID]raft.Incarnation  // who is connected, or was last
	judging map[raft.NodeID]raft.Standing     // of the last call in the name of each
	renewed map[raft.NodeID]uint64            // the folder of its own that the last copy of each has become; 0: none yet
	forgot  uint64                            // how many were forgotten to make room
}

func (h *Host) newGuard(l Lineage) *guard {
	g := &guard{
		host: h, lineage: l, self: l.Incarnation(), met: l.Met(),
		entered: map[raft.NodeID]raft.Incarnation{}, judging: map[raft.NodeID]raft.Standing{},
		renewed: map[raft.NodeID]uint64{},
	}
	for _, a := range g.met {
		g.notice(a)
	}
	return g
}

func (g *guard) notice(a raft.Acquaintance) {
	if a.Readmitted || a.Forked {
		g.odd.Store(true)
	}
}

// Self implements remote.Guard.
func (g *guard) Self() raft.Incarnation {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.self
}

// Speak implements remote.Guard.
func (g *guard) Speak() (raft.Incarnation, error) { return g.lineage.Speak() }

// Counted implements remote.Guard.
func (g *guard) Counted() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.counted
}

// Known implements remote.Guard.
func (g *guard) Known(node raft.NodeID) raft.Acquaintance {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.met[node]
}

// Greeted implements remote.Guard.
func (g *guard) Greeted(node raft.NodeID, c remote.Call, p raft.Prober) (raft.Standing, error) {
	for {
		known := g.Known(node)
		s, err := known.Greet(c.Incarnation, p)
		if err != nil {
			return raft.Unmet, err
		}
		if current, err := g.meet(node, known, c, s); current {
			return s, err
		}
	}
}

// meet acts on a judgement, unless what is known of the node has changed meanwhile.
func (g *guard) meet(node raft.NodeID, known raft.Acquaintance, c remote.Call, s raft.Standing) (current bool, err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.met[node] != known {
		return false, nil
	}
	next := known.Meet(c.Incarnation, s, c.Counted)
	if known == (raft.Acquaintance{}) && next != known {
		if members := g.host.members(); !members[node] {
			next.Stranger = true
			g.makeRoom(members)
		}
	}
	if err := g.remember(node, next); err != nil {
		return true, err
	}
	if s != raft.Older && s != raft.Cloned {
		return true, nil
	}
	what := &IdentityError{Peer: node, By: g.host.cfg.Node, Standing: s}
	if next.Forked { // then whoever is connected is one of them
		g.hangUp(node, what)
	}
	g.judging[node] = s
	delete(g.renewed, node)
	g.nudge(node)
	return true, what
}

// remember keeps what is known of a node. The caller holds the lock.
func (g *guard) remember(node raft.NodeID, a raft.Acquaintance) error {
	if g.met[node] == a {
		return nil
	}
	if err := g.lineage.Meet(node, a); err != nil {
		return err
	}
	if g.met[node] = a; a == (raft.Acquaintance{}) {
		delete(g.met, node)
	}
	g.notice(a)
	return nil
}

func (g *guard) hangUp(node raft.NodeID, reason error) {
	if t, ok := g.host.transport.(interface{ HangUp(raft.NodeID, error) }); ok {
		t.HangUp(node, reason)
	}
}

// Entered implements remote.Guard.
func (g *guard) Entered(node raft.NodeID, i raft.Incarnation, s raft.Standing) {
	g.mu.Lock()
	if a := g.met[node]; i.Known() && (!a.Known() || a.Store == i.Store && a.Start == 0) { // forgotten, or its folder let in, since it was judged
		delete(g.entered, node)
		g.hangUp(node, ErrForgotten)
		g.mu.Unlock()
		return
	}
	before := g.judging[node]
	if copied := !before.Counts() && before != raft.Wiped; copied && s == raft.Wiped {
		if g.renewed[node] == 0 { // whoever is told that it is a copy becomes a folder of its own
			g.renewed[node] = i.Store
		}
		if g.renewed[node] == i.Store {
			s = before
		}
	}
	moved := s.Counts() != before.Counts() || g.met[node].Readmitted && g.entered[node] != i ||
		s == raft.Wiped && g.entered[node].Store != i.Store // lost once more
	g.entered[node], g.judging[node] = i, s
	if !i.Known() { // the same as none, and takes no room
		delete(g.entered, node)
	}
	if s == raft.Unmet {
		delete(g.judging, node)
	}
	if !s.Counts() {
		g.odd.Store(true)
	}
	g.mu.Unlock()
	if moved {
		g.nudge(node)
	}
}

// Pass implements remote.Guard. What a leader sends is listened to: it was elected by nodes that know it, and this one may yet have to
// learn from it that it was let back in.
func (g *guard) Pass(from raft.NodeID, i raft.Incarnation, batch []remote.Envelope) []remote.Envelope {
	if !g.odd.Load() {
		return batch
	}
	known := g.Known(from)
	return slices.DeleteFunc(batch, func(e remote.Envelope) bool {
		return decides(e.Message) && !decider(known, i, g.host.storeIn(e.Group, from))
	})
}

// decider reports whether a node that was met as known, and calls as i, may decide in a group whose membership names that folder for it, or
// none. A membership is in force before it is known to be committed: its word counts whatever this node remembers.
func decider(known raft.Acquaintance, i raft.Incarnation, named uint64) bool {
	switch {
	case known.Forked && (known.Store == i.Store || !i.Known()):
		return false
	case named != 0:
		return i.Known() && i.Store == named
	case !known.Known():
		return true
	}
	return !known.Readmitted && (known.Store == i.Store || !i.Known())
}

// inForce follows a membership that came into force: where it names folders, Pass has to look.
func (g *guard) inForce(m raft.Membership) {
	if g != nil && slices.ContainsFunc(m.Members, func(m raft.Member) bool { return m.Store != 0 }) {
		g.odd.Store(true)
	}
}

// decides says whether a message asks for a vote, or is one, or acknowledges something.
func decides(message any) bool {
	switch message.(type) {
	case *raft.RequestVote, *raft.RequestVoteReply, *raft.AppendEntriesReply, *raft.HeartbeatReply, *raft.InstallSnapshotReply, *remote.SnapshotChunkReply:
		return true
	}
	return false
}

// storeIn is the folder that a group's membership names for a node; 0: none.
func (h *Host) storeIn(group raft.GroupID, node raft.NodeID) uint64 {
	if g, ok := h.groups.Load(group); ok {
		for _, m := range g.(*Group).Status().Members {
			if m.ID == node {
				return m.Store
			}
		}
	}
	return 0
}

// Judged implements remote.Guard.
func (g *guard) Judged(by raft.NodeID, judge, i raft.Incarnation, s raft.Standing) {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case i != g.self:
		return
	case s.Counts():
		g.counted = true
		if g.judged.By == by {
			g.judged = IdentityError{}
			g.nudge(g.host.cfg.Node)
		}
		return
	}
	if !g.met[by].Believes(judge) {
		return
	}
	if g.judged.Standing.Counts() { // what is said after it follows from it
		g.judged = IdentityError{Peer: g.host.cfg.Node, By: by, Standing: s}
	}
	if s == raft.Older || s == raft.Cloned {
		next, err := g.lineage.Renew()
		if err != nil {
			return // the store has failed, and says so
		}
		g.self, g.counted = next, false
		g.forgetAll()
		g.greetAgain()
	}
	g.nudge(g.host.cfg.Node)
}

// forgetAll forgets who the others were, which is from before, as the lineage has done. They greet anew. The caller holds the lock.
func (g *guard) forgetAll() {
	for node := range g.entered {
		delete(g.met, node)
		g.meetAgain(node)
	}
	clear(g.met)
	clear(g.judging)
	clear(g.renewed)
}

// greetAgain calls everybody as who this node is now.
func (g *guard) greetAgain() {
	if t, ok := g.host.transport.(interface{ GreetAgain() }); ok {
		t.GreetAgain()
	}
}

func (g *guard) nudge(peer raft.NodeID) {
	g.host.tellGroups(g.host.system.Root, &identityMoved{peer})
}

// objection is what keeps a node from counting in a group whose membership names store for it, or nil.
func (g *guard) objection(node raft.NodeID, store uint64) error {
	if g == nil {
		return nil
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	i, e := g.entered[node], IdentityError{Peer: node, By: g.host.cfg.Node, Standing: g.judging[node]}
	if node == g.host.cfg.Node {
		i, e = g.self, g.judged
	} else if e.Standing.Counts() && g.met[node].Readmitted && i.Known() { // by another group: in this one it is not
		e.Standing = raft.Wiped
	}
	if e.Standing.Counts() || i.Known() && i.Store == store {
		return nil
	}
	if e.Standing == raft.Wiped && node != g.host.cfg.Node {
		e.Store = i.Store
	}
	return &e
}

// neverAway is said of a node that is known by the folder that it ran on last, by whether it answers.
var neverAway = map[bool]string{true: "the leader knows it by the folder that it runs on", false: "it does not answer: start it, on the folder that it is to have"}

// newcomer returns the folder that a node runs on which does not count where the membership names that one for it, or none. It may count
// in other groups. Errors are *ReadmitError.
func (g *guard) newcomer(node raft.NodeID, named uint64, answers bool) (uint64, error) {
	if g == nil {
		return 0, &ReadmitError{node, "the store of this node does not tell folders apart"}
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	i, known := g.entered[node], g.met[node]
	switch {
	case node == g.host.cfg.Node:
		return 0, &ReadmitError{node, "it leads"}
	case !i.Known():
		return 0, &ReadmitError{node, "it has not called the leader: start it, on the folder that it is to have"}
	case i.Store == known.Store && (!known.Readmitted || i.Store == named):
		return 0, &ReadmitError{node, neverAway[answers]}
	}
	return i.Store, nil
}

// newcomer is guard.newcomer for the membership in force.
func (r *replica) newcomer(node raft.NodeID) (uint64, error) {
	m, _ := r.node.Membership().Member(node)
	return r.host.guard.newcomer(node, m.Store, r.active(node))
}

// members are all nodes that are members of a group on this host.
func (h *Host) members() map[raft.NodeID]bool {
	all := map[raft.NodeID]bool{}
	for _, g := range h.running() {
		for _, m := range g.Status().Members {
			all[m.ID] = true
		}
	}
	return all
}

// greetAll makes this start known to all members, not only to those whom the group has something to tell.
func (r *replica) greetAll() {
	if t, ok := r.host.transport.(greeter); ok {
		for _, id := range r.peers() {
			t.Greet(id)
		}
	}
}

// identify notes whether a member is who it was.
func (r *replica) identify(node raft.NodeID) {
	m, member := r.node.Membership().Member(node)
	switch what := r.host.guard.objection(node, m.Store); {
	case what != nil && (member || node == r.host.cfg.Node):
		r.troubled(node, what)
	case r.misidentified(node):
		r.untroubled(node)
	}
}

// identityMoved follows what this node, or others, make of a greeting. Whom others do not know must have forgotten something: it is in doubt.
func (r *replica) identityMoved(node raft.NodeID) {
	r.identify(node)
	if node == r.host.cfg.Node && r.misidentified(node) && !r.toldBack {
		r.toldBack = true
		r.step(raft.GoneBack{}, nil)
	}
}

func (r *replica) misidentified(node raft.NodeID) bool {
	_, is := r.troubles[node].(*IdentityError)
	return is
}
