package remote

import "fmt"

// A Version numbers what nodes say to each other. It rises by one with every release that adds to it.
//
// To add is to declare: a kind of message in kinds, or a field at the end of one, each since the next version, which
// becomes newest. A connection speaks the highest version that both its ends know, and what is newer does not travel on
// it: such a message is withheld, such a field arrives as zero, which must mean what its absence meant. A version is
// given up by raising oldest, in a release whose predecessor speaks the next one already.
type Version = uint8

const (
	oldest Version = 1
	newest Version = 3
)

// Versions are the versions that a node speaks, from Min to Max.
type Versions struct{ Min, Max Version }

// Speaks returns the versions that nodes of this release speak.
func Speaks() Versions { return Versions{oldest, newest} }

// String writes "version 1" or "versions 1 to 3".
func (v Versions) String() string {
	if v.Min == v.Max {
		return fmt.Sprintf("version %d", v.Min)
	}
	return fmt.Sprintf("versions %d to %d", v.Min, v.Max)
}

// common returns the version that a connection between this node and another speaks. Both ends come to the same.
func (v Versions) common(theirs Versions) (Version, error) {
	agreed := min(v.Max, theirs.Max)
	if agreed < max(v.Min, theirs.Min) {
		return 0, &VersionError{Ours: v, Theirs: theirs}
	}
	return agreed, nil
}

// A VersionError refuses a connection between nodes that have no version of the protocol in common.
type VersionError struct{ Ours, Theirs Versions }

func (e *VersionError) Error() string {
	older, step := "this node", e.Theirs.Min
	if e.Theirs.Max < e.Ours.Min {
		older, step = "the other node", e.Ours.Min
	}
	return fmt.Sprintf("remote: no protocol version in common: this node speaks %v, the other %v: "+
		"upgrade %s to a release that speaks version %d", e.Ours, e.Theirs, older, step)
}
