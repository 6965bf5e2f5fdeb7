package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/troupe-raft/troupe/demo/config"
	"github.com/troupe-raft/troupe/demo/words"
	"github.com/troupe-raft/troupe/logs"
	"github.com/troupe-raft/troupe/raft"
)

// lastWords is how long a process that ends waits for whoever reads its stderr.
const lastWords = time.Second

// say writes a line to stderr, and waits no longer than that for a reader that may never come.
func say(stderr io.Writer, limit time.Duration, words ...any) {
	said := make(chan struct{})
	go func() {
		defer close(said)
		fmt.Fprintln(stderr, words...)
	}()
	select {
	case <-said:
	case <-time.After(limit):
	}
}

// loggers names a logger per module for one node, all writing to one place, by way of a queue: a reader that blocks holds up nobody.
func loggers(out io.Writer, queue *logs.Queue, levels config.Levels) func(node raft.NodeID) func(module string) *slog.Logger {
	text := slog.NewTextHandler(out, &slog.HandlerOptions{Level: levels.Min(), ReplaceAttr: inWords})
	return func(node raft.NodeID) func(string) *slog.Logger {
		return func(module string) *slog.Logger {
			log := slog.New(queue.Handler(leveled{text, levels.Of(module)})).With("module", module)
			if module == "raft" || module == "remote" {
				return log // their records name the node themselves
			}
			return log.With("node", uint64(node))
		}
	}
}

// inWords takes the package that an error begins with away: the line has its module. Neither it nor the line's message speaks of the API.
func inWords(groups []string, a slog.Attr) slog.Attr {
	err, is := a.Value.Any().(error)
	switch {
	case len(groups) > 0:
	case is:
		a.Value = slog.StringValue(words.Ours(err.Error()))
	case a.Key == slog.MessageKey, a.Key == "reason" && a.Value.Kind() == slog.KindString:
		a.Value = slog.StringValue(words.Ours(a.Value.String()))
	}
	return a
}

// warnings is a logger's more silent sister.
func warnings(log *slog.Logger) *slog.Logger {
	return slog.New(leveled{log.Handler(), slog.LevelWarn})
}

// leveled lets records of a level and above through.
type leveled struct {
	slog.Handler
	level slog.Level
}

func (l leveled) Enabled(ctx context.Context, level slog.Level) bool {
	return level >= l.level && l.Handler.Enabled(ctx, level)
}

func (l leveled) WithAttrs(attrs []slog.Attr) slog.Handler {
	return leveled{l.Handler.WithAttrs(attrs), l.level}
}

func (l leveled) WithGroup(name string) slog.Handler {
	return leveled{l.Handler.WithGroup(name), l.level}
}
