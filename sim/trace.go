package sim

import (
	"fmt"
	"io"
	"reflect"
	"strings"

	"github.com/troupe-raft/troupe/stage"
)

// A trace condenses all that happens to one number, and writes it out for people who want to read it.
type trace struct {
	sum   uint64 // FNV-1a of everything
	out   io.Writer
	names map[reflect.Type]string
}

func newTrace(out io.Writer) *trace {
	return &trace{sum: 14695981039346656037, out: out, names: map[reflect.Type]string{}}
}

func (t *trace) byte(b byte) { t.sum = (t.sum ^ uint64(b)) * 1099511628211 }

func (t *trace) uint(v uint64) {
	for range 8 {
		t.byte(byte(v))
		v >>= 8
	}
}

func (t *trace) string(s string) {
	for i := range len(s) {
		t.byte(s[i])
	}
	t.byte(0xff)
}

func (t *trace) bytes(b []byte) {
	for _, c := range b {
		t.byte(c)
	}
}

// name is the type of a message, without the pointer.
func (t *trace) name(message any) string {
	if message == nil {
		return "timer"
	}
	typ := reflect.TypeOf(message)
	name, ok := t.names[typ]
	if !ok {
		name = strings.TrimPrefix(typ.String(), "*")
		t.names[typ] = name
	}
	return name
}

// delivery notes one step of the stage.
func (t *trace) delivery(d *stage.Delivery) {
	name := t.name(d.Message)
	t.uint(d.Step)
	t.uint(uint64(d.At))
	t.string(d.Node)
	t.string(d.Actor)
	t.string(name)
	if t.out != nil {
		fmt.Fprintf(t.out, "%8d %12v %-8s %-10s %s\n", d.Step, d.At, d.Node, d.Actor, name)
	}
}

// note adds a line about something that is no delivery: a fault, a client's request, a check's view.
func (t *trace) note(format string, args ...any) {
	line := fmt.Sprintf(format, args...)
	t.string(line)
	if t.out != nil {
		fmt.Fprintf(t.out, "%35s%s\n", "", line)
	}
}
