package client

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/troupe-raft/troupe/demo/words"
)

// unheard is the error of a call to which no node answered: why each of those that were asked did not.
type unheard struct {
	addrs []string
	why   map[string]error // the last of each
	end   error            // of the call, when it ended before a node was asked
}

func (u *unheard) note(addr string, err error) {
	if u.why == nil {
		u.why = map[string]error{}
	}
	if err != nil && !(errors.Is(err, context.DeadlineExceeded) && u.why[addr] != nil) { // that the time is up says less
		u.why[addr] = err
	}
}

func (u *unheard) Error() string {
	var parts []string
	for _, addr := range u.addrs {
		if err := u.why[addr]; err != nil {
			parts = append(parts, fmt.Sprintf("%s: %s", addr, words.Connection(err)))
		}
	}
	switch {
	case len(parts) == 0 && errors.Is(u.end, context.Canceled):
		return "no node was asked: the call was cancelled"
	case len(parts) == 0:
		return "no node was asked: the time was up"
	}
	return "no node answers: " + strings.Join(parts, ", ")
}

// Unwrap is for errors.Is and errors.As.
func (u *unheard) Unwrap() (errs []error) {
	for _, addr := range u.addrs {
		if err := u.why[addr]; err != nil {
			errs = append(errs, err)
		}
	}
	if len(errs) == 0 {
		errs = append(errs, cmp.Or(u.end, context.DeadlineExceeded))
	}
	return errs
}
