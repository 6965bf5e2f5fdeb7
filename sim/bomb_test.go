package sim

import (
	"fmt"
	"slices"
	"testing"
	"time"
)

// TestPanicsAnywhere lets each kind of actor panic again and again under the usual faults: at messages of its own package and of others', before
// its handler began and in its midst.
func TestPanicsAnywhere(t *testing.T) {
	hears := []string{"actors.replica", "heartbeat.pulser", "persister.persister", "replication.syncer"} // of other packages
	for _, victim := range victims {
		var configs []Config
		for seed := range uint64(8) {
			cfg := Config{Seed: 3000 + seed, Nodes: 3, Length: 4 * time.Second, Every: 100 * time.Millisecond, Liveness: seed%2 == 1}
			cfg.Faults = cfg.withDefaults().Plan()
			for i := range 24 {
				at := time.Duration(i+1) * cfg.Length / 25
				cfg.Faults = append(cfg.Faults, Fault{At: at, Kind: Panic, A: cfg.ids()[i%3], In: victim, N: 1 + i/3%4, Amid: i % 4})
			}
			configs = append(configs, cfg)
		}
		all := map[string]int{}
		for _, r := range each(configs) {
			complain(t, r)
			for k, v := range r.Counts {
				all[k] += v
			}
		}
		want := []string{"amid %s", "in %s", "in %s at a message of its own"}
		if slices.Contains(hears, victim) {
			want = append(want, "in %s at another package's message")
		}
		for _, what := range want {
			what = "panic " + fmt.Sprintf(what, victim)
			t.Logf("%s: %d", what, all[what])
			if all[what] == 0 {
				t.Errorf("%q never happened in %d runs", what, len(configs))
			}
		}
	}
}
