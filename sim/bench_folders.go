package sim

import (
	"errors"

	"github.com/troupe-raft/troupe/raft"
)

// A rumour is a raft.Prober that says what it was told to.
type rumour struct {
	another bool
	unsure  error // nobody can tell whether another one lives
	gone    error // the caller does not show that it lives
}

func (r rumour) Another() (bool, error) { return r.another, r.unsure }
func (r rumour) Caller() error          { return r.gone }

// anyFolders: whoever calls, on whatever folder and in whatever order, is remembered as the rules of docs/decisions/0021 say.
func (b *bench) anyFolders() {
	var known raft.Acquaintance
	few := func() uint64 { return uint64(1 + b.rand.IntN(3)) }
	for range 300 {
		i := raft.Incarnation{Store: few(), Start: few(), Nonce: few()}
		if b.rand.IntN(8) == 0 {
			i = raft.Incarnation{}
		}
		r := rumour{another: b.rand.IntN(3) == 0}
		if b.rand.IntN(6) == 0 {
			r.unsure = errGone
		}
		if b.rand.IntN(3) == 0 {
			r.gone = errGone
		}
		s, err := known.Greet(i, r)
		sure := known.Judge(i, r.another)
		switch {
		case err != nil:
			b.demand(s == raft.Unmet && errors.Is(err, errGone), "a call that says nothing is judged %d, %v", s, err)
			continue
		case !s.Counts():
			b.demand(r.gone == nil, "%+v does not show that it lives, and is judged %d by %+v", i, s, known)
			b.demand(i.Known() && (i.Store != known.Store || known.Forked || r.another || i.Start <= known.Start), "%+v does not count to %+v", i, known)
		case known.Known() && i.Known():
			b.demand(i.Store == known.Store && !known.Forked && (i == known.Incarnation || i.Start > known.Start), "%+v counts to %+v as %d", i, known, s)
		}
		b.demand(s == sure || s.Counts(), "%+v is judged %d and %d by %+v", i, s, sure, known)
		next := known.Meet(i, s, b.rand.IntN(2) == 0)
		b.demand(!known.Forked || next.Forked, "a fork is forgotten: %+v", next)
		b.demand(next.Incarnation == known.Incarnation || s.Counts() && next.Incarnation == i, "%+v is remembered as %+v", i, next)
		known = next
		if b.rand.IntN(20) == 0 {
			store, seen := uint64(b.rand.IntN(4)), raft.Incarnation{Store: few(), Start: few(), Nonce: few()}
			let := known.Readmit(store, seen)
			b.demand(store == 0 && let == known || let.Readmitted && let.Store == store || known.Readmitted && let == known, "%+v lets folder %d in: %+v", known, store, let)
			b.demand(let.Store != known.Store || let.Forked == known.Forked && let.Incarnation == known.Incarnation, "what is known of folder %d is forgotten: %+v, %+v", store, known, let)
			known = let
		}
		if b.rand.IntN(40) == 0 {
			known = raft.Acquaintance{}
		}
	}
}
