package web

import (
	"context"
	"encoding/json"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/troupe-raft/troupe/demo/api"
)

// A ledger bounds the bytes that a node holds, be it of answers, until their clients have read them or have been cut off, or of requests' bodies.
type ledger struct {
	limit   int64
	crowded *fault // the refusal of more
	held    atomic.Int64
}

func (l *ledger) take(n int64) bool {
	for {
		held := l.held.Load()
		if held+n > l.limit {
			return false
		}
		if l.held.CompareAndSwap(held, held+n) {
			return true
		}
	}
}

// small is how long an answer or a body may be to count as nothing: it is served however much is held.
const small = 4 << 10 // bytes

// An account is what one request holds of a ledger. It belongs to the request's goroutine.
type account struct {
	ledger *ledger
	taken  int64
}

var (
	errCrowded = &fault{status: http.StatusTooManyRequests, words: "answers that wait for their clients to read them take all the memory that there is for answers"}
	errBodies  = &fault{status: http.StatusTooManyRequests, words: "requests under way take all the memory that there is for their bodies"}
	errUnread  = &fault{status: http.StatusConflict, outcome: api.Applied, words: "the write took effect, but there was no room in the memory for answers, or no time, to make its answer"}
)

func (a *account) take(n int64) error {
	if !a.ledger.take(n) {
		return a.ledger.crowded
	}
	a.taken += n
	return nil
}

func (a *account) give(n int64) {
	a.ledger.held.Add(-n)
	a.taken -= n
}

func (a *account) close() { a.give(a.taken) }

// accounts are what one request holds, and how long it waited before it was passed on: its deadline counts that.
type accounts struct {
	answers, bodies account
	waited          time.Duration
}

type accountsKey struct{}

// accountsOf are those of the request that a context belongs to.
func accountsOf(ctx context.Context) *accounts { return ctx.Value(accountsKey{}).(*accounts) }

// A buffer gathers an answer or a body, on account.
type buffer struct {
	account *account
	b       []byte
}

// counted is what a buffer of this capacity is charged.
func counted(capacity int) int64 {
	if capacity <= small {
		return 0
	}
	return int64(capacity)
}

// Write implements io.Writer. Its error is the ledger's refusal.
func (b *buffer) Write(p []byte) (int, error) {
	if need := len(b.b) + len(p); need > cap(b.b) {
		if b.grow(max(need, 2*cap(b.b))) != nil {
			if err := b.grow(need); err != nil { // the doubled one may be all that does not fit
				return 0, err
			}
		}
	}
	b.b = append(b.b, p...)
	return len(p), nil
}

// grow makes room for so many bytes in all. While they are copied, both buffers count.
func (b *buffer) grow(capacity int) error {
	if capacity <= cap(b.b) {
		return nil
	}
	if err := b.account.take(counted(capacity)); err != nil {
		return err
	}
	old := cap(b.b)
	b.b = append(make([]byte, 0, capacity), b.b...)
	b.account.give(counted(old))
	return nil
}

// drop gives up what was gathered.
func (b *buffer) drop() {
	b.account.give(counted(cap(b.b)))
	b.b = nil
}

// json appends a value, without the line's end that an encoder puts after it.
func (b *buffer) json(v any) error {
	e := json.NewEncoder(b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return err
	}
	b.b = b.b[:len(b.b)-1]
	return nil
}

// text appends a literal.
func (b *buffer) text(s string) error {
	_, err := b.Write([]byte(s))
	return err
}

// array appends the JSON of n elements, one after the other: the encoder's own memory is not on account.
func (b *buffer) array(n int, element func(i int) any) error {
	if err := b.text("["); err != nil {
		return err
	}
	for i := range n {
		if i > 0 {
			if err := b.text(","); err != nil {
				return err
			}
		}
		if err := b.json(element(i)); err != nil {
			return err
		}
	}
	return b.text("]")
}

// inTurn does what takes memory that is not on account, or a processor for milliseconds, as JSON of size bytes does: few at a time. With all processors at
// work on the JSON of many clients, what keeps a leader in office would wait behind it for longer than an election timeout. Errors are the context's and work's.
func (s *Server) inTurn(ctx context.Context, size int, work func() error) error {
	if size > small {
		select {
		case s.turns <- struct{}{}:
			defer func() { <-s.turns }()
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return work()
}

// parse does what work does with a request's text, in its turn, within the request's time.
func (s *Server) parse(r *http.Request, text []byte, work func() error) error {
	ctx, cancel, err := within(r)
	if err != nil {
		return err
	}
	defer cancel()
	began := time.Now()
	err = s.inTurn(ctx, len(text), work)
	accountsOf(ctx).waited = time.Since(began)
	return err
}

// render is a 200 with what fill writes, about size bytes.
func (s *Server) render(ctx context.Context, size int, fill func(*buffer) error) (reply, error) {
	b := &buffer{account: &accountsOf(ctx).answers}
	err := s.inTurn(ctx, size, func() error {
		if err := fill(b); err != nil {
			return err
		}
		return b.text("\n")
	})
	if err != nil {
		b.drop()
		return reply{}, err
	}
	return reply{status: http.StatusOK, body: b.b}, nil
}
