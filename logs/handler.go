package logs

import (
	"context"
	"log/slog"
)

// Handler is h with its lines written by the queue. Of h only Enabled, WithAttrs and WithGroup are called by those who log, and must not
// block; Handle is called on the queue's goroutine alone, one line at a time. What is logged must not change afterwards. A handler of
// a Queue's, this one's or another's, is returned as it is.
func (q *Queue) Handler(h slog.Handler) slog.Handler {
	if ours, ok := h.(*handler); ok {
		return ours
	}
	return &handler{queue: q, to: h, base: h}
}

// A handler puts lines into a queue.
type handler struct {
	queue    *Queue
	to, base slog.Handler
}

// Enabled implements slog.Handler.
func (h *handler) Enabled(ctx context.Context, level slog.Level) bool {
	return h.to.Enabled(ctx, level)
}

// Handle implements slog.Handler. It always succeeds; lines that the handler behind it fails to write are counted.
func (h *handler) Handle(ctx context.Context, r slog.Record) error {
	h.queue.put(line{ctx: context.WithoutCancel(ctx), record: r.Clone(), to: h.to, base: h.base})
	return nil
}

// WithAttrs implements slog.Handler.
func (h *handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &handler{queue: h.queue, to: h.to.WithAttrs(attrs), base: h.base}
}

// WithGroup implements slog.Handler.
func (h *handler) WithGroup(name string) slog.Handler {
	return &handler{queue: h.queue, to: h.to.WithGroup(name), base: h.base}
}
