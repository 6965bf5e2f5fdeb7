package raft

import "testing"

// TestJudge: whoever is not the known start or its successor does not count.
func TestJudge(t *testing.T) {
	known := Acquaintance{Incarnation: Incarnation{Store: 1, Start: 5, Nonce: 50}}
	forked := known
	forked.Forked = true
	for name, c := range map[string]struct {
		a     Acquaintance
		i     Incarnation
		lives bool
		want  Standing
	}{
		"nobody known":             {Acquaintance{}, Incarnation{1, 1, 1}, false, Unmet},
		"of an earlier release":    {known, Incarnation{}, false, Unmet},
		"the same":                 {known, Incarnation{1, 5, 50}, false, Same},
		"the next":                 {known, Incarnation{1, 6, 60}, false, Next},
		"a later one":              {known, Incarnation{1, 9, 90}, false, Next},
		"wiped":                    {known, Incarnation{2, 9, 90}, false, Wiped},
		"wiped beside the known":   {known, Incarnation{2, 9, 90}, true, Wiped},
		"older":                    {known, Incarnation{1, 4, 40}, false, Older},
		"as old":                   {known, Incarnation{1, 5, 51}, false, Older},
		"a clone that is next":     {known, Incarnation{1, 6, 60}, true, Cloned},
		"a clone that is older":    {known, Incarnation{1, 4, 40}, true, Cloned},
		"the known of a fork":      {forked, Incarnation{1, 5, 50}, false, Cloned},
		"the next of a fork":       {forked, Incarnation{1, 7, 70}, false, Cloned},
		"another folder than fork": {forked, Incarnation{2, 1, 10}, false, Wiped},
	} {
		got := c.a.Judge(c.i, c.lives)
		if got != c.want || got.Counts() != (c.want == Unmet || c.want == Same || c.want == Next) {
			t.Errorf("%s: %d counts %t, want %d", name, got, got.Counts(), c.want)
		}
	}
}

// TestBelieves: an older copy alone is not heeded. Whoever is unknown, or runs on another folder, may remember what this server has forgotten.
func TestBelieves(t *testing.T) {
	known := Acquaintance{Incarnation: Incarnation{Store: 1, Start: 5, Nonce: 50}}
	for judge, want := range map[Incarnation]bool{
		{}: true, {1, 5, 50}: true, {1, 6, 60}: true, {2, 1, 10}: true, {1, 4, 40}: false, {1, 5, 51}: false,
	} {
		if got := known.Believes(judge); got != want {
			t.Errorf("%+v: %t", judge, got)
		}
		forked := known
		forked.Forked = true
		if got := forked.Believes(judge); got != want {
			t.Errorf("%+v of a fork: %t", judge, got)
		}
		if !(Acquaintance{}).Believes(judge) {
			t.Errorf("%+v is not believed by who knows nobody", judge)
		}
	}
}

// TestMeet: what does not count is not remembered, but that a copy of it took part is, for ever.
func TestMeet(t *testing.T) {
	known := Acquaintance{Incarnation: Incarnation{Store: 1, Start: 5, Nonce: 50}}
	for _, c := range []struct {
		i       Incarnation
		lives   bool
		counted bool
		want    Acquaintance
	}{
		{Incarnation{1, 6, 60}, false, false, Acquaintance{Incarnation: Incarnation{1, 6, 60}}},
		{Incarnation{1, 6, 60}, false, true, Acquaintance{Incarnation: Incarnation{1, 6, 60}}},
		{Incarnation{}, false, true, known},
		{Incarnation{2, 1, 10}, false, true, known},
		{Incarnation{1, 4, 40}, false, false, known},
		{Incarnation{1, 6, 60}, true, false, known},
		{Incarnation{1, 4, 40}, false, true, Acquaintance{Incarnation: known.Incarnation, Forked: true}},
		{Incarnation{1, 6, 60}, true, true, Acquaintance{Incarnation: known.Incarnation, Forked: true}},
	} {
		if got := known.Meet(c.i, known.Judge(c.i, c.lives), c.counted); got != c.want {
			t.Errorf("%+v: %+v, want %+v", c, got, c.want)
		}
	}
}

// TestReadmit: the folder that a membership names is the known one, from how it greeted last on. That counts once.
func TestReadmit(t *testing.T) {
	forked := Acquaintance{Incarnation: Incarnation{Store: 1, Start: 5, Nonce: 50}, Forked: true}
	in := forked.Readmit(2, Incarnation{2, 3, 30})
	if want := (Acquaintance{Incarnation: Incarnation{2, 3, 30}, Readmitted: true, LetIn: [8]uint64{2}}); in != want {
		t.Errorf("%+v", in)
	}
	if s := in.Judge(Incarnation{1, 5, 50}, false); s != Wiped {
		t.Errorf("the one before it is %d", s)
	}
	later := in.Meet(Incarnation{2, 4, 40}, Next, false)
	if got := later.Readmit(2, Incarnation{2, 3, 30}); got != later {
		t.Errorf("readmitted twice: %+v", got)
	}
	if got := later.Readmit(0, Incarnation{2, 3, 30}); got != later {
		t.Errorf("a membership that names no store: %+v", got)
	}
	for _, met := range []Acquaintance{{Incarnation: Incarnation{2, 9, 90}}, {Incarnation: Incarnation{2, 9, 90}, Forked: true}} { // before the change is known
		want := met
		want.Readmitted, want.LetIn = true, [8]uint64{2}
		if got := met.Readmit(2, Incarnation{2, 3, 30}); got != want || got.Judge(Incarnation{2, 3, 33}, false).Counts() {
			t.Errorf("what is known of the very store is forgotten: %+v", got)
		}
	}
	unheard := forked.Readmit(2, Incarnation{1, 5, 50})
	if s := unheard.Judge(Incarnation{2, 1, 10}, false); s != Next || !unheard.Readmitted {
		t.Errorf("before it has greeted: %+v makes it %d", unheard, s)
	}
}

// TestWasLetIn: which stores were let in is noted, the latest first. Of what is not noted nobody can tell.
func TestWasLetIn(t *testing.T) {
	a := Acquaintance{Incarnation: Incarnation{Store: 9, Start: 1, Nonce: 1}}
	for store := uint64(1); store <= 4; store++ {
		if a.WasLetIn(store) {
			t.Errorf("store %d was let in: %+v", store, a)
		}
		a = a.Readmit(store, Incarnation{})
	}
	a = a.Readmit(2, Incarnation{})
	if want := [8]uint64{2, 4, 3, 1}; a.LetIn != want || !a.WasLetIn(1) || a.WasLetIn(9) {
		t.Errorf("%+v", a)
	}
	unnoted := Acquaintance{Incarnation: Incarnation{Store: 9, Start: 1, Nonce: 1}, Readmitted: true}.Readmit(1, Incarnation{})
	if unnoted.Store != 1 || !unnoted.WasLetIn(7) {
		t.Errorf("what the release before let in is taken for news: %+v", unnoted)
	}
	for store := uint64(11); store < 30; store++ {
		a = a.Readmit(store, Incarnation{})
	}
	if a.LetIn[0] != 29 || !a.WasLetIn(2) {
		t.Errorf("what there was no room for is taken for news: %+v", a)
	}
}

// TestGoneBackEvent: whoever is told that others remember more of it is in doubt: it leads no more and has no vote.
func TestGoneBackEvent(t *testing.T) {
	s := established(t, voters(1, 2, 3), 1)
	e := s.do(GoneBack{})
	if e.Hard == nil || !e.Hard.Doubt || s.Role() == Leader || !s.InDoubt(1) {
		t.Errorf("%+v, role %v", e, s.Role())
	}
	if e := s.do(GoneBack{}); e.Hard != nil {
		t.Errorf("told twice: %+v", e)
	}
}

// TestReadmittedPeerStartsAfresh: what a member acknowledged on another folder gives it no vote back.
func TestReadmittedPeerStartsAfresh(t *testing.T) {
	s := established(t, voters(1, 2, 3), 1)
	last := s.LastIndex()
	for _, id := range []NodeID{2, 3} {
		s.matched(id, last)
	}
	target := Membership{Voters: []NodeID{1, 2}, Learners: []NodeID{3}, Members: []Member{{ID: 3, Store: 9}}}
	if e := s.do(ChangeMembership{Target: target, Force: true}); e.Refused != nil {
		t.Fatal(e.Refused)
	}
	if match, _, ok := s.Follower(3); !ok || match != 0 {
		t.Errorf("match %d, %t", match, ok)
	}
	if match, _, _ := s.Follower(2); match != last {
		t.Errorf("match %d of another member", match)
	}
}
