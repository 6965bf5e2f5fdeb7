package remote

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/troupe-raft/troupe/raft"
)

// Two releases, of which the later one added a field to RequestVote and a kind of message.
var (
	earlier = newCodec(declare(kindRequestVote, 1, Control, func(c *coder, m *raft.RequestVote) { unsigned(c, 1, &m.Term) }))
	later   = newCodec(declare(kindRequestVote, 1, Control, func(c *coder, m *raft.RequestVote) {
		unsigned(c, 1, &m.Term)
		c.flag(2, &m.Transfer)
	}), declare(kindTimeoutNow, 2, Control, func(c *coder, m *raft.TimeoutNow) { unsigned(c, 1, &m.Term) }))
)

func release(kinds *codec, min, max Version) func(*Config) {
	return func(c *Config) { c.kinds, c.speaks = kinds, Versions{min, max} }
}

// A cluster is upgraded node by node: what the later release added does not travel to the earlier one, and everything
// travels between two of the later.
func TestTwoReleasesUnderstandEachOther(t *testing.T) {
	a, b, c := start(t, 1, release(earlier, 1, 1)), start(t, 2, release(later, 1, 2)), start(t, 3, release(later, 1, 2))
	for _, n := range []*node{a, b, c} {
		n.knows(a, b, c)
	}
	ask := func(from, to *node, term raft.Term) raft.RequestVote {
		t.Helper()
		from.send(to.id, Envelope{1, &raft.TimeoutNow{Term: term}}, Envelope{1, &raft.RequestVote{Term: term, Transfer: true}})
		got := to.inbox.next(t, "the first that travels", nil)
		if now, ok := got.Message.(*raft.TimeoutNow); ok {
			if from == a || to == a || now.Term != term {
				t.Errorf("node %d got %+v of node %d", to.id, now, from.id)
			}
			got = to.inbox.next(t, "a vote", nil)
		} else if from != a && to != a {
			t.Errorf("node %d did not get the new kind of node %d", to.id, from.id)
		}
		return *got.Message.(*raft.RequestVote)
	}
	for _, try := range []struct {
		from, to *node
		transfer bool
		version  Version
		withheld uint64
	}{{b, a, false, 1, 1}, {b, c, true, 2, 0}, {c, b, true, 2, 0}, {c, a, false, 1, 1}} {
		got := ask(try.from, try.to, 7)
		if want := (raft.RequestVote{Term: 7, Transfer: try.transfer}); got != want {
			t.Errorf("node %d got %+v of node %d, want %+v", try.to.id, got, try.from.id, want)
		}
		if s := try.from.Stats().Peers[try.to.id]; s.Version != try.version || s.Withheld != try.withheld || s.Dropped != 0 {
			t.Errorf("node %d to node %d: %+v", try.from.id, try.to.id, s)
		}
	}
	a.send(2, Envelope{1, &raft.RequestVote{Term: 8, Transfer: true}})
	if got := *b.inbox.next(t, "a vote", nil).Message.(*raft.RequestVote); got != (raft.RequestVote{Term: 8}) {
		t.Errorf("node 2 got %+v of node 1", got)
	}
}

// What a peer may not say in the version that is spoken is malformed.
func TestNewerThanAgreedIsRefused(t *testing.T) {
	for _, m := range []any{&raft.TimeoutNow{Term: 1}, &raft.RequestVote{Term: 1, Transfer: true}} {
		c := coder{version: 2}
		if err := later.append(&c, Envelope{1, m}); err != nil {
			t.Fatal(err)
		}
		h := newHeads(later, 1)
		if err := h.decode(c.out, 0); !errors.Is(err, errMalformed) {
			t.Errorf("%T: %v", m, err)
		}
		if err := later.append(&coder{version: 1}, Envelope{1, m}); (err == nil) != later.travels(m, 1) {
			t.Errorf("%T: %v", m, err)
		}
	}
}

// Both sides of a refusal name what each speaks and who is to be upgraded.
func TestNoCommonVersion(t *testing.T) {
	for _, c := range []struct {
		name         string
		caller       Versions
		callee       Versions
		hears, notes string
	}{
		{"older caller", Versions{1, 2}, Versions{3, 4}, "this node speaks versions 1 to 2, the other versions 3 to 4: upgrade this node to a release that speaks version 3",
			"this node speaks versions 3 to 4, the other versions 1 to 2: upgrade the other node to a release that speaks version 3"},
		{"newer caller", Versions{5, 5}, Versions{3, 4}, "this node speaks version 5, the other versions 3 to 4: upgrade the other node to a release that speaks version 5",
			"this node speaks versions 3 to 4, the other version 5: upgrade this node to a release that speaks version 5"},
	} {
		t.Run(c.name, func(t *testing.T) {
			callee := start(t, 2, release(kinds, c.callee.Min, c.callee.Max))
			caller := start(t, 1, release(kinds, c.caller.Min, c.caller.Max)).knows(callee)
			caller.send(2, vote(1))
			caller.logged("WARN no connection", c.hears)
			callee.logged("WARN connection refused", c.notes)
		})
	}
}

// A greeting of a later release has more fields, of any type, than this one knows.
func TestLaterGreetings(t *testing.T) {
	h := hello{speaks: Versions{newest, newest + 3}, cluster: "c", from: 1, to: 2, lane: Snapshots, addr: "a:1"}
	more := func(fields func(*coder)) func(*coder) {
		return func(c *coder) {
			fields(c)
			n, s, f, i := uint64(1<<40), strings.Repeat("x", 300), true, int64(-9)
			unsigned(c, newest+1, &n)
			c.text(newest+1, &s)
			c.flag(newest+2, &f)
			signed(c, newest+2, &i)
			c.membership(newest+3, &membership)
			c.list(newest+3, 2, 1)
			c.out = append(c.out, 0x91, 0x01, 0x02) // a list of a list and a number
			for range 16 {
				unsigned(c, newest+3, &n)
			}
		}
	}
	b := appendGreeting(nil, h.speaks, more(h.fields))
	got, v, err := readHello(bytes.NewReader(b), Speaks())
	if err != nil || got != h || v != newest {
		t.Errorf("%+v in version %d: %v", got, v, err)
	}
	says := verdict{speaks: h.speaks, maxFrame: minFrame}
	b = appendGreeting(nil, says.speaks, more(says.fields))
	if answer, v, err := readVerdict(bytes.NewReader(b), Speaks()); err != nil || answer != says || v != newest {
		t.Errorf("%+v in version %d: %v", answer, v, err)
	}
}

// Heads of 16 fields and more need a longer array header, which is known only at their end.
func TestManyFields(t *testing.T) {
	type many struct{ field [40]uint64 }
	for _, n := range []int{12, 13, 14, 40} {
		k := newCodec(declare(1, 1, Control, func(c *coder, m *many) {
			for i := range n {
				unsigned(c, 1, &m.field[i])
			}
		}))
		var m many
		for i := range n {
			m.field[i] = uint64(i) << i
		}
		c := coder{version: 1}
		if err := errors.Join(k.append(&c, Envelope{9, &m}), k.append(&c, Envelope{9, &m})); err != nil {
			t.Fatal(err)
		}
		h := newHeads(k, 1)
		if err := h.decode(c.out, 0); err != nil || len(h.batch) != 2 || *h.batch[1].Message.(*many) != m {
			t.Errorf("%d fields: %+v, %v", n, h.batch, err)
		}
	}
}
