package snapshotter

import (
	"fmt"
	"runtime/debug"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/troupe-raft/troupe/stage"
)

// A job is long work with files or user code. Its result, or what fail makes of a panic, goes to the snapshotter.
type job struct {
	run  func() any
	fail func(error) any
}

// A worker does one job on its own turn and ends. Workers are children, so that the snapshotter has not stopped before they have.
type worker struct{}

func (worker) Receive(c actor.Context) {
	if m, ok := c.Message().(*job); ok {
		c.Send(c.Parent(), m.do())
		c.Stop(c.Self())
	}
}

func (m *job) do() (result any) {
	defer func() {
		if v := recover(); v != nil {
			result = m.fail(fmt.Errorf("panic: %v\n%s", v, debug.Stack()))
		}
	}()
	return m.run()
}

func (s *snapshotter) work(c actor.Context, run func() any, fail func(error) any) {
	props := stage.Props(s.Stage, func() actor.Actor { return worker{} }, stage.WithLogger(s.Log))
	c.Send(c.Spawn(props), &job{run: run, fail: fail})
}
