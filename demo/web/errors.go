package web

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/troupe-raft/troupe/actors"
	"github.com/troupe-raft/troupe/demo/api"
	"github.com/troupe-raft/troupe/demo/kv"
	"github.com/troupe-raft/troupe/demo/words"
	"github.com/troupe-raft/troupe/raft"
)

const (
	headerTimeout   = api.HeaderTimeout
	headerForwarded = api.HeaderForwarded

	typeJSON = "application/json"
	typeText = "text/plain; charset=utf-8"
)

// A fault is an error whose answer is known.
type fault struct {
	status  int
	words   string
	outcome string // api.Unknown or api.Applied; empty: api.Refused
	shape   bool   // JSON, but of another shape
	hangUp  bool   // the request's body is not waited for
}

func (f *fault) Error() string { return f.words }

func malformed(format string, args ...any) error {
	return &fault{status: http.StatusBadRequest, words: fmt.Sprintf(format, args...)}
}

var (
	errNoKey    = &fault{status: http.StatusNotFound, words: "no such key"}
	errTooLarge = &fault{status: http.StatusRequestEntityTooLarge, words: fmt.Sprintf("the body has more than %d bytes; a key has at most %d, a value at most %d", maxBody, kv.MaxKey, kv.MaxValue)}
	errGrown    = &fault{status: http.StatusRequestEntityTooLarge, words: fmt.Sprintf("value: with what is there it would be longer than it may be: at most %d bytes", kv.MaxValue)}
	errBinary   = &fault{status: http.StatusUnprocessableEntity, words: "not UTF-8: use RESP"}
	errCommand  = &fault{status: http.StatusBadRequest, words: "the state machine does not know this command"}
)

// A verdict says what an attempt at a request came to.
type verdict uint8

const (
	final   verdict = iota // the answer stands
	again                  // it did not happen and may be tried again
	doubted                // it may have happened; under a session, and for reads, it may be tried again
)

// judge turns what consensus said into an answer.
func (s *Server) judge(err error, write bool) (verdict, *fault) {
	var f *fault
	var change *raft.InvalidChangeError
	var transfer *raft.InvalidTransferError
	var silent *raft.SilentTargetError
	var unsafe *raft.UnsafeChangeError
	var moved *raft.MovedOnError
	var readmit *actors.ReadmitError
	answer := func(status int) (verdict, *fault) {
		return final, &fault{status: status, words: words.Ours(err.Error())}
	}
	switch {
	case errors.As(err, &f):
		return final, f
	case errors.Is(err, actors.ErrIndeterminate):
		return doubted, &fault{status: http.StatusGatewayTimeout, words: words.Ours(err.Error()), outcome: api.Unknown}
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return again, &fault{status: http.StatusServiceUnavailable, words: "not done within the deadline"}
	case errors.As(err, &silent), errors.Is(err, actors.ErrTransferFailed): // before its reasons, which may be such as are tried again
		return answer(http.StatusConflict)
	case errors.Is(err, actors.ErrNotLeader), errors.Is(err, actors.ErrTransferring), errors.Is(err, raft.ErrTermNotCommitted):
		return again, &fault{status: http.StatusServiceUnavailable, words: words.Ours(err.Error())}
	case errors.Is(err, actors.ErrBusy):
		return answer(http.StatusTooManyRequests)
	case errors.Is(err, actors.ErrTooLarge):
		return answer(http.StatusRequestEntityTooLarge)
	case errors.Is(err, actors.ErrSessionForgotten):
		return final, &fault{status: http.StatusConflict, words: words.Ours(err.Error()), outcome: api.Applied}
	case errors.Is(err, actors.ErrChangeInProgress), errors.Is(err, actors.ErrSessionOrder), errors.Is(err, actors.ErrSessionExpired):
		return answer(http.StatusConflict)
	case errors.As(err, &unsafe), errors.As(err, &moved), errors.As(err, &readmit):
		return answer(http.StatusConflict)
	case errors.As(err, &change), errors.As(err, &transfer):
		return answer(http.StatusBadRequest)
	case errors.Is(err, actors.ErrStopped), !write:
		return answer(http.StatusServiceUnavailable)
	default:
		return final, &fault{status: http.StatusGatewayTimeout, words: words.Ours(err.Error()), outcome: api.Unknown}
	}
}

// refusal is the answer to an error that needs no judgement.
func (s *Server) refusal(err error) reply {
	var f *fault
	if !errors.As(err, &f) {
		_, f = s.judge(err, false)
	}
	body := api.Error{Error: f.words, Outcome: cmp.Or(f.outcome, api.Refused), Leader: uint64(s.Group.Status().Leader)}
	out := encode(body)
	out.status, out.applied, out.hangUp = f.status, f.outcome == api.Applied, f.hangUp
	if f.status == http.StatusTooManyRequests {
		out.retryAfter = "1"
	}
	return out
}
