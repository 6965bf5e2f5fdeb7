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

// runMembers runs nodes of one cluster in this process until a signal or a node's failure.
func runMembers(cfg config.Config, selves []config.Node, stdout, stderr io.Writer) (err error) {
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	defer signal.Stop(signals)
	signal.Ignore(syscall.SIGPIPE) // whoever read the log may have ended: its lines are lost then, and nothing else
	queue := logs.NewQueue(0)
	defer flush(queue)
	loggers := loggers(stderr, queue, cfg.Log)

	var members []*member
	defer func() { err = errors.Join(err, stopMembers(members)) }()
	if members, err = startMembers(cfg, selves, loggers); err != nil {
		return err
	}
	for _, m := range members {
		_, _ = fmt.Fprintln(stdout, m.ready()) // nobody has to read it
	}
	failed := make(chan error, len(members))
	for _, m := range members {
		go func() { failed <- fmt.Errorf("http: %w", <-m.served) }()
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	select {
	case <-allDown(ctx, members):
		return nil // what stops them tells why
	case <-signals:
		go func() {
			select {
			case <-signals:
			case <-time.After(stopTimeout + 300*time.Millisecond):
				say(stderr, 100*time.Millisecond, "demo: did not stop in time")
			}
			os.Exit(exitFailed)
		}()
		return nil
	case err := <-failed:
		return err
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

// startMembers opens all, so that every address is known, and then starts them. On an error it returns those that are to be stopped.
func startMembers(cfg config.Config, selves []config.Node, logs func(raft.NodeID) func(string) *slog.Logger) (members []*member, err error) {
	files, err := budgetFiles(openFiles(), len(selves), int(cfg.MaxConnections))
	if err != nil {
		return nil, err
	}
	nodes := append([]config.Node(nil), cfg.Nodes...)
	for _, self := range selves {
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
		if err := m.start(nodes); err != nil {
			return members, err
		}
	}
	return members, nil
}

// stopMembers stops all at once. One that is alone in the process hands its leadership to another process.
func stopMembers(members []*member) error {
	ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
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
