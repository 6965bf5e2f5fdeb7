package sim

import (
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/troupe-raft/troupe/actors"
)

// undrawn are the limits that no simulation draws, and why.
var undrawn = map[string]string{
	"Host.Tuning.LogQueue":    "lines are written at once in a simulation",
	"Host.Tuning.FlushTime":   "of Host.Stop, which no simulation calls: its nodes crash",
	"Host.Tuning.Connections": "of sockets, which no simulation has (remote TestSilentConnectionsMakeRoom)",
	"Host.Tuning.OpenTables":  "of Pebble's files, which no simulation has (demo TestConnectionsLeaveFilesToTheStore)",
	"Tuning.LogBytes":         "of the facade for goroutines, which no simulation calls",
	"TransferTimeout":         "the default is an election timeout, which runs are long enough for",
}

// TestEveryLimitIsDrawn: no limit of size, count or time is out of the simulator's reach. Each is set in some run, has its row in the documentation,
// or stands above with its reason.
func TestEveryLimitIsDrawn(t *testing.T) {
	doc, err := os.ReadFile("../docs/simulator.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(doc), "## Limits drawn")
	drawn := map[string]bool{}
	for seed := range uint64(200) {
		cfg := Config{Seed: seed}.withDefaults()
		note(drawn, "", reflect.ValueOf(cfg.group()))
		note(drawn, "LeaseDrift", reflect.ValueOf(cfg.pacing(1, 1).drift)) // each node's own
		note(drawn, "Host", reflect.ValueOf(struct{ Tuning actors.HostTuning }{cfg.host()}))
	}
	for name, some := range drawn {
		switch _, listed := undrawn[name]; {
		case !some && !listed:
			t.Errorf("%s is never drawn: draw it in limits.go, or say here why not", name)
		case some && listed:
			t.Errorf("%s is drawn: take it off the list", name)
		case some && !strings.Contains(table, "`"+name+"`"):
			t.Errorf("%s has no row in docs/simulator.md, Limits drawn", name)
		}
	}
	for name := range undrawn {
		if _, there := drawn[name]; !there {
			t.Errorf("there is no %s", name)
		}
	}
}

// note says of every number in v, by its name, whether it is set.
func note(drawn map[string]bool, name string, v reflect.Value) {
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			if f := v.Type().Field(i); f.IsExported() {
				note(drawn, strings.TrimPrefix(name+"."+f.Name, "."), v.Field(i))
			}
		}
	case reflect.Int, reflect.Int64, reflect.Uint64:
		drawn[name] = drawn[name] || !v.IsZero()
	}
}
