package main

import (
	"bytes"
	"strings"
	"testing"

	"github.com/troupe-raft/troupe/demo/config"
)

func TestLogLevels(t *testing.T) {
	levels, err := config.ParseLevels("warn,election=debug,remote=off")
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	logs := loggers(&out, levels)(7)
	for _, module := range config.Modules {
		log := logs(module).With("group", 1)
		log.Debug("debug " + module)
		log.Info("info " + module)
		log.Error("error " + module)
	}
	warnings(logs("election")).Info("hidden")
	text := out.String()
	for words, want := range map[string]int{"debug ": 1, "info ": 1, "error ": len(config.Modules) - 1, "hidden": 0, "module=election node=7 group=1": 3, "module=remote": 0} {
		if got := strings.Count(text, words); got != want {
			t.Errorf("%d times %q, want %d:\n%s", got, words, want, text)
		}
	}
}
