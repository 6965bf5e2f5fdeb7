package main

import (
	"bytes"
	"context"
	"strings"
	"testing"

	"github.com/troupe-raft/troupe/sim/exit"
	"github.com/troupe-raft/troupe/sim/model"
)

func try(args ...string) (status int, out, err string) {
	var stdout, stderr bytes.Buffer
	status = run(context.Background(), args, &stdout, &stderr)
	return status, stdout.String(), stderr.String()
}

func TestCheck(t *testing.T) {
	status, out, errs := try("--scope", "remove", "--scope", "snapshots")
	if status != exit.OK || errs != "" || strings.Count(out, "\n") != 4 || !strings.HasPrefix(out, "remove ") || !strings.Contains(out, "holds in every state") {
		t.Errorf("status %d\n%s%s", status, out, errs)
	}
	for _, args := range [][]string{{"--scope", "nothing"}, {"--jobs", "0"}, {"--what"}, {"more"}} {
		if status, out, errs := try(args...); status != exit.Usage || !strings.HasPrefix(errs, "check: ") {
			t.Errorf("%v: status %d\n%s%s", args, status, out, errs)
		}
	}
}

// Figures that are not the known ones fail the check.
func TestOtherFigures(t *testing.T) {
	s, err := choose(model.Quick(), []string{"remove"})
	if err != nil {
		t.Fatal(err)
	}
	s[0].Golden.States++
	var out bytes.Buffer
	if err := check(&out, s, 1); err != exit.ErrFound || !strings.Contains(out.String(), "OTHER FIGURES") || strings.Contains(out.String(), "every state") {
		t.Errorf("%v\n%s", err, &out)
	}
}

// A property that does not hold fails the check, and the way there is told.
func TestBroken(t *testing.T) {
	v := &model.Violation{Property: "Election Safety", Detail: "two lead", Trace: []string{"  1  1 loses patience"}}
	var out bytes.Buffer
	if !report(&out, model.Scope{Name: "one"}, model.Report{Violation: v}) || !strings.Contains(out.String(), "BROKEN: Election Safety: two lead") ||
		!strings.Contains(out.String(), "1 loses patience") {
		t.Errorf("%s", &out)
	}
}
