package main

import (
	"bytes"
	"strings"
	"testing"

	"github.com/troupe-raft/troupe/demo/config"
	"github.com/troupe-raft/troupe/logs"
)

func TestLogLevels(t *testing.T) {
	levels, err := config.ParseLevels("warn,election=debug,remote=off")
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	queue := logs.NewQueue(0)
	log := loggers(&out, queue, levels)(7)
	for _, module := range config.Modules {
		log := log(module).With("group", 1)
		log.Debug("debug " + module)
		log.Info("info " + module)
		log.Error("error " + module)
	}
	warnings(log("election")).Info("hidden")
	if err := queue.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	text := out.String()
	for words, want := range map[string]int{"debug ": 1, "info ": 1, "error ": len(config.Modules) - 1, "hidden": 0, "module=election node=7 group=1": 3, "module=remote": 0} {
		if got := strings.Count(text, words); got != want {
			t.Errorf("%d times %q, want %d:\n%s", got, words, want, text)
		}
	}
}
