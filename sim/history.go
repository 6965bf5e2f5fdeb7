package sim

import (
	"github.com/troupe-raft/troupe/demo/kv"
)

// What a call does.
const (
	opGet = iota
	opAppend
	opPut
	opCAS
	opDelete
)

// A call is one operation of a client as the world saw it. Times are steps of the stage.
type call struct {
	Client      int
	Kind        int
	Key, Value  string
	Expect      string // of a CAS, unless it wants the key missing
	Expects     bool
	From, Until uint64
	Known       bool // it ended with a result
	Result      kv.Result
	Got         string
	Found       bool
	dropped     bool // it certainly never happened
}

// A history is all calls of a run.
type history struct {
	calls []*call
	seen  map[string]string
	sim   *Sim
}

func newHistory(s *Sim) *history { return &history{seen: map[string]string{}, sim: s} }

func (h *history) begin(c *call, client int, step uint64) {
	c.Client, c.From = client, step
	h.calls = append(h.calls, c)
}

func (h *history) lastSeen(key string) (string, bool) {
	v, ok := h.seen[key]
	return v, ok
}

func (h *history) read(c *call, step uint64, value string, found bool) {
	c.Until, c.Known, c.Got, c.Found = step, true, value, found
	if found {
		h.seen[c.Key] = value
	}
}

func (h *history) wrote(c *call, step uint64, result []byte) {
	r, err := kv.DecodeResult(result)
	if err != nil || r.Fault != kv.OK {
		h.sim.check.fail("results are the state machine's", "a write of client %d was answered %q (%v)", c.Client, result, err)
		return
	}
	c.Until, c.Known, c.Result = step, true, r
}

func (h *history) drop(c *call)    { c.dropped = true }
func (h *history) abandon(c *call) {}

// ended counts the calls with a known end.
func (h *history) ended() (n int) {
	for _, c := range h.calls {
		if c.Known {
			n++
		}
	}
	return n
}
