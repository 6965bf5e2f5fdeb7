package replication

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/troupe-raft/troupe/entry"
	"github.com/troupe-raft/troupe/raft"
)

// The view must say what a plain list of terms and blocks says.
func TestViewAgainstAModel(t *testing.T) {
	r := rand.New(rand.NewPCG(8, 9))
	for range 200 {
		terms := map[raft.Index]raft.Term{0: 0}
		cached := map[raft.Index]bool{}
		first, last, term := raft.Index(1), raft.Index(0), raft.Term(1)
		v := newView(raft.Shape{})
		for range 100 {
			switch r.IntN(6) {
			case 0, 1, 2:
				term += raft.Term(r.IntN(2))
				b := block(term, last+1, 1+r.IntN(4), 5)
				for i := b.First(); i <= b.Last(); i++ {
					terms[i], cached[i] = term, true
				}
				last = b.Last()
				v.extend(b, term)
			case 3:
				first = min(last+1, first+raft.Index(r.IntN(3)))
				v.trim(first, raft.EntryID{Index: first - 1, Term: terms[first-1]})
			case 4:
				v.release(last - min(last, raft.Index(r.IntN(20))))
			case 5:
				v.shrink(r.IntN(1000))
			}
			compareView(t, &v, terms, cached, first, last)
		}
	}
}

func compareView(t *testing.T, v *view, terms map[raft.Index]raft.Term, cached map[raft.Index]bool, first, last raft.Index) {
	t.Helper()
	if v.shape.First() != first || v.shape.Last() != last {
		t.Fatalf("%d-%d, want %d-%d", v.shape.First(), v.shape.Last(), first, last)
	}
	for i := 1; i < len(v.shape.Runs); i++ {
		if v.shape.Runs[i].Term == v.shape.Runs[i-1].Term {
			t.Fatalf("not compact: %v", v.shape.Runs)
		}
	}
	for i := first - 1; i <= last; i++ {
		if got, ok := v.shape.TermAt(i); !ok || got != terms[i] {
			t.Fatalf("term %d at %d, want %d", got, i, terms[i])
		}
	}
	bytes := 0
	for k, b := range v.cache {
		bytes += b.Size()
		if k > 0 && b.First() != v.cache[k-1].Last()+1 {
			t.Fatal("the cache has a gap")
		}
	}
	if bytes != v.bytes {
		t.Fatalf("%d bytes, want %d", v.bytes, bytes)
	}
	for i := first; i <= last; i++ {
		at := v.from(i)
		if at >= 0 && (v.cache[at].First() > i || v.cache[at].Last() < i || !cached[i]) {
			t.Fatalf("entry %d looked for in %v", i, v.cache[at])
		}
		if n := len(v.cache); at < 0 && n > 0 && i >= v.cache[0].First() && i <= v.cache[n-1].Last() {
			t.Fatalf("entry %d not found", i)
		}
	}
}

func TestViewRefusesWhatDoesNotFollow(t *testing.T) {
	for _, b := range []*entry.Block{
		block(3, 12, 1, 0), // gap
		block(2, 10, 2, 0), // known through 10, news behind
		block(2, 1, 1, 0),  // another term than known
		block(1, 11, 1, 0), // terms never fall
		block(4, 11, 1, 0), // newer than the leader's
	} {
		v := newView(shape(run(1, 1, 5), run(2, 6, 10)))
		if err := try(func() { v.extend(b, 3) }); err == nil {
			t.Errorf("%v taken", b)
		}
	}
}

func try(f func()) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%v", r)
		}
	}()
	f()
	return nil
}

// Blocks that are told again from further back replace those in memory, without a gap.
func TestViewTakesRepeatedBlocks(t *testing.T) {
	v := newView(shape(run(1, 1, 5), run(2, 6, 10)))
	v.extend(block(3, 11, 1, 0), 3)
	for _, b := range blocks(run(2, 6, 8), run(2, 9, 10), run(3, 11, 11)) {
		v.extend(b, 3)
	}
	if len(v.cache) != 3 || v.from(6) != 0 || v.from(11) != 2 || v.shape.Last() != 11 {
		t.Fatalf("%v", v)
	}
}

func TestViewDoesNotTouchTheShapeItWasGiven(t *testing.T) {
	given := shape(run(1, 1, 5), run(3, 6, 10))
	before := slices.Clone(given.Runs)
	v := newView(given)
	v.extend(block(3, 11, 5, 0), 3)
	v.trim(3, raft.EntryID{Index: 2, Term: 1})
	if !slices.Equal(given.Runs, before) {
		t.Fatalf("%v became %v", before, given.Runs)
	}
}

func TestCheck(t *testing.T) {
	v := newView(raft.Shape{Prev: raft.EntryID{Index: 3, Term: 1}, Runs: []raft.Run{run(1, 4, 5), run(2, 6, 10)}})
	for name, c := range map[string]struct {
		from   raft.Index
		blocks []*entry.Block
		last   raft.Index // of what comes out
		err    bool
	}{
		"as it is":                   {4, blocks(run(1, 4, 5), run(2, 6, 10)), 10, false},
		"begins before":              {5, blocks(run(1, 1, 5)), 5, false},
		"ends after":                 {6, blocks(run(2, 6, 12)), 10, false},
		"more after":                 {6, blocks(run(2, 6, 10), run(9, 11, 12)), 10, false},
		"nothing":                    {6, nil, 0, false},
		"other term":                 {6, blocks(run(3, 6, 10)), 0, true},
		"other term in part":         {4, blocks(run(1, 4, 6)), 0, true},
		"ends before":                {6, blocks(run(1, 4, 5)), 0, true},
		"begins after":               {4, blocks(run(2, 6, 10)), 0, true},
		"gap":                        {4, blocks(run(1, 4, 5), run(2, 7, 10)), 0, true},
		"ends after, as another":     {6, blocks(run(3, 6, 12)), 0, true},
		"right, then of another run": {6, blocks(run(2, 6, 8), run(3, 9, 9)), 0, true},
	} {
		asked := slices.Clone(c.blocks)
		got, err := v.check(c.blocks, c.from)
		if (err != nil) != c.err {
			t.Errorf("%s: %v, %v", name, got, err)
			continue
		}
		if err == nil && c.last > 0 && (len(got) == 0 || got[len(got)-1].Last() != c.last) {
			t.Errorf("%s: %v, want through %d", name, got, c.last)
		}
		if !slices.Equal(asked, c.blocks) {
			t.Errorf("%s: the reader's slice was changed", name)
		}
	}
	if _, err := v.check(blocks(run(3, 6, 10)), 6); !errors.Is(err, errOverwritten) {
		t.Errorf("%v", err)
	}
}
