package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/troupe-raft/troupe/demo/config"
	"github.com/troupe-raft/troupe/logs"
	"github.com/troupe-raft/troupe/raft"
)

// stopTimeout is how long a graceful stop may take.
const stopTimeout = 4500 * time.Millisecond

// A startError is why the nodes of this process did not all start.
type startError struct{ error }

func (e *startError) Unwrap() error { return e.error }

// runMembers runs nodes of one cluster in this process until a signal or a node's failure. A title, if any, is printed before their ready lines.
func runMembers(cfg config.Config, selves []config.Node, title string, stdout, stderr io.Writer) (err error) {
	stop := heedSignals(stderr)
	defer stop.release()
	signal.Ignore(syscall.SIGPIPE) // whoever read the log may have ended: its lines are lost then, and nothing else
	queue := logs.NewQueue(0)
	defer flush(queue)
	loggers := loggers(stderr, queue, cfg.Log)

	var members []*member
	defer func() { err = errors.Join(err, stopMembers(members, stop.deadline())) }()
	if members, err = startMembers(stop, cfg, selves, loggers); err != nil {
		if errors.Is(err, context.Canceled) {
			return nil // a signal came first
		}
		return &startError{err}
	}
	defer tell(stdout, title, members)()
	failed := make(chan error, len(members))
	for _, m := range members {
		go func() { failed <- fmt.Errorf("http: %w", <-m.served) }()
	}
	select {
	case <-allDown(stop, members):
		return nil // what stops them tells why
	case <-stop.Done():
		return nil
	case err := <-failed:
		return err
	}
}

// A stopping ends, as a context, at the first signal.
type stopping struct {
	context.Context
	release func()
	by      time.Time // when a graceful stop is to be over; set before the context ends
}

// heedSignals has the first signal end a context, and the process end at the second one, or once a graceful stop has taken too long: whatever holds up
// everything else, be it a disk or whoever should read stderr.
func heedSignals(stderr io.Writer) *stopping {
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	ctx, cancel := context.WithCancel(context.Background())
	released := make(chan struct{})
	s := &stopping{Context: ctx, release: func() { signal.Stop(signals); close(released) }}
	go func() {
		defer cancel()
		select {
		case <-signals:
		case <-released:
			return
		}
		s.by = time.Now().Add(stopTimeout)
		cancel()
		select {
		case <-signals:
		case <-time.After(stopTimeout + 300*time.Millisecond):
			say(stderr, 100*time.Millisecond, "demo: did not stop in time")
		case <-released:
			return
		}
		os.Exit(exitFailed)
	}()
	return s
}

// deadline is when a graceful stop that begins now is to be over.
func (s *stopping) deadline() time.Time {
	if s.Err() != nil {
		return s.by
	}
	return time.Now().Add(stopTimeout)
}

// tell writes a title, unless it is empty, and the members' ready lines, which nobody has to read. It returns what waits a little for them to be written.
func tell(stdout io.Writer, title string, members []*member) (wait func()) {
	told := make(chan struct{})
	go func() {
		defer close(told)
		if title != "" {
			_, _ = fmt.Fprintln(stdout, title)
		}
		for _, m := range members {
			_, _ = fmt.Fprintln(stdout, m.ready())
		}
	}()
	return func() {
		select {
		case <-told:
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// allDown is closed once ctx ends or none of the members has a replica that comes back by itself: nobody but who starts this process again can do anything then.
func allDown(ctx context.Context, members []*member) <-chan struct{} {
	down := make(chan struct{})
	go func() {
		defer close(down)
		for _, m := range members {
			m.awaitDown(ctx)
		}
	}()
	return down
}

// flush lets what was logged be written.
func flush(queue *logs.Queue) {
	ctx, cancel := context.WithTimeout(context.Background(), lastWords)
	defer cancel()
	_ = queue.Flush(ctx) // where could it be told? Stderr is what blocks
}

// startMembers opens all, so that every address is known, and then starts them. On an error, which is ctx's when that ended, it returns those that are to
// be stopped.
func startMembers(ctx context.Context, cfg config.Config, selves []config.Node, logs func(raft.NodeID) func(string) *slog.Logger) (members []*member, err error) {
	files, err := budgetFiles(openFiles(), len(selves), int(cfg.MaxConnections))
	if err != nil {
		return nil, err
	}
	nodes := append([]config.Node(nil), cfg.Nodes...)
	for _, self := range selves {
		if ctx.Err() != nil {
			return members, ctx.Err()
		}
		m, err := openMember(cfg, self, files, logs(self.ID))
		if err != nil {
			return members, err
		}
		members = append(members, m)
		for i := range nodes {
			if nodes[i].ID == self.ID {
				nodes[i] = m.self
			}
		}
	}
	for _, m := range members {
		if err := m.start(ctx, nodes); err != nil {
			return members, err
		}
	}
	return members, nil
}

// stopMembers stops all at once, until a deadline. One that is alone in the process hands its leadership to another process.
func stopMembers(members []*member, deadline time.Time) error {
	ctx, cancel := context.WithDeadline(context.Background(), deadline)
	defer cancel()
	errs := make([]error, len(members))
	var wg sync.WaitGroup
	for i, m := range members {
		wg.Go(func() {
			if err := m.stop(ctx, len(members) == 1); err != nil {
				errs[i] = fmt.Errorf("node %d: %w", m.self.ID, err)
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}
