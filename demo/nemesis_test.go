package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/troupe-raft/troupe/demo/api"
)

// lookTimeout bounds one question about how a node is, which may be stopped.
const lookTimeout = 500 * time.Millisecond

// looker asks nodes how they are. It keeps no connections, since nodes come and go.
var looker = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: lookTimeout}

// look asks one node for JSON. body nil: with GET.
func (s *site) look(i int, path string, body, out any) error {
	method, text := http.MethodGet, []byte(nil)
	if body != nil {
		var err error
		if text, err = json.Marshal(body); err != nil {
			return err
		}
		method = http.MethodPost
	}
	r, err := http.NewRequestWithContext(s.t.Context(), method, "http://"+s.http[i]+path, bytes.NewReader(text))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/json")
	res, err := looker.Do(r)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("node %d answers %s with %s", i+1, path, res.Status)
	}
	return json.NewDecoder(res.Body).Decode(out)
}

// converge waits until all nodes have applied the same log, and demands that each one holds what is wanted by itself.
func (s *site) converge(want map[string]string) {
	s.t.Helper()
	var seen []api.Status
	eventually(s.t, "all nodes have applied the same", func() bool {
		seen = seen[:0]
		for i := range s.http {
			var status api.Status
			if s.look(i, "/v1/status", nil, &status) != nil {
				return false
			}
			seen = append(seen, status)
		}
		for _, n := range seen {
			if n.Applied != n.Last || n.Last != seen[0].Last || n.Term != seen[0].Term || n.Leader != seen[0].Leader || n.Leader == 0 {
				return false
			}
		}
		return true
	})
	for i := range s.http {
		var list api.List
		eventually(s.t, fmt.Sprintf("node %d lists its keys", i+1), func() bool {
			return s.look(i, "/v1/kv?read=stale&limit=1000", nil, &list) == nil
		})
		got := map[string]string{}
		for _, item := range list.Items {
			got[item.Key] = *item.Value
		}
		for _, key := range both {
			if got[key] != want[key] {
				s.t.Errorf("node %d ends with %d bytes of %s, %d were read", i+1, len(got[key]), key, len(want[key]))
			}
		}
		if len(got) != len(want) {
			s.t.Errorf("node %d ends with %d keys, there are %d", i+1, len(got), len(want))
		}
	}
}

// conditions are the letters that the kernel gives to what the process' threads do: T when stopped by a signal.
func (p *process) conditions() (letters string, err error) {
	pid := p.cmd.Process.Pid
	tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", pid))
	if err != nil {
		return "", err
	}
	for _, task := range tasks {
		stat, err := os.ReadFile(task)
		if err != nil {
			continue // a thread that has ended
		}
		_, rest, _ := strings.Cut(string(stat), ") ")
		letters += rest[:1]
	}
	if letters != "" {
		return letters, nil
	}
	out, err := exec.Command("ps", "-o", "state=", "-p", fmt.Sprint(pid)).Output() // where there is no /proc
	if err != nil || len(out) == 0 {
		return "", fmt.Errorf("ps: %q, %w", out, err)
	}
	return string(out[:1]), nil
}

func (p *process) stopped() bool {
	p.t.Helper()
	letters, err := p.conditions()
	if err != nil {
		p.t.Fatal(err)
	}
	return strings.Trim(letters, "T") == ""
}

func (p *process) signal(s os.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		p.t.Fatal(err)
	}
}

// pause stops the process in its tracks, all its threads.
func (p *process) pause() {
	p.t.Helper()
	stop, _ := stopSignals(p.t)
	p.signal(stop)
	eventually(p.t, "the process is stopped", p.stopped)
}

// resume lets a process go on that must have been stopped until now.
func (p *process) resume() {
	p.t.Helper()
	if !p.stopped() {
		p.t.Error("the process ran while it should have been stopped")
	}
	_, goOn := stopSignals(p.t)
	p.signal(goOn)
	eventually(p.t, "the process runs", func() bool { return !p.stopped() })
}

// A nemesis does harm to a site under load, and sees to it that it happened.
type nemesis struct {
	t    *testing.T
	site *site
	load *traffic
	rand *rand.Rand
	down map[int]bool // dead, stopped or cut off
}

func newNemesis(f *traffic, seed uint64) *nemesis {
	return &nemesis{t: f.t, site: f.site, load: f, rand: rand.New(rand.NewPCG(seed, 1<<32)), down: map[int]bool{}}
}

// breath is how many operations are to be answered between one thing and the next.
const breath = 60

// underLoad has clients ask so many processes, with some settings, while one fault after another strikes, and judges all that they were told.
func underLoad(t *testing.T, nodes int, settings string, faults func(*nemesis) []func()) {
	t.Helper()
	seed := newSeed(t)
	s := newSite(t, nodes, nodes, settings)
	var all []int
	for i := range nodes {
		all = append(all, i)
	}
	s.start(all...)
	s.ready(all...)
	f := s.traffic(seed, 6)
	n := newNemesis(f, seed)
	f.more(breath)
	for _, fault := range faults(n) {
		fault()
		f.more(breath)
	}
	f.judge()
}

func (n *nemesis) note(format string, args ...any) int64 {
	return n.load.rec.Note(fmt.Sprintf(format, args...))
}

// leader waits until a node that is up leads in a term above one, and returns it with its term.
func (n *nemesis) leader(above uint64) (leader int, term uint64) {
	n.t.Helper()
	eventually(n.t, fmt.Sprintf("there is a leader in a term above %d", above), func() bool {
		term = above
		for i := range n.site.http {
			var status api.Status
			if n.down[i] || n.site.look(i, "/v1/status", nil, &status) != nil {
				continue
			}
			if status.Role == "leader" && status.Term > term {
				leader, term = i, status.Term
			}
		}
		return term > above
	})
	return leader, term
}

// follower draws a node that is up and does not lead.
func (n *nemesis) follower() int {
	n.t.Helper()
	leader, _ := n.leader(0)
	for _, i := range n.rand.Perm(len(n.site.http)) {
		if i != leader && !n.down[i] {
			return i
		}
	}
	n.t.Fatal("no follower is up")
	return -1
}

// kill is kill -9, of several at once.
func (n *nemesis) kill(which ...int) {
	n.t.Helper()
	n.note("SIGKILL to nodes %v", ids(which))
	for _, i := range which {
		n.site.nodes[i].signal(syscall.SIGKILL)
	}
	for _, i := range which {
		p := n.site.nodes[i]
		p.kill()
		if s, ok := p.cmd.ProcessState.Sys().(syscall.WaitStatus); !ok || s.Signal() != syscall.SIGKILL {
			n.t.Errorf("node %d ended by itself: %v", i+1, p.cmd.ProcessState)
		}
		n.down[i] = true
	}
}

// restart starts what was killed.
func (n *nemesis) restart(which ...int) {
	n.t.Helper()
	n.note("start of nodes %v", ids(which))
	n.site.start(which...)
	n.up(which...)
}

// up waits for nodes that are well again.
func (n *nemesis) up(which ...int) {
	n.t.Helper()
	n.site.ready(which...)
	for _, i := range which {
		delete(n.down, i)
	}
	n.note("nodes %v are ready", ids(which))
}

func (n *nemesis) pause(which ...int) {
	n.t.Helper()
	n.note("SIGSTOP to nodes %v", ids(which))
	for _, i := range which {
		n.site.nodes[i].pause()
		n.down[i] = true
	}
}

func (n *nemesis) resume(which ...int) {
	n.t.Helper()
	n.note("SIGCONT to nodes %v", ids(which))
	for _, i := range which {
		n.site.nodes[i].resume()
	}
}

// disturb sets what happens to a node's Raft traffic.
func (n *nemesis) disturb(i int, chaos api.Chaos) {
	n.t.Helper()
	n.note("chaos at node %d: %+v", i+1, chaos)
	var out api.Chaos
	eventually(n.t, fmt.Sprintf("node %d takes its chaos", i+1), func() bool { return n.site.look(i, "/v1/chaos", chaos, &out) == nil })
	if out.Drop != chaos.Drop || len(out.Block) != len(chaos.Block) {
		n.t.Errorf("chaos at node %d: %+v", i+1, out)
	}
}

// cut takes a node's links to all others away.
func (n *nemesis) cut(i int) {
	n.t.Helper()
	var others []uint64
	for k := range n.site.http {
		if k != i {
			others = append(others, uint64(k+1))
		}
	}
	n.disturb(i, api.Chaos{Block: others})
	n.down[i] = true
}

// deposed waits until a node that led in a term knows of a later one.
func (n *nemesis) deposed(i int, term uint64) {
	n.t.Helper()
	eventually(n.t, fmt.Sprintf("node %d follows in a term above %d", i+1, term), func() bool {
		var status api.Status
		err := n.site.look(i, "/v1/status", nil, &status)
		return err == nil && status.Term > term
	})
}

func ids(which []int) (out []int) {
	for _, i := range which {
		out = append(out, i+1)
	}
	return out
}
