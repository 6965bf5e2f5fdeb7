package logs

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"
)

// DefaultLimit is how many lines a Queue holds unless told otherwise.
const DefaultLimit = 4096

// A Queue writes log lines on a goroutine of its own, which lives only while there are any. Its methods are safe for concurrent use, and
// none but Flush waits for a handler.
type Queue struct {
	limit int

	mu      sync.Mutex
	lines   []line // oldest first
	writing bool   // the goroutine lives
	taken   uint64 // lines that ever came
	done    uint64 // those of them that were written or dropped; in order
	dropped uint64
	missing uint64 // of the dropped ones, those that no line told of yet
	flushes []flush
}

// A line is a record and whom it is for.
type line struct {
	ctx    context.Context
	record slog.Record
	to     slog.Handler
	base   slog.Handler // to without its attributes and groups
}

// A flush waits until so many lines are done.
type flush struct {
	through uint64
	reached chan struct{}
}

// NewQueue makes a queue that holds at most limit lines, not counting the one that a handler is busy with; 0: DefaultLimit.
func NewQueue(limit int) *Queue {
	if limit <= 0 {
		limit = DefaultLimit
	}
	return &Queue{limit: limit}
}

// Dropped is how many lines were dropped since the start, because the queue was full or their handler failed or panicked.
func (q *Queue) Dropped() uint64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.dropped
}

// Flush waits until all lines that came before the call are written or dropped. The error is the context's, with the number of lines
// that are left; they are written all the same if their handler ever lets go.
func (q *Queue) Flush(ctx context.Context) error {
	q.mu.Lock()
	f := flush{through: q.taken, reached: make(chan struct{})}
	if q.done >= f.through {
		q.mu.Unlock()
		return nil
	}
	q.flushes = append(q.flushes, f)
	q.mu.Unlock()
	select {
	case <-f.reached:
		return nil
	case <-ctx.Done():
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	left := f.through - min(q.done, f.through)
	return fmt.Errorf("logs: a handler blocks, %d lines are not written: %w", left, ctx.Err())
}

// put takes a line.
func (q *Queue) put(l line) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.lines) >= q.limit {
		q.lines[0] = line{}
		q.lines = q.lines[1:]
		q.finished(false)
	}
	q.lines = append(q.lines, l)
	q.taken++
	if !q.writing {
		q.writing = true
		go q.write()
	}
}

// finished counts a line as done. It is called with the lock held.
func (q *Queue) finished(written bool) {
	q.done++
	if !written {
		q.dropped++
		q.missing++
	}
	kept := q.flushes[:0]
	for _, f := range q.flushes {
		if f.through <= q.done {
			close(f.reached)
		} else {
			kept = append(kept, f)
		}
	}
	q.flushes = kept
}

// write writes until nothing is left.
func (q *Queue) write() {
	for {
		l, missing, ok := q.next()
		if !ok {
			return
		}
		told := missing == 0 || tell(l, missing)
		written := handle(l.to, l.ctx, l.record)
		q.mu.Lock()
		if told {
			q.missing -= missing
		}
		q.finished(written)
		q.mu.Unlock()
	}
}

// next takes the oldest line, and the number of those that are missing before it.
func (q *Queue) next() (l line, missing uint64, ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.lines) == 0 {
		q.lines, q.writing = nil, false
		return line{}, 0, false
	}
	l = q.lines[0]
	q.lines[0] = line{}
	q.lines = q.lines[1:]
	return l, q.missing, true
}

// tell writes how many lines are missing before l, where l itself goes.
func tell(l line, missing uint64) (written bool) {
	if !l.base.Enabled(l.ctx, slog.LevelWarn) {
		return false // a later line may go where it is
	}
	r := slog.NewRecord(time.Now(), slog.LevelWarn, "log lines were dropped: the log's reader is slow or blocked", 0)
	r.AddAttrs(slog.Uint64("dropped", missing))
	return handle(l.base, l.ctx, r)
}

// handle calls a handler. On this goroutine its panic would end the program.
func handle(h slog.Handler, ctx context.Context, r slog.Record) (written bool) {
	defer func() {
		if recover() != nil {
			written = false
		}
	}()
	return h.Handle(ctx, r) == nil
}
