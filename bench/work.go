package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// A work is what the clients of a cell do.
type work int

const (
	write work = iota // proposals alone
	read              // linearizable reads alone
	lease             // lease reads alone
	mixed             // nine linearizable reads to one write
)

var workNames = []string{write: "write", read: "read", lease: "lease", mixed: "mixed"}

func (w work) String() string { return workNames[w] }

// note names what is not the default in a report of a failure.
func (w work) note() string {
	if w == write {
		return ""
	}
	return " work=" + w.String()
}

// mixedPeriod is how many operations of a mixed client hold one write.
const mixedPeriod = 10

// writes says whether a client's n-th operation is a write.
func (w work) writes(n int) bool { return w == write || w == mixed && n%mixedPeriod == 0 }

// errStaleRead is a read that missed a write acknowledged before it.
var errStaleRead = errors.New("stale read")

// works reads a comma-separated list of kinds of work.
func works(list string) (out []work, err error) {
	for name := range strings.SplitSeq(list, ",") {
		w := work(slices.Index(workNames, strings.TrimSpace(name)))
		if w < 0 {
			err = errors.Join(err, fmt.Errorf("-work: %q is unknown; known are %s", name, strings.Join(workNames, ", ")))
			continue
		}
		out = append(out, w)
	}
	return out, err
}
