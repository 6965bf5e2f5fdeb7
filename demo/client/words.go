package client

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
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
			parts = append(parts, fmt.Sprintf("%s: %s", addr, plainly(err)))
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

// plainly is what became of a request, without what its maker knows.
func plainly(err error) string {
	var asked *url.Error
	if errors.As(err, &asked) {
		err = asked.Err
	}
	var op *net.OpError
	var name *net.DNSError
	var timeout net.Error
	switch {
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		return "no answer in time"
	case errors.As(err, &name):
		return "there is no host " + name.Name
	case errors.As(err, &op) && op.Err != nil:
		return strings.TrimPrefix(op.Err.Error(), "connect: ")
	case strings.Contains(err.Error(), "malformed HTTP"):
		return "what answers there speaks no HTTP: is it the node's http address?"
	case strings.Contains(err.Error(), "server gave HTTP response to HTTPS client"):
		return "it serves http://, not https://"
	default:
		return err.Error()
	}
}
