package raft

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
)

// A disc is a folder of one member: who started on it last, and all who did, there or on what it was copied from.
type disc struct {
	last     Incarnation
	starters []uint64 // nonces
	runs     *run
}

// A run is a start on a disc.
type run struct {
	disc    *disc
	self    Incarnation
	counted bool
}

// A hail is a greeting on its way.
type hail struct {
	by      *run
	self    Incarnation
	counted bool
	peer    int
}

// A party is one member's folders and starts, and those who meet them.
type party struct {
	t     *testing.T
	r     *rand.Rand
	discs []*disc
	peers []Acquaintance
	cut   map[string]bool
	mail  []hail
	drawn uint64
	did   []string
}

func (p *party) draw() uint64 { p.drawn++; return p.drawn }

func (p *party) note(format string, args ...any) { p.did = append(p.did, fmt.Sprintf(format, args...)) }

func (p *party) fail(format string, args ...any) {
	p.t.Helper()
	p.t.Fatalf("%s, after %q", fmt.Sprintf(format, args...), p.did)
}

// begin starts on a disc that nobody uses.
func (p *party) begin(d *disc) *run {
	if d.last.Store == 0 {
		d.last.Store = p.draw()
	}
	d.last.Start++
	d.last.Nonce = p.draw()
	d.starters = append(slices.Clone(d.starters), d.last.Nonce)
	d.runs = &run{disc: d, self: d.last}
	p.note("start %v", d.last)
	return d.runs
}

// end ends a start, and its connections.
func (p *party) end(d *disc) {
	p.note("stop %v", d.last)
	d.runs = nil
}

// renew makes a disc another folder, under whoever runs on it.
func (p *party) renew(r *run) {
	r.self = Incarnation{Store: p.draw(), Start: 1, Nonce: p.draw()}
	r.counted = false
	r.disc.last, r.disc.starters = r.self, []uint64{r.self.Nonce}
}

func (p *party) reaches(r *run, peer int) bool { return !p.cut[fmt.Sprintf("%p %d", r.disc, peer)] }

// A look is what a peer finds out about the sender of a hail and its like. It implements Prober.
type look struct {
	*party
	hail
}

// Another implements Prober: the start that the peer knows lives, or another one of the folder where that is expected.
func (l look) Another() (bool, error) {
	for _, d := range l.discs {
		o := d.runs
		if o == nil || o == l.by || !l.reaches(o, l.peer) {
			continue
		}
		if o.self == l.peers[l.peer].Incarnation || d == l.discs[0] && o.self.Store == l.self.Store && o.self != l.self {
			return true, nil
		}
	}
	return false, nil
}

var errDead = errors.New("it does not answer")

// Caller implements Prober.
func (l look) Caller() error {
	if l.by.disc.runs == l.by && l.by.self == l.self && l.reaches(l.by, l.peer) {
		return nil
	}
	return errDead
}

// greet has a start call a peer. Strict: nothing is cut, so that who counts must follow who counted before.
func (p *party) greet(r *run, peer int, strict bool) {
	if p.reaches(r, peer) {
		p.hear(hail{r, r.self, r.counted, peer}, strict)
	}
}

// post leaves a greeting of a start on its way, and has an earlier one arrive.
func (p *party) post(r *run, strict bool) {
	p.mail = append(p.mail, hail{r, r.self, r.counted, p.r.IntN(len(p.peers))})
	k := p.r.IntN(len(p.mail))
	l := p.mail[k]
	p.mail = slices.Delete(p.mail, k, k+1)
	if p.reaches(l.by, l.peer) {
		p.hear(l, strict)
	}
}

// hear has a peer read a hail.
func (p *party) hear(l hail, strict bool) {
	known, r := p.peers[l.peer], l.by
	lives, _ := look{p, l}.Another()
	s, err := known.Greet(l.self, look{p, l})
	p.note("%v greets %d, which knows %+v: %d, %v", l.self, l.peer, known, s, err)
	if err != nil {
		return
	}
	p.peers[l.peer] = known.Meet(l.self, s, l.counted)
	there := r.disc.runs == r && r.self == l.self // else nobody reads the answer
	switch {
	case s.Counts():
		if strict && known.Nonce != 0 && !slices.Contains(r.disc.starters, known.Nonce) {
			p.fail("peer %d counts %v, which does not follow %v", l.peer, l.self, known.Incarnation)
		}
		if lives && known.Known() && s != Same {
			p.fail("peer %d counts %v while %v lives", l.peer, l.self, known.Incarnation)
		}
		r.counted = r.counted || there
	case there && (s == Older || s == Cloned):
		p.renew(r)
	}
}

// counted are the starts that run and that some peer counts.
func (p *party) counted() (list []*run) {
	for peer := range p.peers {
		for _, d := range p.discs {
			if r := d.runs; r != nil && p.peers[peer].Judge(r.self, false) == Same && !slices.Contains(list, r) {
				list = append(list, r)
			}
		}
	}
	return list
}

// act does something at random that an operator, a crash or a script may do.
func (p *party) act() (started *run) {
	d := p.discs[p.r.IntN(len(p.discs))]
	switch n := p.r.IntN(10); {
	case n < 4 && d.runs == nil:
		return p.begin(d)
	case n < 7 && d.runs != nil:
		p.end(d)
	case n < 9 && len(p.discs) < 5:
		c := *d
		c.runs = nil
		p.note("copy %v", d.last)
		p.discs = append(p.discs, &c)
	case n == 9 && d.runs == nil:
		p.note("wipe %v", d.last)
		*d = disc{}
	}
	return nil
}

func newParty(t *testing.T, seed uint64) *party {
	return &party{t: t, r: rand.New(rand.NewPCG(seed, 0x1d)), discs: []*disc{{}}, peers: make([]Acquaintance, 3), cut: map[string]bool{}}
}

// TestOneOfAMemberCounts: whatever is copied, wiped, put back and started, whoever counts in a member's name follows whoever did before, and
// there is one at most at a time, as long as all can reach all. Where some could not, the same holds once they can: fewer may count then.
func TestOneOfAMemberCounts(t *testing.T) {
	split := 0
	for seed := range uint64(5_000) {
		p := newParty(t, seed)
		partitioned := seed%2 == 1
		for first, peer := p.begin(p.discs[0]), 0; peer < len(p.peers); peer++ { // whoever has met nobody believes anybody
			p.greet(first, peer, true)
		}
		for range 30 {
			if partitioned && p.r.IntN(3) == 0 {
				key := fmt.Sprintf("%p %d", p.discs[p.r.IntN(len(p.discs))], p.r.IntN(len(p.peers)))
				p.cut[key] = !p.cut[key]
			}
			r := p.act()
			if r == nil {
				continue
			}
			for _, peer := range p.r.Perm(len(p.peers)) {
				p.greet(r, peer, !partitioned)
			}
			for range p.r.IntN(3) { // and once more, as who it is by now
				p.greet(r, p.r.IntN(len(p.peers)), !partitioned)
			}
			p.post(r, !partitioned)
			if list := p.counted(); len(list) > 1 && !partitioned {
				p.fail("%d count", len(list))
			} else if len(list) > 1 {
				split++
			}
		}
		rivals := p.counted()
		clear(p.cut)
		for range 3 {
			for _, d := range p.discs {
				for peer := range p.peers {
					if d.runs != nil {
						p.greet(d.runs, peer, false)
					}
				}
			}
		}
		if list := p.counted(); len(list) > 1 {
			p.fail("%d count in the end", len(list))
		} else if len(list) == 1 && len(rivals) > 1 && slices.Contains(rivals, list[0]) {
			p.fail("%v counts in the end, although others counted", list[0].self)
		}
	}
	if split == 0 {
		t.Error("no partition ever split the peers' opinion")
	}
}

// TestHonestMemberIsNeverExcluded: a member on one folder, which is never copied nor put back, is started again and again, calls, and ends while calls of
// its are under way, of which peers hear early or late and in any order. Nobody ever takes any of its starts for a copy, nor counts it less than before.
func TestHonestMemberIsNeverExcluded(t *testing.T) {
	late := 0
	for seed := range uint64(5_000) {
		p := newParty(t, seed)
		d := p.discs[0]
		p.begin(d)
		for range 60 {
			switch n := p.r.IntN(10); {
			case n < 2 && d.runs != nil:
				p.end(d)
			case n < 2:
				p.begin(d)
			case n < 5 && d.runs != nil:
				p.mail = append(p.mail, hail{d.runs, d.runs.self, d.runs.counted, p.r.IntN(len(p.peers))})
			case len(p.mail) > 0:
				k := p.r.IntN(len(p.mail))
				l := p.mail[k]
				p.mail = slices.Delete(p.mail, k, k+1)
				if l.by != d.runs {
					late++
				}
				p.hear(l, false)
			}
			for peer, known := range p.peers {
				if known.Forked {
					p.fail("peer %d takes it for a fork", peer)
				}
			}
			if d.runs != nil && d.runs.self.Store != 1 {
				p.fail("it was told that it is a copy")
			}
		}
		if d.runs == nil {
			p.begin(d)
		}
		for peer := range p.peers {
			p.greet(d.runs, peer, true)
			if s := p.peers[peer].Judge(d.runs.self, false); s != Same {
				p.fail("in the end it is %d to peer %d", s, peer)
			}
		}
	}
	if late < 10_000 {
		t.Errorf("%d calls were heard after their caller's end", late)
	}
}
