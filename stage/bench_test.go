package stage

import (
	"sync"
	"testing"

	"github.com/asynkron/protoactor-go/actor"
)

// A rig makes actors the way under test.
type rig struct {
	system *actor.ActorSystem
	props  func(f actor.ReceiveFunc) *actor.Props
}

// onBoth runs a benchmark with protoactor's defaults and on a Live stage.
func onBoth(b *testing.B, f func(b *testing.B, r rig)) {
	b.Run("protoactor", func(b *testing.B) {
		f(b, rig{newSystem(), func(f actor.ReceiveFunc) *actor.Props { return actor.PropsFromFunc(f) }})
	})
	live := func(name string, opts ...Option) {
		b.Run(name, func(b *testing.B) {
			live := newLive(b)
			f(b, rig{newSystem(), func(f actor.ReceiveFunc) *actor.Props {
				return Props(live, func() actor.Actor { return f }, opts...)
			}})
		})
	}
	live("live")
	live("live-drained", WithDrained(0))
}

type ball struct{ left int }

func BenchmarkPingPong(b *testing.B) {
	onBoth(b, func(b *testing.B, r rig) {
		done := make(chan struct{})
		var pids [2]*actor.PID
		for i := range pids {
			pids[i] = r.system.Root.Spawn(r.props(func(ctx actor.Context) {
				if m, ok := ctx.Message().(*ball); ok {
					if m.left--; m.left < 0 {
						close(done)
						return
					}
					ctx.Send(pids[1-i], m)
				}
			}))
		}
		b.ReportAllocs()
		b.ResetTimer()
		r.system.Root.Send(pids[0], &ball{2 * b.N})
		<-done
	})
}

func BenchmarkPipelineOf5(b *testing.B) {
	onBoth(b, func(b *testing.B, r rig) {
		done := make(chan struct{}, 1)
		var first, next *actor.PID
		for range 5 {
			to := next
			first = r.system.Root.Spawn(r.props(func(ctx actor.Context) {
				if m, ok := ctx.Message().(*ball); ok {
					if to == nil {
						done <- struct{}{}
						return
					}
					ctx.Send(to, m)
				}
			}))
			next = first
		}
		m := &ball{}
		b.ReportAllocs()
		b.ResetTimer()
		for range b.N {
			r.system.Root.Send(first, m)
			<-done
		}
	})
}

func BenchmarkFanInOf4(b *testing.B) {
	onBoth(b, func(b *testing.B, r rig) {
		const senders = 4
		done := make(chan struct{})
		got, want := 0, (b.N/senders+1)*senders
		pid := r.system.Root.Spawn(r.props(func(ctx actor.Context) {
			if _, ok := ctx.Message().(*ball); ok {
				if got++; got == want {
					close(done)
				}
			}
		}))
		b.ReportAllocs()
		b.ResetTimer()
		var sending sync.WaitGroup
		for range senders {
			sending.Go(func() {
				m := &ball{}
				for range want / senders {
					r.system.Root.Send(pid, m)
				}
			})
		}
		sending.Wait()
		<-done
	})
}

type question struct{ answer chan struct{} }

func BenchmarkRequestReply(b *testing.B) {
	onBoth(b, func(b *testing.B, r rig) {
		pid := r.system.Root.Spawn(r.props(func(ctx actor.Context) {
			if m, ok := ctx.Message().(*question); ok {
				m.answer <- struct{}{}
			}
		}))
		m := &question{make(chan struct{}, 1)}
		b.ReportAllocs()
		b.ResetTimer()
		for range b.N {
			r.system.Root.Send(pid, m)
			<-m.answer
		}
	})
}

func BenchmarkRequestReply64(b *testing.B) {
	onBoth(b, func(b *testing.B, r rig) {
		pid := r.system.Root.Spawn(r.props(func(ctx actor.Context) {
			if m, ok := ctx.Message().(*question); ok {
				m.answer <- struct{}{}
			}
		}))
		b.SetParallelism(32)
		b.ReportAllocs()
		b.ResetTimer()
		b.RunParallel(func(pb *testing.PB) {
			m := &question{make(chan struct{}, 1)}
			for pb.Next() {
				r.system.Root.Send(pid, m)
				<-m.answer
			}
		})
	})
}

func BenchmarkSeededStep(b *testing.B) {
	s, system := NewSeeded(1), newSystem()
	var pids [8]*actor.PID
	for i := range pids {
		pids[i] = system.Root.Spawn(Props(s, receiver(func(ctx actor.Context) {
			if m, ok := ctx.Message().(*ball); ok {
				ctx.Send(pids[(i+1)%len(pids)], m)
			}
		})))
	}
	s.Run(nil, 100)
	for _, pid := range pids {
		system.Root.Send(pid, &ball{})
	}
	b.ReportAllocs()
	b.ResetTimer()
	for range b.N {
		s.Step()
	}
}
