//go:build unix

package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Commands that are pasted, and what is shown of what they print.

// paste gives a block's commands to the shell, one after the other, each when the one before has ended.
func (s *terminal) paste(where string, p piece) {
	s.t.Helper()
	for late := time.Now().Add(patience); ; {
		var all []string
		for _, c := range p.commands {
			s.beforeAll(c.text)
			got := s.run(c.text)
			all = append(all, got...)
			if len(c.shown) > 0 && !s.asShown(c.shown, got) {
				s.t.Errorf("%s: %s\tprinted %q\n\tshown is %q", where, c.text, got, c.shown)
				return
			}
		}
		if !p.withShown || s.asShown(p.shown, all) {
			return
		}
		if !p.repeated || time.Now().After(late) {
			s.t.Errorf("%s: printed\n%s\nshown is\n%s", where, strings.Join(all, "\n"), strings.Join(p.shown, "\n"))
			return
		}
	}
}

// beforeAll sees to it that nodes run which are about to be stopped: one that did not start could not be told from one that was killed, and another cluster may
// answer in its place.
func (s *terminal) beforeAll(text string) {
	s.t.Helper()
	switch {
	case strings.Contains(text, " & "):
		s.starts++
	case strings.HasPrefix(text, "rm "):
		s.starts = 0
	case strings.HasPrefix(text, "kill "):
		logs, err := filepath.Glob(filepath.Join(s.cmd.Dir, "node*.log"))
		if err != nil || len(logs) == 0 {
			s.t.Fatalf("whom does it kill? %v, %v", logs, err)
		}
		for _, file := range logs {
			var failures int
			var log []byte
			eventually(s.t, "the node of "+file+" runs, or failed", func() bool {
				log, err = os.ReadFile(file)
				failures = len(failure.FindAll(log, -1))
				return err == nil && bytes.Count(log, []byte("ready node="))+failures >= s.starts
			})
			if failures > 0 {
				s.t.Errorf("%s: did not start: %s", filepath.Base(file), log)
			}
		}
	}
}

// failure is what a process says that ends with a status other than 0.
var failure = regexp.MustCompile(`(?m)^demo: `)

// ended is the line that says that a command has ended, and with which status.
const ended = "the command has ended: "

// run has a command run, and returns what it printed, without empty lines at the end.
func (s *terminal) run(text string) (printed []string) {
	s.t.Helper()
	s.deadline = time.Now().Add(2 * patience)
	s.write(s.rewrite(strings.TrimSuffix(text, "\n")) + "\nprintf '\\n" + ended + "%d\\n' $?\n")
	for {
		line, ok := s.next()
		if !ok {
			s.t.Fatalf("%s\thas not ended; it printed %q", text, printed)
		}
		if status, is := strings.CutPrefix(line, ended); is {
			if status != "0" {
				s.t.Errorf("%s\tended with status %s; it printed %q", text, status, printed)
			}
			for len(printed) > 0 && printed[len(printed)-1] == "" {
				printed = printed[:len(printed)-1]
			}
			return printed
		}
		printed = append(printed, line)
	}
}

// next is the next line that is printed; none when the shell ends, or nothing comes for long.
func (s *terminal) next() (string, bool) {
	if s.deadline.IsZero() {
		s.deadline = time.Now().Add(2 * patience)
	}
	timeout := time.NewTimer(time.Until(s.deadline))
	defer timeout.Stop()
	select {
	case line, ok := <-s.lines:
		return line, ok
	case <-timeout.C:
		return "", false
	}
}

// closed ends the shell, once nothing that it started runs any more: a page says how to stop it.
func (s *terminal) closed(when string) {
	s.t.Helper()
	s.run("wait")
	s.in.Close()
	if status := s.status(patience); status != 0 {
		s.t.Errorf("the shell ended with status %d", status)
	}
	if err := syscall.Kill(-s.cmd.Process.Pid, 0); err != syscall.ESRCH {
		s.t.Errorf("processes are left %s: %v", when, err)
	}
}

// asShown compares lines with those that are shown. Those have the indices of a run in which nobody but the first leader led: each further one adds an entry to
// the log, which may put later indices off by one.
func (s *terminal) asShown(shown, got []string) bool {
	s.t.Helper()
	if sameLines(s.rewriteAll(shown), got) {
		return true
	}
	for off := 1; off <= s.laterLeaders(); off++ {
		if sameLines(s.rewriteAll(raised(shown, off)), got) {
			return true
		}
	}
	return false
}

// laterLeaders counts those of the cluster in the first terminal by the entries that each of them begins with.
func (s *terminal) laterLeaders() int {
	s.t.Helper()
	log := strings.Join(s.run("curl -s 'localhost:8001/v1/log?from=1&to=1000'"), "\n")
	return strings.Count(log, `"kind":"noop"`) - 1
}

var shownIndex = regexp.MustCompile(`"index":\d+`)

func raised(shown []string, off int) (lines []string) {
	for _, line := range shown {
		lines = append(lines, shownIndex.ReplaceAllStringFunc(line, func(index string) string {
			n, err := strconv.Atoi(strings.TrimPrefix(index, `"index":`))
			if err != nil {
				panic(err) // digits they are
			}
			return fmt.Sprintf(`"index":%d`, n+off)
		}))
	}
	return lines
}

func (s *terminal) rewriteAll(lines []string) (out []string) {
	for _, line := range lines {
		out = append(out, s.rewrite(line))
	}
	return out
}

func sameLines(shown, got []string) bool { return slices.EqualFunc(shown, got, same) }

// same compares a line with one that is shown, where … stands for anything and columns may be wider.
func same(shown, got string) bool {
	parts := strings.Split(strings.Join(strings.Fields(shown), " "), "…")
	for i := range parts {
		parts[i] = regexp.QuoteMeta(parts[i])
	}
	pattern := regexp.MustCompile("^" + strings.Join(parts, ".*") + "$")
	return pattern.MatchString(strings.Join(strings.Fields(got), " "))
}
