package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/troupe-raft/troupe/demo/api"
	"github.com/troupe-raft/troupe/demo/client"
	"github.com/troupe-raft/troupe/sim/history"
)

var seedFlag = flag.Uint64("demo.seed", 0, "choose faults and operations of the tests under load by this seed; 0: by a fresh one")

// newSeed returns the seed of a test under load and prints it. The processes' own timing is beyond it.
func newSeed(t *testing.T) uint64 {
	seed := *seedFlag
	if seed == 0 {
		seed = rand.Uint64()
	}
	t.Logf("seed %d (-demo.seed)", seed)
	return seed
}

// Keys of the traffic. Those of lists are read and appended to, nothing else.
var (
	lists = []string{"log 0", "log 1", "log 2", "log 3"}
	mixed = []string{"mixed 0", "mixed 1", "mixed 2", "mixed 3", "mixed 4", "mixed 5"}
	both  = append(append([]string(nil), lists...), mixed...)
)

const (
	hasty    = 200 * time.Millisecond // after which an impatient client gives up
	settled  = 40                     // operations after which a client turns to other nodes, under another session
	parting  = time.Second            // for the end of a session, which may fail
	verdict  = 10_000_000             // tries of a checker to decide on one key
	linear   = "linearizable"
	lease    = "lease"
	minimum  = 300 // operations that must be answered in a test
	minKinds = 1   // of each kind
)

// A traffic is clients that ask a site mixed things, each one after the other, and the record of what they were told.
type traffic struct {
	t        *testing.T
	site     *site
	rec      *history.Recorder
	answered atomic.Int64
	words    atomic.Int64 // makes values unique
	stop     context.CancelFunc
	wg       sync.WaitGroup
}

// traffic starts clients. One of three is hasty: it leaves operations behind whose outcome it does not know.
func (s *site) traffic(seed uint64, clients int) *traffic {
	begun := time.Now()
	ctx, stop := context.WithCancel(s.t.Context())
	now := func() int64 { return time.Since(begun).Microseconds() }
	f := &traffic{t: s.t, site: s, rec: history.NewRecorder(now), stop: stop}
	for i := range clients {
		r := rand.New(rand.NewPCG(seed, uint64(i)))
		timeout := patience
		if i%3 == 2 {
			timeout = hasty
		}
		f.wg.Go(func() {
			for ctx.Err() == nil {
				f.visit(ctx, i, r, timeout)
			}
		})
	}
	s.t.Cleanup(f.end)
	return f
}

// end lets every client finish what it has begun.
func (f *traffic) end() {
	f.stop()
	f.wg.Wait()
}

// more waits until so many further operations are answered.
func (f *traffic) more(n int64) {
	f.t.Helper()
	goal := f.answered.Load() + n
	eventually(f.t, fmt.Sprintf("%d operations answered", goal), func() bool { return f.answered.Load() >= goal })
}

// dial returns a client of some nodes and how it is called in reports.
func (f *traffic) dial(timeout time.Duration, nodes ...int) (*client.Client, string) {
	cfg := client.Config{Timeout: timeout}
	names := make([]string, len(nodes))
	for n, i := range nodes {
		cfg.Addrs = append(cfg.Addrs, f.site.http[i])
		names[n] = fmt.Sprint(i + 1)
	}
	c, err := client.New(cfg)
	if err != nil {
		f.t.Error(err)
	}
	return c, "at " + strings.Join(names, ",")
}

// visit asks some nodes in a drawn order for a while, or until ctx ends. The operation under way is finished, unless the test is over.
func (f *traffic) visit(ctx context.Context, id int, r *rand.Rand, timeout time.Duration) {
	c, via := f.dial(timeout, r.Perm(len(f.site.http))...)
	defer func() {
		bye, cancel := context.WithTimeout(context.Background(), parting)
		defer cancel()
		_ = c.Close(bye) // an open session that nobody uses does no harm
	}()
	seen := map[string]history.Value{}
	for range settled {
		if ctx.Err() != nil {
			return
		}
		f.ask(f.t.Context(), c, f.draw(id, via, r, seen), pick(r, linear, lease), seen)
	}
}

func pick[T any](r *rand.Rand, from ...T) T { return from[r.IntN(len(from))] }

// draw makes an operation: half of them are appends, nearly half reads, the rest changes to mixed keys.
func (f *traffic) draw(id int, via string, r *rand.Rand, seen map[string]history.Value) history.Op {
	o := history.Op{Client: id, Via: via, Kind: history.Get, Key: pick(r, both...)}
	roll := r.IntN(100)
	if roll >= 45 {
		o.Kind, o.Arg = history.Append, history.Token(id, int(f.words.Add(1)))
	}
	if roll < 90 {
		return o
	}
	o.Key = pick(r, mixed...)
	switch {
	case roll < 95:
		o.Kind = history.Put
	case roll < 98:
		o.Kind, o.Expect = history.CAS, seen[o.Key]
	default:
		o.Kind, o.Arg = history.Delete, ""
	}
	return o
}

// ask sends one operation and records what came of it. It reports whether there was an answer.
func (f *traffic) ask(ctx context.Context, c *client.Client, o history.Op, read string, seen map[string]history.Value) bool {
	if o.Kind == history.Get {
		o.Via += ", " + read
	}
	call := f.rec.Begin(o)
	tell, err := send(ctx, c, o, read)
	var said *client.Error
	switch {
	case err == nil:
		call.Answer(tell)
		f.answered.Add(1)
		if seen != nil {
			tell(&o)
			seen[o.Key] = o.Saw
		}
		return true
	case errors.As(err, &said) && said.Outcome != api.Refused:
		call.Unknown()
	default: // refused, or never reached any node
		call.Failed()
	}
	return false
}

// send does an operation and returns what its answer adds to it.
func send(ctx context.Context, c *client.Client, o history.Op, read string) (tell func(*history.Op), err error) {
	switch o.Kind {
	case history.Get:
		out, err := c.Get(ctx, o.Key, read)
		if client.IsNotFound(err) {
			return func(o *history.Op) { o.Saw = history.Missing }, nil
		}
		return func(o *history.Op) { o.Saw = history.Some(out.Value) }, err
	case history.Put:
		_, err := c.Put(ctx, o.Key, o.Arg)
		return func(o *history.Op) { o.Saw = history.Some(o.Arg) }, err
	case history.Append:
		out, err := c.Append(ctx, o.Key, o.Arg)
		return func(o *history.Op) { o.Saw = history.Some(*out.Value) }, err
	case history.CAS:
		var expect *string
		if o.Expect.Exists {
			expect = &o.Expect.Text
		}
		out, err := c.CAS(ctx, o.Key, expect, o.Arg)
		return func(o *history.Op) {
			o.Done = out.Swapped
			if out.Value != nil {
				o.Saw = history.Some(*out.Value)
			}
		}, err
	case history.Delete:
		out, err := c.Delete(ctx, o.Key)
		return func(o *history.Op) { o.Done = out.Deleted }, err
	default:
		return nil, fmt.Errorf("cannot send %v", &o)
	}
}

// judge ends the traffic, reads every key through every node, and demands that the whole history is linearizable, that
// every acknowledged append is there exactly once, and that all nodes end up with the same.
func (f *traffic) judge() {
	f.t.Helper()
	f.end()
	all := make([]int, len(f.site.http))
	for i := range all {
		all[i] = i
	}
	f.site.ready(all...)
	want := map[string]string{}
	for _, i := range all {
		c, via := f.dial(patience, i)
		defer c.Close(f.t.Context())
		for _, key := range both {
			o := history.Op{Client: 100 + i, Via: via + " at the end", Kind: history.Get, Key: key}
			seen := map[string]history.Value{}
			if !f.ask(f.t.Context(), c, o, linear, seen) {
				f.t.Errorf("node %d does not answer for %s at the end", i+1, key)
			}
			if seen[key].Exists {
				want[key] = seen[key].Text
			}
		}
	}
	f.site.converge(want)

	ops := f.rec.Ops()
	f.count(ops)
	var onlyLogs []history.Op
	for _, o := range ops {
		if strings.HasPrefix(o.Key, "log") {
			onlyLogs = append(onlyLogs, o)
		}
	}
	if err := history.AppendOnly(onlyLogs); err != nil {
		f.t.Error(err)
	}
	if result, report := history.Check(ops, verdict); result != porcupine.Ok {
		report.Notes = f.rec.Notes()
		f.t.Errorf("%v: %v", result, report)
		if err := report.WriteHTML(filepath.Join(f.t.ArtifactDir(), "history.html")); err != nil {
			f.t.Error(err)
		}
	}
	if f.t.Failed() {
		for _, n := range f.rec.Notes() {
			f.t.Logf("%10d %s", n.Time, n.Text)
		}
	}
}

// count demands that enough was answered to judge by.
func (f *traffic) count(ops []history.Op) {
	kinds, unknown, swapped := map[history.Kind]int{}, 0, 0
	for _, o := range ops {
		if o.Unknown() {
			unknown++
			continue
		}
		kinds[o.Kind]++
		if o.Kind == history.CAS && o.Done {
			swapped++
		}
	}
	f.t.Logf("answered %v, %d of the cas swapped; %d unknown", kinds, swapped, unknown)
	for _, kind := range []history.Kind{history.Get, history.Put, history.Append, history.CAS, history.Delete} {
		if kinds[kind] < minKinds {
			f.t.Errorf("only %d operations %v were answered", kinds[kind], kind)
		}
	}
	if n := f.answered.Load(); n < minimum {
		f.t.Errorf("only %d operations were answered", n)
	}
}
