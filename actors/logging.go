package actors

import (
	"context"
	"log/slog"

	"github.com/troupe-raft/troupe/logs"
	"github.com/troupe-raft/troupe/stage"
)

// modules are the parts that have a logger of their own: HostConfig.Loggers.
var modules = []string{"raft", "election", "replication", "heartbeat", "applier", "snapshotter", "persister", "remote"}

// loggers are what the actors of a host log to. None of them ever waits for the program's handlers.
type loggers struct {
	cfg   *HostConfig
	queue *logs.Queue // nil: lines are written at once, by whoever logs them
	named map[string]*slog.Logger
}

// newLoggers asks for all loggers there are, so that HostConfig.Loggers, user code, runs on nobody's turn. On a driven stage lines are
// written at once: there a run must be repeatable, and the simulator's checker is the one who listens.
func newLoggers(cfg *HostConfig, s stage.Stage) *loggers {
	l := &loggers{cfg: cfg, named: map[string]*slog.Logger{}}
	if _, driven := s.(stage.Driven); !driven {
		l.queue = logs.NewQueue(cfg.Tuning.LogQueue)
	}
	for _, module := range modules {
		l.named[module] = l.make(module)
	}
	return l
}

func (l *loggers) make(module string) *slog.Logger {
	var log *slog.Logger
	if l.cfg.Loggers != nil {
		log = l.cfg.Loggers(module)
	}
	if log == nil {
		log = l.cfg.Log.With("module", module)
	}
	if l.queue == nil {
		return log
	}
	return slog.New(l.queue.Handler(log.Handler()))
}

// dropped is how many lines were lost because a handler was slow or failed.
func (l *loggers) dropped() uint64 {
	if l.queue == nil {
		return 0
	}
	return l.queue.Dropped()
}

// flush waits until what was logged is written, but no longer than HostTuning.FlushTime.
func (l *loggers) flush(ctx context.Context) {
	if l.queue == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, l.cfg.Tuning.FlushTime)
	defer cancel()
	_ = l.queue.Flush(ctx) // where could it be told? The log is what blocks
}

// logger is the logger of one of the modules.
func (h *Host) logger(module string) *slog.Logger { return h.logs.named[module] }
