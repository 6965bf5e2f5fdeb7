package main

import (
	"bytes"
	"io"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/troupe-raft/troupe/raft"
	"github.com/troupe-raft/troupe/sim"
)

// words splits a command as a shell does: at spaces, but for those between single quotes.
func words(command string) (all []string) {
	for i, part := range strings.Split(command, "'") {
		if i%2 == 0 {
			all = append(all, strings.Fields(part)...)
		} else {
			all = append(all, part)
		}
	}
	return all
}

// repeat has the command that a report prints parsed, and runs what came of it.
func repeat(t *testing.T, r *sim.Report) (got *sim.Report) {
	t.Helper()
	args := words(strings.TrimPrefix(r.Command(), "go run ./sim/soak "))
	c := command(func(cfg sim.Config) *sim.Report {
		got = sim.Run(cfg)
		return got
	})
	c.SetArgs(args)
	c.SetOut(io.Discard)
	if err := c.Execute(); got == nil {
		t.Fatalf("%s: %v", r.Command(), err)
	}
	return got
}

// drawRun draws a configuration that can run: every field has a value now and then, those too that nobody thought of here, as far as
// one can be drawn by their type alone.
func drawRun(t *testing.T, r *rand.Rand) sim.Config {
	c := sim.Config{Seed: r.Uint64()}
	for v, i := reflect.ValueOf(&c).Elem(), 0; i < v.NumField(); i++ {
		if r.IntN(3) != 0 {
			continue
		}
		f := v.Field(i)
		switch name := v.Type().Field(i).Name; {
		case name == "Seed" || name == "Out":
		case name == "Nodes":
			f.SetInt(1 + r.Int64N(5))
		case name == "Spares", name == "Clients":
			f.SetInt(r.Int64N(5) - 1)
		case name == "Only":
			c.Only = r.Perm(30)[:r.IntN(20)]
		case name == "Faults":
			c.Faults = sim.Config{Seed: r.Uint64(), Nodes: 1, Length: time.Second, Every: 100 * time.Millisecond}.Plan()
		case name == "Broken":
			c.Broken = []sim.Link{{From: 1, To: raft.NodeID(1 + r.IntN(3))}}
		case f.Type() == reflect.TypeFor[time.Duration]():
			f.SetInt(1 + r.Int64N(int64(500*time.Millisecond)))
		case f.Kind() == reflect.Bool:
			f.SetBool(true)
		case f.Kind() == reflect.Int:
			f.SetInt(1 + r.Int64N(3))
		case f.Kind() == reflect.Uint64:
			f.SetUint(r.Uint64())
		case f.Type() == reflect.TypeFor[*bool]():
			f.Set(reflect.ValueOf(new(r.IntN(2) == 0)))
		}
	}
	return c
}

// TestCommandRepeats: what a report says repeats the run does, whatever its configuration holds.
func TestCommandRepeats(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	long := 0
	for range 60 {
		cfg := drawRun(t, r)
		first := sim.Run(cfg)
		second := repeat(t, first)
		if second.Trace != first.Trace || second.Steps != first.Steps || !reflect.DeepEqual(second.Config, first.Config) {
			t.Fatalf("%s\nshows another run: %+v\ninstead of:       %+v", first.Command(), second.Config, first.Config)
		}
		if again := second.Command(); again != first.Command() {
			t.Errorf("%s\nbecomes\n%s", first.Command(), again)
		}
		if strings.Contains(first.Command(), "--config") && first.Steps > 100 {
			long++
		}
	}
	if long < 20 {
		t.Errorf("only %d runs that flags alone do not repeat", long)
	}
}

// TestCommandIsShort: what the seed draws by itself is not said.
func TestCommandIsShort(t *testing.T) {
	for want, cfg := range map[string]sim.Config{
		"go run ./sim/soak replay --seed 7":                                            {Seed: 7},
		"go run ./sim/soak replay --seed 7 --salt 2 --liveness --clients 1 --only=3,5": {Seed: 7, Salt: 2, Liveness: true, Clients: 1, Only: []int{3, 5}},
		"go run ./sim/soak replay --seed 7 --clients -1 --only=":                       {Seed: 7, Clients: -1, Only: []int{}},
		`go run ./sim/soak replay --seed 7 --config '{"Broken":[{"From":1,"To":2}],"Quiet":true}'`: {
			Seed: 7, Quiet: true, Broken: []sim.Link{{From: 1, To: 2}}},
	} {
		if got := (&sim.Report{Config: cfg}).Command(); got != want {
			t.Errorf("%s\nwant\n%s", got, want)
		}
	}
}

// TestConfigRefused: a command that lost a part of its JSON shows no other run.
func TestConfigRefused(t *testing.T) {
	c := command(func(sim.Config) *sim.Report { t.Error("it ran"); return &sim.Report{} })
	var said bytes.Buffer
	c.SetArgs([]string{"replay", "--seed", "7", "--config", `{"Quiet":tru`})
	c.SetOut(&said)
	if err := c.Execute(); err == nil || !strings.Contains(err.Error(), "not a Config") {
		t.Error(err)
	}
}
