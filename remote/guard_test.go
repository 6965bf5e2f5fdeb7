package remote

import (
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/troupe-raft/troupe/raft"
)

// A porter is a Guard that remembers in memory, and lets nothing of those pass who do not count.
type porter struct {
	mu     sync.Mutex
	self   raft.Incarnation
	mute   error
	known  map[raft.NodeID]raft.Acquaintance
	heard  map[raft.NodeID]raft.Standing // what others made of this node last
	copies atomic.Int32                  // calls that were refused as a copy's
}

func newPorter(self raft.Incarnation) *porter {
	return &porter{self: self, known: map[raft.NodeID]raft.Acquaintance{}, heard: map[raft.NodeID]raft.Standing{}}
}

func (p *porter) Self() raft.Incarnation                               { return p.self }
func (p *porter) Speak() (raft.Incarnation, error)                     { return p.self, p.mute }
func (p *porter) Counted() bool                                        { return false }
func (p *porter) Entered(raft.NodeID, raft.Incarnation, raft.Standing) {}
func (p *porter) Known(node raft.NodeID) raft.Acquaintance {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.known[node]
}

func (p *porter) Greeted(node raft.NodeID, c Call, who raft.Prober) (raft.Standing, error) {
	known := p.Known(node)
	s, err := known.Greet(c.Incarnation, who)
	if err != nil {
		return raft.Unmet, err
	}
	if s == raft.Older || s == raft.Cloned {
		p.copies.Add(1)
		return s, errors.New("a copy")
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.known[node] = known.Meet(c.Incarnation, s, c.Counted)
	return s, nil
}

func (p *porter) Pass(from raft.NodeID, i raft.Incarnation, batch []Envelope) []Envelope {
	if !p.Known(from).Judge(i, false).Counts() {
		return nil
	}
	return batch
}

func (p *porter) Judged(by raft.NodeID, _, i raft.Incarnation, s raft.Standing) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if i == p.self {
		p.heard[by] = s
	}
}

func (p *porter) verdict(by raft.NodeID) raft.Standing {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.heard[by]
}

// guarded gives a node a guard.
func guarded(p *porter) func(*Config) {
	return func(c *Config) { unhurried(c); c.Guard = p }
}

func incarnation(store, start, nonce uint64) raft.Incarnation {
	return raft.Incarnation{Store: store, Start: start, Nonce: nonce}
}

// The next start of a node takes the place of the one before. A copy of its folder, or an older one, does not, be its start the next or not: not
// while the node is connected, nor while it only can be asked.
func TestCopiesAreRefused(t *testing.T) {
	for _, connected := range []bool{true, false} {
		p := newPorter(incarnation(20, 1, 1))
		b := start(t, 2, guarded(p))
		p.known[1] = raft.Acquaintance{Incarnation: incarnation(10, 5, 50)}
		a := start(t, 1, guarded(newPorter(incarnation(10, 5, 50))))
		if b.SetPeer(1, a.Addr()); connected {
			a.knows(b).send(2, vote(1))
			b.inbox.next(t, "vote 1", isVote(1))
			b.SetPeer(1, "")
		}
		for _, copied := range []raft.Incarnation{incarnation(10, 6, 60), incarnation(10, 5, 51), incarnation(10, 4, 40)} {
			q := newPorter(copied)
			c := start(t, 1, guarded(q)).knows(b)
			c.send(2, vote(2))
			c.logged("WARN no connection", "a copy")
			if s := q.verdict(2); s != raft.Cloned {
				t.Errorf("connected %t: %+v is told that it is %d", connected, copied, s)
			}
			c.stop()
		}
		if known := p.Known(1); known.Incarnation != incarnation(10, 5, 50) {
			t.Errorf("connected %t: then it knows %+v", connected, known)
		}
		a.stop()
		older := newPorter(incarnation(10, 4, 40))
		c := start(t, 1, guarded(older)).knows(b)
		c.send(2, vote(3))
		c.logged("WARN no connection", "a copy")
		if s := older.verdict(2); s != raft.Older {
			t.Errorf("connected %t: an older copy is told that it is %d", connected, s)
		}
		next := start(t, 1, guarded(newPorter(incarnation(10, 6, 61)))).knows(b)
		next.sendUntil(2, vote(4), b.inbox.found(isVote(4)))
		if heard := votes(b); !slices.Equal(heard, []raft.Term{4}) {
			t.Errorf("connected %t: it heard the votes %v", connected, heard)
		}
	}
}

// A connection on which something arrives, and no answer, may be one of a process that has died with much under way: the next start of its node
// is neither let in nor taken for a copy, and calls again.
func TestBusyConnectionDecidesNothing(t *testing.T) {
	p := newPorter(incarnation(20, 1, 1))
	b := start(t, 2, func(c *Config) { c.Guard, c.ProbeTimeout = p, 500*time.Millisecond })
	dead, err := greetAs(t, b, incarnation(10, 5, 50))
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		if n, err := dead.Read(make([]byte, 1)); n == 1 && err == nil {
			_, _ = dead.Write(encode(t, vote(1)))
		}
	}()
	q := newPorter(incarnation(10, 6, 60))
	a := start(t, 1, guarded(q)).knows(b)
	a.Greet(2)
	a.logged("WARN no connection", "call again")
	if s := q.verdict(2); s != raft.Unmet || p.Known(1).Start != 5 {
		t.Errorf("it is told that it is %d, and %+v is known", s, p.Known(1))
	}
	_ = dead.Close()
	a.logged("INFO connected", "peer=2")
	if p.Known(1).Start != 6 {
		t.Errorf("%+v is known", p.Known(1))
	}
}

// votes are the terms of the requests that a node got, each once.
func votes(n *node) (terms []raft.Term) {
	n.inbox.mu.Lock()
	defer n.inbox.mu.Unlock()
	for _, d := range n.inbox.items {
		if m, ok := d.Message.(*raft.RequestVote); ok && !slices.Contains(terms, m.Term) {
			terms = append(terms, m.Term)
		}
	}
	return terms
}

// A call may be heard long after its caller died, and after the next start of the caller's node was let in: by a node that
// was suspended, say. Nobody is judged for it, neither the start that has died nor the one that lives, whether the machine of
// the dead one said that it was gone or not.
func TestCallsOfTheDeadDecideNothing(t *testing.T) {
	for name, c := range map[string]struct {
		known, lives, dead raft.Incarnation
		connected          bool // the one that lives; else it can only be asked
	}{
		"older than the one that is connected":   {incarnation(10, 5, 50), incarnation(10, 7, 70), incarnation(10, 6, 60), true},
		"the one that was known":                 {incarnation(10, 5, 50), incarnation(10, 7, 70), incarnation(10, 5, 50), true},
		"between the known one and the next":     {incarnation(10, 5, 50), incarnation(10, 7, 70), incarnation(10, 6, 60), false},
		"on the folder before it was readmitted": {incarnation(11, 1, 10), incarnation(11, 2, 20), incarnation(10, 6, 60), true},
	} {
		for _, gone := range []bool{true, false} {
			if t.Failed() {
				return // each failure takes its time
			}
			t.Run(fmt.Sprintf("%s, gone %t", name, gone), func(t *testing.T) {
				p := newPorter(incarnation(20, 1, 1))
				p.known[1] = raft.Acquaintance{Incarnation: c.known}
				b := start(t, 2, func(cfg *Config) { cfg.Guard = p })
				a := start(t, 1, guarded(newPorter(c.lives)))
				b.SetPeer(1, a.Addr())
				if c.connected {
					a.knows(b).sendUntil(2, vote(1), b.inbox.found(isVote(1)))
				}
				dead, err := net.Dial("tcp", b.Addr())
				if err != nil {
					t.Fatal(err)
				}
				defer dead.Close()
				h := hello{speaks: Speaks(), cluster: "test", from: 1, to: 2, lane: Log, person: person{self: c.dead, counted: true}}
				if _, err := dead.Write(h.append(nil)); err != nil {
					t.Fatal(err)
				}
				if gone {
					_ = dead.Close()
				}
				b.logged("WARN connection refused", "show that it is still there") // and not judged
				a.knows(b).sendUntil(2, vote(2), b.inbox.found(isVote(2)))
				if known := p.Known(1); known.Incarnation != c.lives || known.Forked {
					t.Errorf("then it knows %+v", known)
				}
			})
		}
	}
}

// To greet again is not enough: it has to be with the number that is asked for, and as the same start of the same node.
func TestProofOfLife(t *testing.T) {
	for name, c := range map[string]struct {
		again func(hello, uint64) hello
		want  string
	}{
		"the number":    {func(h hello, n uint64) hello { h.proof = n; return h }, "a copy"},
		"no number":     {func(h hello, _ uint64) hello { return h }, "still there"},
		"another":       {func(h hello, n uint64) hello { h.proof = n + 1; return h }, "still there"},
		"another start": {func(h hello, n uint64) hello { h.proof, h.self.Nonce = n, 9; return h }, "still there"},
		"another node":  {func(h hello, n uint64) hello { h.proof, h.from = n, 3; return h }, "still there"},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPorter(incarnation(20, 1, 1))
			p.known[1] = raft.Acquaintance{Incarnation: incarnation(10, 5, 50)}
			b := start(t, 2, guarded(p))
			conn, err := net.Dial("tcp", b.Addr())
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			_ = conn.SetDeadline(time.Now().Add(patience))
			h := hello{speaks: Speaks(), cluster: "test", from: 1, to: 2, person: person{self: incarnation(10, 4, 40)}}
			if _, err := conn.Write(h.append(nil)); err != nil {
				t.Fatal(err)
			}
			asked, _, err := readVerdict(conn, Speaks())
			if err == nil || asked.challenge == 0 || asked.standing != raft.Unmet {
				t.Fatalf("%+v, %v", asked, err)
			}
			if _, err := conn.Write(c.again(h, asked.challenge).append(nil)); err != nil {
				t.Fatal(err)
			}
			v, _, err := readVerdict(conn, Speaks())
			if err == nil || !strings.Contains(err.Error(), c.want) || v.challenge != 0 {
				t.Errorf("%+v, %v", v, err)
			}
		})
	}
}

// The answer to an earlier probe does not show that a process lives now.
func TestLateAnswerIsNoLife(t *testing.T) {
	p := newPorter(incarnation(20, 1, 1))
	b := start(t, 2, func(c *Config) { c.Guard = p })
	dead, err := greetAs(t, b, incarnation(10, 5, 50))
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		for _, late := range [][]byte{encode(t, vote(1)), encode(t)} { // what was under way, and then the first answer
			if n, err := dead.Read(make([]byte, 1)); n == 1 && err == nil {
				_, _ = dead.Write(late)
			}
		}
		_, _ = dead.Read(make([]byte, 1))
		_ = dead.Close()
	}()
	q := newPorter(incarnation(10, 6, 60))
	a := start(t, 1, guarded(q)).knows(b)
	a.sendUntil(2, vote(2), b.inbox.found(isVote(2)))
	if copies := p.copies.Load(); copies > 0 || p.Known(1).Start != 6 {
		t.Errorf("it was taken for a copy %d times, and %+v is known", copies, p.Known(1))
	}
}

// Who does not count is let in as long as nobody who does calls: then it gives way, although it lives.
func TestWhoDoesNotCountGivesWay(t *testing.T) {
	p := newPorter(incarnation(20, 1, 1))
	p.known[1] = raft.Acquaintance{Incarnation: incarnation(10, 5, 50)}
	b := start(t, 2, guarded(p))
	wiped := newPorter(incarnation(11, 1, 10))
	w := start(t, 1, guarded(wiped)).knows(b)
	w.send(2, vote(1))
	w.logged("INFO connected", "")
	if s := wiped.verdict(2); s != raft.Wiped {
		t.Errorf("it is told that it is %d", s)
	}
	a := start(t, 1, guarded(newPorter(incarnation(10, 5, 50)))).knows(b)
	a.sendUntil(2, vote(2), b.inbox.found(isVote(2)))
	w.logged("WARN no connection", "closed the connection")
	w.Greet(2)
	w.logged("WARN no connection", "connected already")
	b.inbox.mu.Lock()
	defer b.inbox.mu.Unlock()
	if slices.ContainsFunc(b.inbox.items, func(d delivery) bool { return isVote(1)(d) }) {
		t.Error("what it said was heard")
	}
}

// Whoever is called learns from the caller what that remembers of it, also when it does not call itself, and when both were founded with others.
func TestTheCalledIsTold(t *testing.T) {
	p, q := newPorter(incarnation(20, 1, 1)), newPorter(incarnation(11, 1, 10))
	p.known[1] = raft.Acquaintance{Incarnation: incarnation(10, 5, 50)}
	b := start(t, 2, func(c *Config) { guarded(p)(c); c.Founders = 7 })
	a := start(t, 1, func(c *Config) { guarded(q)(c); c.Founders = 8 })
	b.knows(a).send(1, vote(1))
	b.logged("WARN no connection", "other founding members")
	if s := q.verdict(2); s != raft.Wiped {
		t.Errorf("it is told that it is %d", s)
	}
	if a.inbox.count() != 0 {
		t.Error("delivered nevertheless")
	}
}

// TestWordOfACopyIsNotPassedOn: whoever is refused as an older copy or a clone remembers others as they once were, and tells nobody so.
func TestWordOfACopyIsNotPassedOn(t *testing.T) {
	p := newPorter(incarnation(20, 1, 1))
	p.known[1] = raft.Acquaintance{Incarnation: incarnation(10, 5, 50)}
	b := start(t, 2, guarded(p))
	a := start(t, 1, guarded(newPorter(incarnation(10, 5, 50))))
	b.knows(a)
	for _, copied := range []raft.Incarnation{incarnation(10, 6, 60), incarnation(10, 4, 40)} {
		q := newPorter(copied)
		q.known[2] = raft.Acquaintance{Incarnation: incarnation(19, 7, 70)}
		c := start(t, 1, guarded(q)).knows(b)
		c.Greet(2)
		c.logged("WARN no connection", "a copy")
		if s := p.verdict(1); s != raft.Unmet {
			t.Errorf("the word of %+v is heard: %d", copied, s)
		}
		c.stop()
	}
	a.knows(b).Greet(2)
	b.logged("DEBUG accepted")
}

// TestWhoOnlyAsksTellsNothing: a node that looks for another one where that is known to listen does not say who it is, and may be an older copy.
func TestWhoOnlyAsksTellsNothing(t *testing.T) {
	p, q := newPorter(incarnation(20, 1, 1)), newPorter(incarnation(11, 1, 10))
	p.known[1] = raft.Acquaintance{Incarnation: incarnation(10, 5, 50)}
	b := start(t, 2, guarded(p))
	a := start(t, 1, guarded(q))
	b.knows(a)
	if _, err := greetAs(t, b, incarnation(10, 6, 60)); err != nil { // what was under way from the folder before
		t.Fatal(err)
	}
	if n := a.Stats().Refused; n > 0 {
		t.Errorf("%d calls were refused", n)
	}
	if s := q.verdict(2); s != raft.Unmet {
		t.Errorf("it is told that it is %d", s)
	}
}

// Whoever ends a connection may have forgotten who called on it: the caller greets anew, although it has nothing to send.
func TestWhoWasHungUpOnGreetsAnew(t *testing.T) {
	p := newPorter(incarnation(20, 1, 1))
	a, b := start(t, 1, guarded(newPorter(incarnation(10, 1, 10)))), start(t, 2, guarded(p))
	a.knows(b).Greet(2)
	met := func() bool { return p.Known(1).Known() }
	eventually(t, "it greets", met)
	eventually(t, "it is connected", func() bool { return a.Stats().Peers[2].Connected[Control] })
	p.mu.Lock()
	delete(p.known, 1)
	p.mu.Unlock()
	b.HangUp(1, errors.New("forgotten"))
	eventually(t, "it greets anew", met)
}

// A node that could not be sure to be told from its next start calls nobody.
func TestWhoCannotSpeakIsSilent(t *testing.T) {
	p := newPorter(incarnation(10, 1, 1))
	p.mute = errors.New("no space left")
	a, b := start(t, 1, guarded(p)), start(t, 2, nil)
	a.knows(b).send(2, vote(1))
	a.logged("WARN no connection", "no space left")
	if s := b.Stats(); s.Peers[1].Received != 0 || s.Refused != 0 && !strings.Contains(s.LastRefusal, "no greeting") {
		t.Errorf("%+v", s)
	}
}

// Nodes of the release before have no incarnations, and are taken for who they say they are.
func TestEarlierReleaseIsNotJudged(t *testing.T) {
	p := newPorter(incarnation(20, 1, 1))
	p.known[1] = raft.Acquaintance{Incarnation: incarnation(10, 5, 50)}
	b := start(t, 2, guarded(p))
	a := start(t, 1, func(c *Config) {
		guarded(newPorter(incarnation(11, 1, 10)))(c)
		c.speaks = Versions{1, 1}
	}).knows(b)
	a.sendUntil(2, vote(1), b.inbox.found(isVote(1)))
	b.knows(a).sendUntil(1, vote(2), a.inbox.found(isVote(2)))
}

// Calls in the name of one node wait for each other, those of others do not, and who has left does not wait on.
func TestCallersTakeTurns(t *testing.T) {
	var c callers
	ctx := t.Context()
	for _, node := range []raft.NodeID{1, 2} {
		if err := c.enter(ctx, node); err != nil {
			t.Fatal(err)
		}
	}
	entered := make(chan error)
	go func() { entered <- c.enter(ctx, 1) }()
	select {
	case <-entered:
		t.Error("two at once")
	default:
	}
	c.leave(1)
	if err := <-entered; err != nil {
		t.Error(err)
	}
	c.leave(1)
	c.leave(2)
	if len(c.busy) > 0 {
		t.Errorf("%v", c.busy)
	}
}

// Whoever is called and cannot be reached is called until it hears of this start, also where there is nothing to send to it: what it remembers of
// this node must not be of an earlier start.
func TestEverybodyHearsOfThisStart(t *testing.T) {
	p := newPorter(incarnation(20, 1, 1))
	b := start(t, 2, guarded(p))
	way := newGate(t, b.Addr())
	self := incarnation(10, 5, 50)
	a := start(t, 1, guarded(newPorter(self)))
	a.SetPeer(2, way.addr)
	a.Greet(2)
	<-way.turnedAway
	way.open.Store(true)
	b.logged("DEBUG accepted")
	if known := p.Known(1); known.Incarnation != self {
		t.Errorf("it knows %+v", known)
	}
}

// TestGreetingWaitsForAnAddress: who is to hear of this start before anybody knows where it listens is called once that is known.
func TestGreetingWaitsForAnAddress(t *testing.T) {
	p, self := newPorter(incarnation(20, 1, 1)), incarnation(10, 5, 50)
	b := start(t, 2, guarded(p))
	a := start(t, 1, guarded(newPorter(self)))
	a.Greet(2)
	a.SetPeer(2, b.Addr())
	b.logged("DEBUG accepted")
	if known := p.Known(1); known.Incarnation != self {
		t.Errorf("it knows %+v", known)
	}
}

// Who is no member any more is called no longer: it may be gone for good. The other one tells how often it would have been.
func TestWhoLeftIsCalledNoMore(t *testing.T) {
	callsNoMore(t, func(t *testing.T, _ raft.NodeID) string { return newGate(t, "").addr })
}

// TestWhoLeftIsCalledNoMoreWhereItIsRefused has a node of another cluster listen where the one that left did.
func TestWhoLeftIsCalledNoMoreWhereItIsRefused(t *testing.T) {
	callsNoMore(t, func(t *testing.T, node raft.NodeID) string {
		return start(t, node, func(c *Config) { c.Cluster = "another" }).Addr()
	})
}

func callsNoMore(t *testing.T, listens func(*testing.T, raft.NodeID) string) {
	a := start(t, 1, func(c *Config) {
		guarded(newPorter(incarnation(10, 1, 1)))(c)
		c.BackoffFirst, c.BackoffMax = time.Millisecond, 10*time.Millisecond
	})
	for node := raft.NodeID(2); node <= 3; node++ {
		a.SetPeer(node, listens(t, node))
		a.Greet(node)
		eventually(t, "it is called", func() bool { return a.Stats().Peers[node].Dials > 1 })
	}
	dials := func(node raft.NodeID) uint64 { return a.Stats().Peers[node].Dials }
	a.Ungreet(2)
	was, other := dials(2), dials(3)
	eventually(t, "the other one is called on", func() bool { return dials(3) > other+20 })
	if n := dials(2) - was; n > 5 { // one may be under way, or due
		t.Errorf("it was called %d times more", n)
	}
}

// A gate leads to an address once it is open. Before, connections are closed.
type gate struct {
	addr       string
	open       atomic.Bool
	turnedAway chan struct{} // closed when the first was
}

func newGate(t *testing.T, to string) *gate {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	g := &gate{addr: l.Addr().String(), turnedAway: make(chan struct{})}
	first := sync.OnceFunc(func() { close(g.turnedAway) })
	go func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			if !g.open.Load() {
				_ = in.Close()
				first()
				continue
			}
			go splice(in, to)
		}
	}()
	return g
}

// splice joins a connection with a new one to an address, until either ends.
func splice(in net.Conn, to string) {
	defer in.Close()
	out, err := net.Dial("tcp", to)
	if err != nil {
		return
	}
	go func() {
		_, _ = io.Copy(in, out)
		_ = in.Close()
		_ = out.Close()
	}()
	_, _ = io.Copy(out, in)
	_ = out.Close()
}

// A renewing guard becomes another folder as soon as it has judged somebody.
type renewing struct {
	*porter
	next raft.Incarnation
}

func (r *renewing) Self() raft.Incarnation {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.self
}

func (r *renewing) Greeted(node raft.NodeID, c Call, who raft.Prober) (raft.Standing, error) {
	s, err := r.porter.Greeted(node, c, who)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.self = r.next
	return s, err
}

// A listening guard remembers who judged it.
type listening struct {
	*porter
	judges chan raft.Incarnation
}

func (l *listening) Judged(_ raft.NodeID, judge, _ raft.Incarnation, s raft.Standing) {
	if !s.Counts() {
		select {
		case l.judges <- judge:
		default:
		}
	}
}

// What a node makes of a caller is the word of who it was when it judged it, be the caller let in or refused: a copy that becomes a folder of its own
// meanwhile would be believed otherwise.
func TestVerdictIsOfWhoJudged(t *testing.T) {
	for name, known := range map[string]raft.Incarnation{"let in": incarnation(11, 5, 50), "refused": incarnation(10, 9, 90)} {
		old, next := incarnation(20, 3, 30), incarnation(21, 1, 1)
		copied := &renewing{porter: newPorter(old), next: next}
		copied.known[1] = raft.Acquaintance{Incarnation: known}
		b := start(t, 2, func(c *Config) { unhurried(c); c.Guard = copied })
		hears := &listening{newPorter(incarnation(10, 6, 60)), make(chan raft.Incarnation, 8)}
		a := start(t, 1, func(c *Config) { unhurried(c); c.Guard = hears }).knows(b)
		a.Greet(2)
		select {
		case judge := <-hears.judges:
			if judge != old {
				t.Errorf("%s: judged by %+v, want %+v", name, judge, old)
			}
		case <-time.After(patience):
			t.Errorf("%s: it is not told", name)
		}
	}
}
