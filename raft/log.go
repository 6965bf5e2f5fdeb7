package raft

import "slices"

// First returns the index of the first entry; Last()+1 when there is none.
func (s Shape) First() Index { return s.Prev.Index + 1 }

// Last returns the index of the last entry; Prev.Index when there is none.
func (s Shape) Last() Index {
	if len(s.Runs) == 0 {
		return s.Prev.Index
	}
	return s.Runs[len(s.Runs)-1].Last
}

// LastID names the last entry; Prev when there is none.
func (s Shape) LastID() EntryID {
	if len(s.Runs) == 0 {
		return s.Prev
	}
	r := s.Runs[len(s.Runs)-1]
	return EntryID{Index: r.Last, Term: r.Term}
}

// TermAt returns the term of entry i, which may be Prev. False when i lies outside.
func (s Shape) TermAt(i Index) (Term, bool) {
	if i == s.Prev.Index {
		return s.Prev.Term, true
	}
	k := s.runOf(i)
	if k < 0 {
		return 0, false
	}
	return s.Runs[k].Term, true
}

// Contains reports whether every entry of r is here, with r's term. An empty run is contained everywhere.
func (s Shape) Contains(r Run) bool {
	if r.Last < r.First {
		return true
	}
	k := s.runOf(r.First)
	return k >= 0 && s.Runs[k].Term == r.Term && r.Last <= s.Runs[k].Last
}

// has reports whether the very entry id is here, or is Prev.
func (s Shape) has(id EntryID) bool {
	t, ok := s.TermAt(id.Index)
	return ok && t == id.Term
}

// runOf returns the position of the run that holds i, or -1. The newest run is by far the most asked for.
func (s Shape) runOf(i Index) int {
	n := len(s.Runs)
	if i <= s.Prev.Index || i > s.Last() {
		return -1
	}
	if i >= s.Runs[n-1].First {
		return n - 1
	}
	k, _ := slices.BinarySearchFunc(s.Runs, i, func(r Run, i Index) int {
		if r.Last < i {
			return -1
		}
		return 1
	})
	return k
}

// lastAtMost returns the last entry at or before i whose term is at most t. False when the entries
// that could tell are compacted away, that is below Prev.
func (s Shape) lastAtMost(i Index, t Term) (EntryID, bool) {
	i = min(i, s.Last())
	if i < s.Prev.Index {
		return EntryID{}, false
	}
	for k := s.runOf(i); k >= 0; k-- {
		if r := s.Runs[k]; r.Term <= t {
			return EntryID{Index: min(i, r.Last), Term: r.Term}, true
		}
	}
	return s.Prev, s.Prev.Term <= t
}

// firstMissing returns the first index of r at or after lo that is not here with r's term; r.Last+1 when all are.
func (s Shape) firstMissing(r Run, lo Index) Index {
	k := s.runOf(lo)
	if k < 0 || s.Runs[k].Term != r.Term {
		return lo
	}
	return min(s.Runs[k].Last, r.Last) + 1
}

// extend appends r, which must follow the last entry.
func (s *Shape) extend(r Run) {
	if n := len(s.Runs); n > 0 && s.Runs[n-1].Term == r.Term {
		s.Runs[n-1].Last = r.Last
		return
	}
	s.Runs = append(s.Runs, r)
}

// truncate removes entry from and all after it.
func (s *Shape) truncate(from Index) {
	n := len(s.Runs)
	for n > 0 && s.Runs[n-1].First >= from {
		n--
	}
	s.Runs = s.Runs[:n]
	if n > 0 && s.Runs[n-1].Last >= from {
		s.Runs[n-1].Last = from - 1
	}
}

// compact forgets the entries through i, which must be here, and keeps i's term.
func (s *Shape) compact(i Index) {
	t, ok := s.TermAt(i)
	if !ok || i <= s.Prev.Index {
		return
	}
	k := 0
	for k < len(s.Runs) && s.Runs[k].Last <= i {
		k++
	}
	s.Runs = slices.Delete(s.Runs, 0, k)
	if len(s.Runs) > 0 {
		s.Runs[0].First = i + 1
	}
	s.Prev = EntryID{Index: i, Term: t}
}

func (s Shape) clone() Shape { return Shape{Prev: s.Prev, Runs: slices.Clone(s.Runs)} }
