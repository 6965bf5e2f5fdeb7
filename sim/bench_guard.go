package sim

import (
	"errors"
	"maps"
	"strings"

	"github.com/troupe-raft/troupe/actors"
	"github.com/troupe-raft/troupe/raft"
	"github.com/troupe-raft/troupe/remote"
)

// A benchFolder is IDENTITY and PEERS. It implements actors.Lineage.
type benchFolder struct {
	self  raft.Incarnation
	met   map[raft.NodeID]raft.Acquaintance
	fails error // whatever is written
}

func newBenchFolder() *benchFolder {
	return &benchFolder{self: raft.Incarnation{Store: 10, Start: 1, Nonce: 1}, met: map[raft.NodeID]raft.Acquaintance{}}
}

func (f *benchFolder) Incarnation() raft.Incarnation          { return f.self }
func (f *benchFolder) Speak() (raft.Incarnation, error)       { return f.self, f.fails }
func (f *benchFolder) Met() map[raft.NodeID]raft.Acquaintance { return maps.Clone(f.met) }

func (f *benchFolder) Renew() (raft.Incarnation, error) {
	if f.fails == nil {
		f.self = raft.Incarnation{Store: f.self.Store + 1, Start: 1, Nonce: 1}
		clear(f.met)
	}
	return f.self, f.fails
}

func (f *benchFolder) Meet(node raft.NodeID, a raft.Acquaintance) error {
	if f.fails == nil {
		f.met[node] = a
	}
	return f.fails
}

// calls has a start of node 3 call, and be connected if it is let in.
func (h *hosted) calls(i raft.Incarnation, counted bool, r rumour) (raft.Standing, error) {
	s, err := h.guard.Greeted(3, remote.Call{Incarnation: i, Counted: counted}, r)
	if err == nil {
		h.guard.Entered(3, i, s)
	}
	h.pass(0)
	return s, err
}

// trouble is what it says of node 3.
func (h *hosted) trouble() error {
	for _, m := range h.group.Status().Members {
		if m.ID == 3 {
			return m.Trouble
		}
	}
	return nil
}

// twoFolders: a member runs in two places, on copies of one folder, and on older ones. Whoever does not count is heard as a leader alone, its connection
// ends where that is one of two, it and the operator are told what to do, and nothing but another folder is let back in.
func (b *bench) twoFolders() {
	h := b.putHost(&image{}, newTree(), newBenchFolder(), nil)
	term := h.leads()
	first, second := raft.Incarnation{Store: 30, Start: 1, Nonce: 1}, raft.Incarnation{Store: 30, Start: 2, Nonce: 2}
	vote := []remote.Envelope{{Group: groupID, Message: &raft.RequestVoteReply{Term: term}}, {Group: groupID, Message: &raft.TimeoutNow{Term: term - 1, Leader: 3}}}
	heard := func(i raft.Incarnation) int { return len(h.guard.Pass(3, i, append([]remote.Envelope(nil), vote...))) }

	s, err := h.calls(first, false, rumour{})
	b.demand(s == raft.Unmet && err == nil && heard(first) == 2, "a member that calls is judged %d, %v", s, err)
	s, err = h.calls(second, false, rumour{another: true}) // the first lives on, and nobody has let the second in
	b.demand(s == raft.Cloned && err != nil && h.hungUp[3] == nil && heard(first) == 2, "a copy that nobody counts is judged %d, %v, and ends the first's connection: %v", s, err, h.hungUp[3])
	b.demand(err != nil && strings.Contains(err.Error(), "runs twice") && strings.Contains(err.Error(), "actors.Change.Readmit"), "an operator reads %v", err)
	s, err = h.calls(first, false, rumour{})
	b.demand(s == raft.Same && err == nil && h.trouble() == nil, "the first is judged %d, %v after a copy: %v", s, err, h.trouble())
	r := h.asks(&actors.ChangeMembers{Change: actors.Change{Readmit: []raft.NodeID{3}}})
	let := (*actors.ReadmitError)(nil)
	b.demand(errors.As(r.err(), &let), "who runs on the folder that is known is let back in: %v", r.err())

	s, err = h.calls(second, true, rumour{another: true}) // others have let it in: now none of them can be believed
	wrong := (*actors.IdentityError)(nil)
	b.demand(s == raft.Cloned && errors.As(h.hungUp[3], &wrong) && wrong.Standing == raft.Cloned, "a copy that others count is judged %d, %v, and the first is not hung up on: %v", s, err, h.hungUp[3])
	b.demand(len(h.guard.Pass(2, first, append([]remote.Envelope(nil), vote...))) == 2, "a member that nobody has met is not heard")
	b.demand(heard(first) == 1 && heard(second) == 1, "the votes of a folder that runs twice are heard")
	b.demand(errors.As(h.trouble(), &wrong), "nobody is told of a folder that runs twice: %v", h.trouble())

	h = b.putHost(&image{}, newTree(), newBenchFolder(), nil)
	h.leads()
	h.calls(second, false, rumour{})
	s, err = h.calls(first, false, rumour{})
	b.demand(s == raft.Older && errors.As(err, &wrong) && wrong.Standing == raft.Older, "an older copy is judged %d, %v", s, err)
	s, _ = h.calls(raft.Incarnation{Store: 31, Start: 1, Nonce: 1}, false, rumour{}) // which it has become
	b.demand(s == raft.Wiped && errors.As(h.trouble(), &wrong) && wrong.Standing == raft.Older, "an older copy that has become a folder of its own is %v", h.trouble())
}

// forgottenMeanwhile: a member that is taken out between its greeting and its connection has to greet anew.
func (b *bench) forgottenMeanwhile() {
	h := b.putHost(&image{}, newTree(), newBenchFolder(), nil)
	h.leads()
	i := raft.Incarnation{Store: 30, Start: 5, Nonce: 1}
	s, err := h.guard.Greeted(3, remote.Call{Incarnation: i}, rumour{})
	b.demand(err == nil && s.Counts(), "a member that calls is judged %d, %v", s, err)
	h.asks(&actors.ChangeMembers{Change: actors.Change{Remove: []raft.NodeID{3}, Force: true}})
	h.answers(2)
	h.pass(0)
	h.guard.Entered(3, i, s)
	b.demand(errors.Is(h.hungUp[3], actors.ErrForgotten), "who was forgotten before it was connected stays connected: %v", h.hungUp[3])
}

// A slowProber lets something happen while it finds out who lives. It implements raft.Prober.
type slowProber struct {
	rumour
	meanwhile func()
}

func (r slowProber) Another() (bool, error) {
	r.meanwhile()
	return r.rumour.Another()
}

// droppedMeanwhile: a member that is taken out of the group while its call is judged is judged as what it is then: nobody who is known.
func (b *bench) droppedMeanwhile() {
	h := b.putHost(&image{}, newTree(), newBenchFolder(), nil)
	h.leads()
	_, err := h.calls(raft.Incarnation{Store: 30, Start: 5, Nonce: 1}, false, rumour{})
	b.demand(err == nil, "a member that calls is refused: %v", err)
	r := &reply{}
	s, err := h.guard.Greeted(3, remote.Call{Incarnation: raft.Incarnation{Store: 30, Start: 4, Nonce: 2}, Counted: true}, slowProber{meanwhile: func() {
		if r = h.asks(&actors.ChangeMembers{Change: actors.Change{Remove: []raft.NodeID{3}, Force: true}}); len(r.said) == 0 {
			h.answers(2)
			h.pass(0)
		}
	}})
	known := h.guard.Known(3)
	b.demand(r.err() == nil, "a member is not taken out: %v", r.err())
	b.demand(s == raft.Unmet && err == nil && known.Start == 4 && !known.Forked && known.Stranger, "who called as an older copy of a member that was taken out meanwhile is judged %d, %v, and known as %+v", s, err, known)
}

// judgedByOthers: what others say of a start of this node's counts until they take it back, and not at all of another start. A folder that cannot be
// renewed goes on as who it was.
func (b *bench) judgedByOthers() {
	h := b.putHost(&image{}, newTree(), newBenchFolder(), nil)
	h.leads()
	self, judge := h.guard.Self(), raft.Incarnation{}
	objects := func(by raft.NodeID, i raft.Incarnation, s raft.Standing) error {
		h.guard.Judged(by, judge, i, s)
		h.pass(0)
		return h.group.Status().Trouble
	}
	other := self
	other.Start++
	b.demand(objects(2, other, raft.Wiped) == nil, "what is said of another start counts")
	b.demand(objects(2, self, raft.Wiped) != nil, "nobody is told that another does not count this node")
	b.demand(objects(3, self, raft.Same) != nil && h.guard.Counted(), "one who counts it speaks for the other who does not")
	b.demand(objects(2, self, raft.Next) == nil, "who counts it again still objects: %v", h.group.Status().Trouble)
	h.calls(raft.Incarnation{Store: 30, Start: 5, Nonce: 1}, false, rumour{})
	judge = raft.Incarnation{Store: 30, Start: 4, Nonce: 2}
	b.demand(objects(3, self, raft.Wiped) == nil, "the word of an older copy counts: %v", h.group.Status().Trouble)

	h = b.putHost(&image{}, newTree(), newBenchFolder(), nil)
	h.leads()
	h.folder.fails = errInjected
	self = h.guard.Self()
	objects(2, self, raft.Older)
	b.demand(h.guard.Self() == self && h.again == 0, "a folder that cannot be renewed calls as %+v", h.guard.Self())
	h.folder.fails = nil
	h.calls(raft.Incarnation{Store: 30, Start: 5, Nonce: 1}, false, rumour{})
	b.demand(objects(2, self, raft.Older) != nil && h.guard.Self().Store != self.Store && h.again == 1, "an older copy calls as %+v", h.guard.Self())
	b.demand(h.guard.Known(3) == raft.Acquaintance{} && errors.Is(h.hungUp[3], actors.ErrForgotten), "an older copy remembers %+v, and %v", h.guard.Known(3), h.hungUp[3])
}
