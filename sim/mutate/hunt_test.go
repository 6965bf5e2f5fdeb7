package main

import (
	"fmt"
	"testing"

	"github.com/troupe-raft/troupe/sim"
)

// TestHuntReadsReports: what the hunt looks for is what a report says.
func TestHuntReadsReports(t *testing.T) {
	r := &sim.Report{Config: sim.Config{Seed: 7}, Violation: &sim.Violation{Property: "p", Detail: "d"}}
	said := fmt.Sprintf("seeds from 1 on, mode both\n  10s  2 runs\n\n%v\n  counted 3\n", r)
	m := violated.FindStringSubmatch(said)
	if m == nil || m[1] != "7" || m[2] != r.Violation.Error() {
		t.Errorf("read %q from\n%s", m, said)
	}
	r.Violation = nil
	if m := violated.FindStringSubmatch(fmt.Sprint(r)); m != nil {
		t.Errorf("read %q of a run that went well", m)
	}
}
