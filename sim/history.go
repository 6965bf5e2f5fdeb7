package sim

import (
	"github.com/anishathalye/porcupine"

	"github.com/troupe-raft/troupe/demo/kv"
	"github.com/troupe-raft/troupe/sim/history"
)

// A record is all that the clients of a run asked and were told. Times are steps of the stage.
type record struct {
	sim     *Sim
	calls   []*history.Op
	bursts  []*history.Op        // apart: they are too many at once for porcupine
	dropped map[*history.Op]bool // they certainly never happened
	seen    map[string]string    // what was last read of a key
	ended   int

	unjudged string // why it could not be judged
}

func newRecord(s *Sim) *record {
	return &record{sim: s, dropped: map[*history.Op]bool{}, seen: map[string]string{}}
}

func (r *record) now() int64 { return int64(r.sim.stage.Steps()) }

func (r *record) begin(c *history.Op) {
	c.Call, c.Return = r.now(), history.Never
	r.calls = append(r.calls, c)
}

func (r *record) read(c *history.Op, value string, found bool) {
	c.Return, c.Saw = r.now(), history.Missing
	r.ended++
	if found {
		c.Saw = history.Some(value)
		r.seen[c.Key] = value
	}
}

// wrote decodes a write's answer. Answers of appends that did not ask for the whole value say nothing of it.
func (r *record) wrote(c *history.Op, answer []byte) {
	res, err := kv.DecodeResult(answer)
	if err != nil || res.Fault != kv.OK {
		r.sim.check.fail("results are the state machine's", "%v of client %d was answered %q (%v)", c, c.Client, answer, err)
		return
	}
	r.ended++
	c.Return, c.Done = r.now(), res.Done
	switch {
	case res.Value != nil:
		c.Saw = history.Some(string(res.Value))
	case c.Kind == history.Append:
		c.Blind = true
	}
}

func (r *record) drop(c *history.Op) { r.dropped[c] = true }

// judgement bounds what may be tried to explain one key: thousands of times what the runs of a soak need.
const judgement = 2_000_000

// judge holds what the clients were told against one copy of the state machine: linearizability.
func (s *Sim) judge() {
	s.judgeBursts()
	ops := make([]history.Op, 0, len(s.record.calls))
	for _, c := range s.record.calls {
		if !s.record.dropped[c] {
			ops = append(ops, *c)
		}
	}
	switch result, report := history.Check(ops, judgement); result {
	case porcupine.Illegal:
		s.check.fail("linearizability", "%v", report)
	case porcupine.Unknown:
		s.record.unjudged = report.String()
	}
}
