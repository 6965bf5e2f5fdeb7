package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"regexp"
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

// What is told says nothing of the packages that it comes from.
func TestErrorsWithoutPackages(t *testing.T) {
	for text, want := range map[string]string{
		"persister: data/1: is damaged":                                "data/1: is damaged",
		"node 1: actors: stopped: persister: remote: the disk is full": "node 1: stopped: the disk is full",
		"a\nraft: b":                         "a; b",
		"http: listen tcp 1.2.3.4:5: in use": "http: listen tcp 1.2.3.4:5: in use",
	} {
		if got := plainly(errors.New(text)); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
	levels, err := config.ParseLevels("")
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	queue := logs.NewQueue(0)
	loggers(&out, queue, levels)(7)("remote").Warn("no connection", "err", fmt.Errorf("remote: %w", errors.New("the peer is gone")))
	if err := queue.Flush(t.Context()); err != nil || !strings.HasSuffix(out.String(), "level=WARN msg=\"no connection\" module=remote err=\"the peer is gone\"\n") {
		t.Errorf("%v %s", err, &out)
	}
}

var (
	quoted = regexp.MustCompile(`"(?:[^"\\]|\\.)*"`)
	keys   = regexp.MustCompile(` ([a-z_.]+)=`)
	line   = regexp.MustCompile(`^time=\S+ level=(DEBUG|INFO|WARN|ERROR) msg=.* module=[a-z]+ ?`)
)

// All that nodes log has one form, and tells each thing once: whoever sets election=debug sees the votes, and the last node to be stopped complains of nothing.
func TestLogLines(t *testing.T) {
	s := newSite(t, 3, 3, `log = "debug"`)
	s.start(0, 1, 2)
	s.ready(0, 1, 2)
	first := s.leader(0)
	others := []int{(first + 1) % 3, (first + 2) % 3}
	killed := s.nodes[first]
	killed.kill()
	if _, err := s.client(others...).Put(t.Context(), "k", "v"); err != nil {
		t.Fatal(err)
	}
	s.start(first)
	s.ready(0, 1, 2)
	processes := []*process{killed}
	for _, p := range s.nodes {
		p.terminate(os.Interrupt)
		processes = append(processes, p)
	}
	var all strings.Builder
	for i, p := range processes {
		for text := range strings.Lines(strings.TrimSpace(p.stderr.String()) + "\n") {
			if i == 0 && !strings.Contains(text, " module=") {
				continue // where it was killed
			}
			oneForm(t, text)
		}
		all.WriteString(p.stderr.String())
	}
	for _, want := range []string{
		`msg="votes asked for" module=election node=`, " prevote=true ", `msg="vote granted" module=election node=`, " candidate_last.index=", " own_last.term=",
		`msg="vote received" module=election node=`, " role=precandidate ", " role=candidate ", " role=leader ",
	} {
		if !strings.Contains(all.String(), want) {
			t.Errorf("nowhere: %s", want)
		}
	}
	if strings.Contains(all.String(), "leadership was not passed on") {
		t.Error("the last node had nobody to pass leadership on to, and says that it did not")
	}
}

// oneForm finds fault with a line of the log.
func oneForm(t *testing.T, text string) {
	t.Helper()
	if !line.MatchString(text) || strings.Contains(text, "\x1b") {
		t.Errorf("of another form: %s", text)
	}
	seen := map[string]bool{}
	for _, key := range keys.FindAllStringSubmatch(quoted.ReplaceAllString(text, `""`), -1) {
		if seen[key[1]] {
			t.Errorf("%s twice: %s", key[1], text)
		}
		seen[key[1]] = true
	}
	if _, rest, ok := strings.Cut(text, " addr="); ok {
		if addr := strings.Fields(rest)[0]; strings.Count(text, addr) > 1 {
			t.Errorf("%s twice: %s", addr, text)
		}
	}
	if strings.Contains(text, "remote: ") || strings.Contains(text, "persister: ") {
		t.Errorf("of a package: %s", text)
	}
}
