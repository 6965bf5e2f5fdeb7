package history

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/anishathalye/porcupine"
)

// A Report says why a history is not linearizable.
type Report struct {
	Key       string
	Part      []Op   // operations that contradict each other by themselves, in the order of their calls
	Free      bool   // they do so whatever the key held before them; else the key was missing
	Total     int    // operations of the key in the whole history
	Undecided bool   // there were too many orders to try; Part is empty
	Notes     []Note // to be set by the caller: those between the first and the last operation are shown

	all []Op
}

func newReport(key string, ops []Op) *Report {
	s := &shortener{left: shortenTries}
	part := s.shortest(ops)
	return &Report{Key: key, Part: part, Free: s.free, Total: len(ops), all: ops}
}

// String is the report in words: one line an operation, with values shortened where they all begin alike.
func (r *Report) String() string {
	if r.Undecided {
		return fmt.Sprintf("key %q: no verdict on its %d operations", r.Key, r.Total)
	}
	var b strings.Builder
	held := "the key is missing before them"
	if r.Free {
		held = "the key may hold anything before them"
	}
	fmt.Fprintf(&b, "key %q is not linearizable. No order explains these %d of its %d operations; %s:\n", r.Key, len(r.Part), r.Total, held)
	common, last := commonStart(r.Part), r.last()
	show := func(v string) string { return abbreviate(v, common) }
	for _, line := range r.lines() {
		switch {
		case line.op == nil:
			fmt.Fprintf(&b, "  [%10d            ] -- %s\n", line.note.Time, line.note.Text)
		default:
			returned, mark := "    never", ""
			if !line.op.Unknown() {
				returned = fmt.Sprintf("%9d", line.op.Return)
			}
			if line.op == last {
				mark = "   <- no order explains this answer"
			}
			fmt.Fprintf(&b, "  [%10d, %s] client %d %s: %s%s\n", line.op.Call, returned, line.op.Client, line.op.Via, line.op.words(show), mark)
		}
	}
	return b.String()
}

// A line of a report is an operation or a note.
type line struct {
	time int64
	op   *Op
	note Note
}

func (r *Report) lines() (lines []line) {
	for i := range r.Part {
		lines = append(lines, line{time: r.Part[i].Call, op: &r.Part[i]})
	}
	if last := r.last(); last != nil {
		for _, n := range r.Notes {
			if n.Time >= r.Part[0].Call && n.Time <= last.Return {
				lines = append(lines, line{time: n.Time, note: n})
			}
		}
	}
	slices.SortStableFunc(lines, func(a, b line) int { return cmp.Compare(a.time, b.time) })
	return lines
}

// last is the operation whose answer was one too many: the one that returned last.
func (r *Report) last() (last *Op) {
	for i := range r.Part {
		if o := &r.Part[i]; !o.Unknown() && (last == nil || o.Return > last.Return) {
			last = o
		}
	}
	return last
}

// WriteHTML writes porcupine's picture of the key's whole history, in which all partial orders can be looked through, to a file.
func (r *Report) WriteHTML(path string) error {
	shown := r.all
	if last := r.last(); last != nil {
		shown = until(shown, last.Return) // what came later explains nothing, and takes long
	}
	_, info := porcupine.CheckOperationsVerbose(Model(), Operations(shown), drawTimeout)
	notes := make([]porcupine.Annotation, 0, len(r.Notes))
	for _, n := range r.Notes {
		notes = append(notes, porcupine.Annotation{Tag: "faults", Start: n.Time, Description: n.Text})
	}
	info.AddAnnotations(notes)
	return porcupine.VisualizePath(Model(), info, path)
}

const (
	drawTimeout = 2 * time.Second // for a picture: what is found by then is drawn

	longValue = 48 // bytes from which on a value is shortened
	valueEnd  = 40 // bytes of its end that stay
)

// commonStart is how all long values of some operations begin.
func commonStart(ops []Op) (common string) {
	first := true
	for i := range ops {
		for _, v := range []string{ops[i].Saw.Text, ops[i].Expect.Text, ops[i].Arg} {
			switch {
			case len(v) < longValue:
			case first:
				common, first = v, false
			default:
				n := 0
				for n < min(len(common), len(v)) && common[n] == v[n] {
					n++
				}
				common = common[:n]
			}
		}
	}
	return common
}

// abbreviate quotes a value. A long one loses the start that it shares with others, or its middle.
func abbreviate(v, common string) string {
	if len(v) < longValue {
		return fmt.Sprintf("%q", v)
	}
	cut := 0
	if strings.HasPrefix(v, common) {
		cut = max(len(common)-valueEnd/2, 0)
	}
	if rest := v[cut:]; len(rest) > 2*valueEnd {
		return fmt.Sprintf("(%d bytes)…%q…%q", len(v), rest[:valueEnd], rest[len(rest)-valueEnd:])
	}
	if cut == 0 {
		return fmt.Sprintf("%q", v)
	}
	return fmt.Sprintf("(%d bytes)…%q", len(v), v[cut:])
}
