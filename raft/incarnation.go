package raft

import "slices"

// Nothing in the log tells a server from another one that runs under its id: on an emptied folder, on an older copy of the folder, or on a
// copy beside the original. Each would vote and acknowledge what the server it is taken for has done otherwise. So folders and their
// starts have names of their own, servers greet with them, and each remembers, durably, how it met the others last (docs/decisions/0021).

// An Incarnation is one start of a server on one folder. The zero Incarnation is not known: a server of a release without them.
type Incarnation struct {
	Store uint64 // the folder: drawn at random when it was made
	Start uint64 // counts the starts on that folder that spoke to others, from 1
	Nonce uint64 // drawn at random by this start: a copy of the folder counts alike
}

// Known reports whether i is one at all.
func (i Incarnation) Known() bool { return i.Store != 0 }

// An Acquaintance is what a server knows of another one: how it met it last.
type Acquaintance struct {
	Incarnation
	// Forked: starts that are not each other's successors took part under its id, here or elsewhere. None of them counts any more.
	Forked bool
	// Readmitted: Store was let in by a membership, in place of another store. Groups whose membership does not name it do not count it.
	Readmitted bool
	// Stranger: it was a member of nothing here when it was met, nor has been since. It may be forgotten.
	Stranger bool
	// LetIn are the stores that memberships have let in, the latest first, as many as there is room for. A release that did not note them leaves none.
	LetIn [8]uint64
}

// A Standing is what an Acquaintance makes of a greeting.
type Standing uint8

// The standings. Those from Wiped on do not count.
const (
	Unmet  Standing = iota // nothing to compare
	Same                   // the start that is known
	Next                   // a later start on the same folder
	Wiped                  // another folder
	Older                  // an older copy of the folder
	Cloned                 // a copy of the folder, beside another one that lives, or lived until others let this one in
)

// Counts reports whether votes and acknowledgements of a server with this standing may be counted.
func (s Standing) Counts() bool { return s < Wiped }

// Judge says what a server makes of one that greets as i. Lives: the start that it knows, or another one that is not i, shows life.
//
// A start that is not above the known one is not its successor: the folder is a copy from before that start. One that is above may be a
// copy too; that shows only while the original lives.
func (a Acquaintance) Judge(i Incarnation, lives bool) Standing {
	switch {
	case !a.Known() || !i.Known():
		return Unmet
	case i.Store != a.Store:
		return Wiped
	case a.Forked:
		return Cloned
	case i == a.Incarnation:
		return Same
	case lives:
		return Cloned
	case i.Start <= a.Start:
		return Older
	}
	return Next
}

// A Prober finds out who lives, for Greet.
type Prober interface {
	// Another reports whether another start of the server lives than the one that greets. An error says that nobody can
	// tell yet.
	Another() (bool, error)
	// Caller has the one that greets show that it lives now. An error says that it did not.
	Caller() error
}

// Greet is Judge once it is known who lives. An error of p's says that nothing is to be judged yet.
//
// A greeting may be read long after it was written, say by a server that was suspended: its sender may have ended since, and
// later starts of the same server may have been met. Two starts of one folder that follow each other never live at once.
// So whoever is judged not to count has shown that it lives, after all that speaks against it was found out.
func (a Acquaintance) Greet(i Incarnation, p Prober) (Standing, error) {
	s := a.Judge(i, false)
	if s == Next || s == Older {
		another, err := p.Another()
		if err != nil {
			return Unmet, err
		}
		s = a.Judge(i, another)
	}
	if !s.Counts() {
		if err := p.Caller(); err != nil {
			return Unmet, err
		}
	}
	return s, nil
}

// Believes reports whether a server heeds what a start of another one makes of it. An older copy is not heeded: what it remembers of others
// is from before what the server knows of the copy itself, and whoever was somebody else then may be a member now. That holds for a fork's as well.
func (a Acquaintance) Believes(judge Incarnation) bool {
	a.Forked = false
	return a.Judge(judge, false) != Older
}

// Meet returns what a server knows of another one once that has greeted it as i with standing s. Counted: somebody has let i in already.
// What does not count changes nothing, except that a copy which others have let in leaves nobody whose answers could be believed.
func (a Acquaintance) Meet(i Incarnation, s Standing, counted bool) Acquaintance {
	switch {
	case i.Known() && s.Counts():
		a.Incarnation = i
	case counted && (s == Older || s == Cloned):
		a.Forked = true
	}
	return a
}

// Readmit returns what a server knows of another one once a committed membership names store. Seen is how that store greeted last, if it has.
func (a Acquaintance) Readmit(store uint64, seen Incarnation) Acquaintance {
	if store == 0 || a.Readmitted && a.Store == store {
		return a
	}
	let := a.alsoLetIn(store)
	if a.Store == store { // what is known of it holds
		a.Readmitted, a.LetIn = true, let
		return a
	}
	if seen.Store != store {
		seen = Incarnation{Store: store}
	}
	return Acquaintance{Incarnation: seen, Readmitted: true, LetIn: let}
}

// WasLetIn reports whether a store was let in already, or may have been and is not noted.
func (a Acquaintance) WasLetIn(store uint64) bool {
	unnoted := a.Readmitted && a.LetIn[0] == 0
	full := a.LetIn[len(a.LetIn)-1] != 0
	return unnoted || full || slices.Contains(a.LetIn[:], store)
}

// alsoLetIn is LetIn with one more. It stays empty where a release that did not note them may have let in others.
func (a Acquaintance) alsoLetIn(store uint64) (let [8]uint64) {
	if a.Readmitted && a.LetIn[0] == 0 {
		return let
	}
	others := slices.DeleteFunc(slices.Clone(a.LetIn[:]), func(s uint64) bool { return s == store })
	copy(let[:], append([]uint64{store}, others...))
	return let
}
