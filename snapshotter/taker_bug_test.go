package snapshotter

import (
	"errors"
	"testing"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/troupe-raft/troupe/raft"
	"github.com/troupe-raft/troupe/stage"
)

// A mute context panics at the first message that is sent.
type mute struct{ actor.Context }

func (mute) Parent() *actor.PID   { return nil }
func (mute) Send(*actor.PID, any) { panic("injected") }

type taker struct{ outcomes []error }

func (k *taker) Resolve(_ raft.Index, _ []byte, err error) { k.outcomes = append(k.outcomes, err) }

// The snapshotter panics while it reports a snapshot that it took, or did not: whoever asked for it is answered when it leaves.
func TestPanicAmidTheReportLeavesNobodyWaiting(t *testing.T) {
	for name, m := range map[string]*written{"taken": {meta: metaAt(7)}, "failed": {err: errors.New("no")}} {
		var k taker
		s := &snapshotter{Config: Config{Stage: stage.NewSeeded(1), Log: quiet}, taking: true, takers: []Waiter{&k}}
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: no panic", name)
				}
			}()
			s.written(mute{}, m)
		}()
		s.leave()
		if len(k.outcomes) != 1 || !errors.Is(k.outcomes[0], ErrStopped) {
			t.Errorf("%s: answered %v", name, k.outcomes)
		}
	}
}
