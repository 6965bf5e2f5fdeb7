//go:build unix

package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestDocs runs the shell blocks of README.md and of this folder's, in their order, as somebody does who pastes them into terminals that were opened in a clean
// folder, and compares what is shown of their output with what comes. Each page has a network of its own, where the system and the user allow it, and
// else its ports are changed to free ones.
//
// The notation, which is invisible on the page but for the first two:
//
//	# → TEXT                               the line that the command before it prints; … in it stands for whatever differs
//	a text block right after a sh block    what the sh block prints, in this notation
//	<!-- first terminal -->                the next block runs in the first terminal, to whose foreground its last command belongs. The others run in the second
//	<!-- Ctrl-C in the first terminal -->  that
//	<!-- until it shows this -->           the next block is repeated until it prints what is shown: it only looks, or does what is done already
//	<!-- not run: REASON -->               the next block is not run
func TestDocs(t *testing.T) {
	for _, tool := range []string{"bash", "curl"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("what a reader needs, and tests do not: %v", err)
		}
	}
	demoBinary(t) // not among what a page waits for
	for _, page := range []string{"README.md", "demo/README.md"} {
		t.Run(page, func(t *testing.T) {
			t.Parallel()
			text, err := os.ReadFile(filepath.Join("..", page))
			if err != nil {
				t.Fatal(err)
			}
			pieces, err := readPage(string(text))
			if err != nil {
				t.Fatal(err)
			}
			newDesk(t).follow(page, pieces)
		})
	}
}

// A piece of a page is a block, with how it is to be run, or a Ctrl-C.
type piece struct {
	line      int // of the page
	ctrlC     bool
	first     bool
	repeated  bool
	notRun    string
	commands  []command
	shown     []string // by the text block after it
	withShown bool
}

// A command is what a shell reads as one, with the lines that it is shown to print.
type command struct {
	text  string
	shown []string
}

var (
	directive = regexp.MustCompile(`^<!-- (.*) -->$`)
	arrow     = regexp.MustCompile(`(?:^|\s+)# → (.*)$`)
)

// readPage finds the pieces of a page.
func readPage(text string) (pieces []piece, err error) {
	lines := strings.Split(text, "\n")
	var next piece // as comments have it
	for i := 0; i < len(lines); i++ {
		if m := directive.FindStringSubmatch(lines[i]); m != nil {
			reason, notRun := strings.CutPrefix(m[1], "not run: ")
			switch {
			case m[1] == "Ctrl-C in the first terminal":
				pieces = append(pieces, piece{line: i + 1, ctrlC: true})
			case m[1] == "first terminal":
				next.first = true
			case m[1] == "until it shows this":
				next.repeated = true
			case notRun:
				next.notRun = reason
			}
			continue
		}
		fence, ok := strings.CutPrefix(lines[i], "```")
		if !ok {
			continue
		}
		from := i + 1
		for i++; i < len(lines) && lines[i] != "```"; i++ {
		}
		block := lines[from:min(i, len(lines))]
		switch fence {
		case "bash", "shell", "console":
			return nil, fmt.Errorf("line %d: shell blocks are called sh here, so that they are run", from)
		case "sh":
			next.line = from
			if next.commands, err = readCommands(block); err != nil {
				return nil, fmt.Errorf("block at line %d: %w", from, err)
			}
			if i+1 < len(lines) && lines[i+1] == "```text" {
				from = i + 2
				for i = from; i < len(lines) && lines[i] != "```"; i++ {
				}
				next.shown, next.withShown = lines[from:i], true
			}
			pieces, next = append(pieces, next), piece{}
		}
	}
	if len(pieces) == 0 {
		return nil, errors.New("it has no shell blocks")
	}
	return pieces, nil
}

// readCommands divides a block where a shell has read a whole command.
func readCommands(block []string) (commands []command, err error) {
	text, shown := "", []string(nil)
	for _, line := range block {
		if m := arrow.FindStringSubmatch(line); m != nil {
			line, shown = strings.TrimSuffix(line, m[0]), append(shown, m[1])
		}
		if text == "" && (line == "" || strings.HasPrefix(line, "#")) {
			if len(shown) > 0 && len(commands) > 0 { // of the command before
				last := &commands[len(commands)-1]
				last.shown, shown = append(last.shown, shown...), nil
			}
			continue
		}
		text += line + "\n"
		if said, err := exec.Command("bash", "-n", "-c", text).CombinedOutput(); err != nil || len(said) > 0 {
			continue // a shell misses something yet
		}
		commands, text, shown = append(commands, command{text, shown}), "", nil
	}
	if text != "" {
		return nil, fmt.Errorf("no shell reads %q", text)
	}
	return commands, nil
}

// A desk is a clean folder with two terminals.
type desk struct {
	t             *testing.T
	dir, temp     string
	env           []string
	rewrite       func(string) string // of addresses
	first, second *terminal
}

func newDesk(t *testing.T) *desk {
	t.Helper()
	root := t.TempDir()
	d := &desk{t: t, dir: filepath.Join(root, "checkout"), temp: filepath.Join(root, "temp"), rewrite: func(s string) string { return s }}
	tools := filepath.Join(root, "tools")
	for _, dir := range []string{d.dir, d.temp, tools} {
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	wrap := ""
	if err := ownNetwork(); err != nil {
		t.Logf("ports are changed to free ones: no network of its own: %v", err)
		wrap = d.freePorts()
	}
	d.goOfTests(tools, wrap)
	d.env = append(os.Environ(), "PATH="+tools+":"+os.Getenv("PATH"), "TMPDIR="+d.temp, "TROUPE_LOG=", "NO_PROXY=*", "no_proxy=*", "CURL_HOME="+tools)
	d.first, d.second = d.open("first"), d.open("second")
	return d
}

// goOfTests puts a go in the way that builds nothing but the demo, and has that from the other tests, which have built it from the same sources. It is behind
// wrap, if any.
func (d *desk) goOfTests(tools, wrap string) {
	d.t.Helper()
	built := demoBinary(d.t)
	if wrap != "" {
		wrap, built = fmt.Sprintf("#!/bin/sh\nreal='%s'\n%s", built, wrap), filepath.Join(tools, "wrap")
	}
	script := fmt.Sprintf("#!/bin/sh\n[ \"$*\" = 'build -o troupe ./demo' ] && exec cp '%s' troupe\nexit 99\n", built)
	for name, text := range map[string]string{"go": script, "wrap": wrap, ".curlrc": "silent\nshow-error\n"} {
		if err := os.WriteFile(filepath.Join(tools, name), []byte(text), 0o700); err != nil {
			d.t.Fatal(err)
		}
	}
}

// freePorts has a page's addresses changed, and returns what a script does that stands for the demo, so that its defaults are, too.
func (d *desk) freePorts() string {
	d.t.Helper()
	const each = 4
	var changes []string
	first := map[string]string{}
	for _, base := range []int{7000, 7010, 7020, 8000, 8010, 8020} {
		free := portsInARow(d.t, each)
		first[fmt.Sprint(base)] = fmt.Sprintf("127.0.0.1:%d", free)
		for i := range each {
			for _, host := range []string{"127.0.0.1", "localhost"} {
				changes = append(changes, fmt.Sprintf("%s:%d", host, base+1+i), fmt.Sprintf("%s:%d", host, free+i))
			}
		}
	}
	d.rewrite = strings.NewReplacer(changes...).Replace
	return fmt.Sprintf(`case "$1" in
ctl) shift; exec "$real" ctl --addr %[1]s "$@" ;;
node) exec "$real" "$@" ;;
cluster) shift ;;
esac
exec "$real" cluster --http %[1]s --raft %[2]s --resp= "$@"
`, first["8000"], first["7000"])
}

// portsInARow returns the first of so many ports beside each other that were free a moment ago.
func portsInARow(t *testing.T, n int) int {
	t.Helper()
	base, l := lastInUse(t, n)
	l.Close()
	_, port, _ := net.SplitHostPort(base)
	var first int
	fmt.Sscan(port, &first)
	return first
}

// open starts a shell. It is killed, with all that it started, when the test ends.
func (d *desk) open(name string) *terminal {
	d.t.Helper()
	cmd := exec.Command("bash", "--norc", "--noprofile", "-s")
	cmd.Dir, cmd.Env, cmd.SysProcAttr = d.dir, d.env, &syscall.SysProcAttr{Setpgid: true}
	in, w, err := os.Pipe()
	if err != nil {
		d.t.Fatal(err)
	}
	cmd.Stdin = in
	p := follow(d.t, nil, cmd, []string{"the", name, "terminal"})
	in.Close()
	d.t.Cleanup(func() { // before the shell itself is killed, which has to have its group
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // it may have ended
		w.Close()
	})
	return &terminal{process: p, in: w, rewrite: d.rewrite}
}

// follow does what a page says.
func (d *desk) follow(page string, pieces []piece) {
	d.t.Helper()
	for _, p := range pieces {
		where := fmt.Sprintf("%s:%d", page, p.line)
		switch {
		case p.notRun != "":
			d.t.Logf("%s: not run: %s", where, p.notRun)
		case p.ctrlC:
			d.first.interrupt()
		case p.first:
			d.first.foreground(where, p)
		default:
			d.second.paste(where, p)
		}
		if d.t.Failed() {
			return // what follows builds on it
		}
	}
	d.first.closed("at the end of " + page)
	d.second.closed("at the end of " + page)
	wantEmpty(d.t, d.temp)
	left, err := os.ReadDir(d.dir)
	if err != nil || len(left) != 1 || left[0].Name() != "troupe" {
		d.t.Errorf("%s leaves %v, %v", page, left, err)
	}
}

// A terminal is a shell that reads what is pasted.
type terminal struct {
	*process
	in       io.WriteCloser
	rewrite  func(string) string
	deadline time.Time // of what runs
	starts   int       // of each node in the background
}

func (s *terminal) write(text string) {
	s.t.Helper()
	if _, err := io.WriteString(s.in, text); err != nil {
		s.t.Fatal(err)
	}
}

// foreground pastes a block whose last command goes on, and waits until it has printed what is shown.
func (s *terminal) foreground(where string, p piece) {
	s.t.Helper()
	for _, c := range p.commands {
		s.write(s.rewrite(c.text))
	}
	for _, shown := range p.shown {
		if got, ok := s.next(); !ok || !same(s.rewrite(shown), got) {
			s.t.Fatalf("%s: printed %q (and went on: %v), shown is %q", where, got, ok, shown)
		}
	}
}

// interrupt is Ctrl-C, after which the shell takes commands again.
func (s *terminal) interrupt() {
	s.t.Helper()
	if err := syscall.Kill(-s.cmd.Process.Pid, syscall.SIGINT); err != nil {
		s.t.Fatal(err)
	}
	if got := s.run("true"); len(got) > 0 {
		s.t.Errorf("after Ctrl-C it printed %q", got)
	}
}
