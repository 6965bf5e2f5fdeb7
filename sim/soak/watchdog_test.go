package main

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/troupe-raft/troupe/sim"
)

// TestRunsThatTakeLongAreNamed: once when they have taken long, again after as long, and not when they are over.
func TestRunsThatTakeLongAreNamed(t *testing.T) {
	w := newWatchdog(time.Minute, 5*time.Minute)
	start := time.Date(2020, 1, 2, 3, 4, 5, 0, time.Local)
	w.started(1, "the first", start)
	w.started(2, "the second", start.Add(30*time.Second))
	for _, at := range []struct {
		after time.Duration
		named string
	}{
		{59 * time.Second, ""}, {60 * time.Second, "the first"}, {61 * time.Second, ""}, {90 * time.Second, "the second"}, {121 * time.Second, "the first"},
	} {
		var said bytes.Buffer
		err := w.look(&said, start.Add(at.after))
		if err != nil || (said.Len() > 0) != (at.named != "") || !strings.Contains(said.String(), at.named) || strings.Count(said.String(), "\n") > 1 {
			t.Errorf("after %v: %v, %q", at.after, err, &said)
		}
	}
	w.end(1)
	var said bytes.Buffer
	if err := w.look(&said, start.Add(5*time.Minute)); err != nil || strings.Contains(said.String(), "the first") {
		t.Errorf("%v, %q", err, &said)
	}
	if err := w.look(&said, start.Add(6*time.Minute)); err == nil || !strings.Contains(err.Error(), "the second") {
		t.Error(err)
	}
}

// TestRunThatDoesNotEnd: soak gives up on it, with the command that repeats it and what every goroutine does.
func TestRunThatDoesNotEnd(t *testing.T) {
	end := make(chan struct{})
	defer close(end)
	c := command(func(cfg sim.Config) *sim.Report {
		if cfg.Seed == 12 {
			<-end
		}
		return &sim.Report{Config: cfg}
	})
	var said bytes.Buffer
	c.SetOut(&said)
	c.SetArgs([]string{"--seed", "10", "--mode", "liveness", "--runs", "50", "--workers", "2", "--patience", "20ms", "--limit", "100ms"})
	err := c.Execute()
	if err == nil || !strings.Contains(err.Error(), "replay --seed 12 --liveness") {
		t.Errorf("%v", err)
	}
	for _, want := range []string{"still running", "replay --seed 12 --liveness", "TestRunThatDoesNotEnd.func"} {
		if !strings.Contains(said.String(), want) {
			t.Errorf("no %q in\n%s", want, &said)
		}
	}
}

// TestRunsThatNobodyCouldJudgeAreShown with the commands that repeat them.
func TestRunsThatNobodyCouldJudgeAreShown(t *testing.T) {
	c := command(func(cfg sim.Config) *sim.Report {
		r := &sim.Report{Config: cfg}
		if cfg.Seed == 12 {
			r.Unjudged = "too hard"
		}
		return r
	})
	var said bytes.Buffer
	c.SetOut(&said)
	c.SetArgs([]string{"--seed", "10", "--mode", "safety", "--runs", "5", "--workers", "1"})
	if err := c.Execute(); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"NOT JUDGED: too hard: go run ./sim/soak replay --seed 12\n", "1 of 5 runs could not be judged"} {
		if !strings.Contains(said.String(), want) {
			t.Errorf("no %q in\n%s", want, &said)
		}
	}
}
