package applier

import (
	"io"
	"runtime/debug"

	"github.com/troupe-raft/troupe/entry"
	"github.com/troupe-raft/troupe/raft"
)

// The user's calls. A panic in one is told apart from our own.

func (a *applier) callApply(e *entry.Entry) []byte {
	a.enter()
	defer a.named("Apply", e.Index)
	return a.machine.Apply(Command{Index: e.Index, Term: e.Term, Data: e.Data})
}

func (a *applier) callSnapshot() (func(io.Writer) error, error) {
	a.enter()
	defer a.named("Snapshot", a.applied.Index)
	return a.machine.Snapshot()
}

func (a *applier) callRestore(r io.Reader) error {
	a.enter()
	defer a.named("Restore", a.applied.Index)
	return a.machine.Restore(r)
}

func (a *applier) named(call string, index raft.Index) {
	a.exit()
	if v := recover(); v != nil {
		panic(&UserPanic{Call: call, Index: index, Value: v, Stack: debug.Stack()})
	}
}
