package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/troupe-raft/troupe/demo/client"
	"github.com/troupe-raft/troupe/raft"
)

// patience is how long tests wait for what must happen. It is generous: machines that test are busy.
const patience = time.Minute

var binary = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "troupe-test-")
	if err != nil {
		return "", err
	}
	built = filepath.Join(dir, "demo")
	args := append([]string{"build", "-o", built}, buildFlags...)
	if out, err := exec.Command("go", append(args, ".")...).CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, out)
	}
	return built, nil
})

func TestMain(m *testing.M) {
	status := m.Run()
	if built != "" {
		_ = os.RemoveAll(filepath.Dir(built))
	}
	os.Exit(status)
}

// buildFlags makes the processes watch for races when the tests do.
var buildFlags []string

// built is the binary, once a test has asked for it; binary alone sets it.
var built string

// A process is a demo that runs by itself.
type process struct {
	t      *testing.T
	cmd    *exec.Cmd
	lines  chan string // of stdout; closed at its end
	stderr transcript
	exited chan struct{}
}

// A transcript is what a process has written; it may be read while the process writes on.
type transcript struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (w *transcript) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.text.Write(p)
}

func (w *transcript) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.text.String()
}

// launch starts the demo. It is killed when the test ends, and what it logged is shown if the test failed.
func launch(t *testing.T, args ...string) *process {
	t.Helper()
	return launchTo(t, nil, args...)
}

// launchTo is launch with another place for stderr, unless that is nil.
func launchTo(t *testing.T, stderr io.Writer, args ...string) *process {
	t.Helper()
	return follow(t, stderr, exec.Command(demoBinary(t), args...), args)
}

// launchUnder is launch in a process that may have only so many files open.
func launchUnder(t *testing.T, files int, args ...string) *process {
	t.Helper()
	shell := []string{"-c", fmt.Sprintf(`ulimit -n %d && exec "$0" "$@"`, files), demoBinary(t)}
	return follow(t, nil, exec.Command("sh", append(shell, args...)...), args)
}

func demoBinary(t *testing.T) string {
	t.Helper()
	file, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	return file
}

// follow starts a command that is a demo with these arguments.
func follow(t *testing.T, stderr io.Writer, cmd *exec.Cmd, args []string) *process {
	t.Helper()
	p := &process{t: t, cmd: cmd, lines: make(chan string, 100), exited: make(chan struct{})}
	p.cmd.Stderr = &p.stderr
	if stderr != nil {
		p.cmd.Stderr = stderr
	}
	stdout, w := io.Pipe()
	p.cmd.Stdout = w
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(p.lines)
		for scanner := bufio.NewScanner(stdout); scanner.Scan(); {
			p.lines <- scanner.Text()
		}
	}()
	go func() {
		_ = p.cmd.Wait() // the status is in ProcessState
		w.Close()
		close(p.exited)
	}()
	t.Cleanup(func() {
		p.kill()
		if t.Failed() {
			t.Logf("%v wrote to stderr:\n%s", args, &p.stderr)
		}
	})
	return p
}

// kill is kill -9.
func (p *process) kill() {
	_ = p.cmd.Process.Kill() // it may have ended by itself
	<-p.exited
}

// line waits for a line of stdout that begins with a prefix.
func (p *process) line(prefix string) string {
	p.t.Helper()
	timeout := time.After(patience)
	for {
		select {
		case line, ok := <-p.lines:
			if !ok {
				p.t.Fatalf("no line %q before the end:\n%s", prefix, &p.stderr)
			}
			if strings.HasPrefix(line, prefix) {
				return line
			}
		case <-timeout:
			p.t.Fatalf("no line %q in time", prefix)
		}
	}
}

// status waits for the end and returns the exit status.
func (p *process) status(within time.Duration) int {
	p.t.Helper()
	select {
	case <-p.exited:
		return p.cmd.ProcessState.ExitCode()
	case <-time.After(within):
		p.t.Fatalf("did not end within %v", within)
		return -1
	}
}

// terminate sends a signal and wants a graceful end within five seconds.
func (p *process) terminate(s os.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		p.t.Fatal(err)
	}
	if status := p.status(5 * time.Second); status != exitOK {
		p.t.Errorf("exit status %d after %v:\n%s", status, s, &p.stderr)
	}
}

// ports returns addresses that were free a moment ago.
func ports(t *testing.T, n int) (addrs []string) {
	t.Helper()
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		addrs = append(addrs, l.Addr().String())
	}
	return addrs
}

// A site is a cluster of processes that one file describes.
type site struct {
	t     *testing.T
	dir   string
	file  string
	http  []string // of node i+1
	raft  []string
	nodes []*process

	scheme string // of the nodes' HTTP
}

// newSite writes a file for nodes on free ports; those beyond founders join later. settings come first in the file.
func newSite(t *testing.T, nodes, founders int, settings string) *site {
	t.Helper()
	dir := t.TempDir()
	free := ports(t, 2*nodes)
	s := &site{t: t, dir: dir, file: filepath.Join(dir, "cluster.toml"), http: free[:nodes], raft: free[nodes:], nodes: make([]*process, nodes), scheme: "http"}
	if strings.Contains(settings, "http_cert") {
		s.scheme = "https"
	}
	text := fmt.Sprintf("data = %q\n%s\n", filepath.Join(dir, "data"), settings)
	for i := range nodes {
		text += fmt.Sprintf("[[node]]\nid = %d\nraft = %q\nhttp = %q\njoin = %t\n", i+1, s.raft[i], s.http[i], i >= founders)
	}
	if err := os.WriteFile(s.file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return s
}

// start launches nodes, by index, and waits for their ready lines.
func (s *site) start(which ...int) {
	s.t.Helper()
	for _, i := range which {
		s.nodes[i] = launch(s.t, "node", "--config", s.file, "--id", fmt.Sprint(i+1))
	}
	for _, i := range which {
		want := fmt.Sprintf("ready node=%d http=%s://%s resp=- raft=%s", i+1, s.scheme, s.http[i], s.raft[i])
		if got := s.nodes[i].line("ready"); got != want {
			s.t.Errorf("got %q, want %q", got, want)
		}
	}
}

// ready waits until nodes know a leader and have caught up.
func (s *site) ready(which ...int) {
	s.t.Helper()
	for _, i := range which {
		eventually(s.t, fmt.Sprintf("node %d is ready", i+1), func() bool { return fetch("http://"+s.http[i]+"/readyz") == http.StatusOK })
	}
}

// client talks to some of the nodes, the first one first.
func (s *site) client(which ...int) *client.Client {
	s.t.Helper()
	cfg := client.Config{Timeout: patience}
	for _, i := range which {
		cfg.Addrs = append(cfg.Addrs, s.http[i])
	}
	c, err := client.New(cfg)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = c.Close(ctx) // the cluster may be down
	})
	return c
}

// leader is the index of the node that leads, as node i knows it.
func (s *site) leader(i int) int {
	s.t.Helper()
	leader := 0
	eventually(s.t, "there is a leader", func() bool {
		status, err := s.client(i).Status(s.t.Context())
		leader = int(status.Leader)
		return err == nil && raft.NodeID(leader) != raft.None
	})
	return leader - 1
}

func fetch(url string) int {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, "GET", url, nil)
	if err != nil {
		return 0
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		return 0
	}
	res.Body.Close()
	return res.StatusCode
}

// eventually polls until a condition holds, for as long as patience lasts.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	deadline := time.Now().Add(patience)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		if time.Now().After(deadline) {
			t.Fatalf("never true: %s", what)
		}
		<-tick.C
	}
}

var graceful = syscall.SIGTERM
