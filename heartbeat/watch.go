package heartbeat

import (
	"container/list"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/troupe-raft/troupe/raft"
)

// A watch knows which of the groups that this host leads have given a sign of life lately. A group whose actor is stuck in the middle of a
// turn loses its beats: its followers would wait for it for ever, since its node is alive. What comes from the group is a sign; one that
// has been silent for half of the limit is asked, and one that is silent for all of it has not taken a turn although asked.
//
// Its time is that in which ticks come in time. Where they come late the process was suspended, or the machine is short of CPU: that is no
// group's fault.
type watch struct {
	limit  time.Duration
	now    time.Duration
	quiet  *list.List // of *group, by the time of their last sign: nobody has asked them since
	probed *list.List // likewise: they were asked
}

func newWatch(limit time.Duration) watch {
	return watch{limit: limit, quiet: list.New(), probed: list.New()}
}

// An attention is what the watch keeps of a group.
type attention struct {
	id       raft.GroupID
	actor    *actor.PID // who is asked; nil: the group is not watched
	sign     time.Duration
	queue    *list.List // that it stands in; nil: none
	place    *list.Element
	withheld bool          // it lost its beats
	peers    []raft.NodeID // that get them again
}

// signed notes a sign of life.
func (w *watch) signed(g *group) {
	switch {
	case g.queue != w.quiet:
		w.forget(g)
	case g.sign == w.now: // it stands where it belongs
		return
	default:
		g.sign = w.now
		w.quiet.MoveToBack(g.place)
		return
	}
	if g.actor != nil && len(g.seats) > 0 { // without followers there is nobody to elect another
		g.sign = w.now
		w.put(g, w.quiet)
	}
}

func (w *watch) put(g *group, queue *list.List) { g.queue, g.place = queue, queue.PushBack(g) }

// forget takes a group out.
func (w *watch) forget(g *group) {
	if g.queue != nil {
		g.queue.Remove(g.place)
		g.queue, g.place = nil, nil
	}
}

// silent takes out the groups that have not answered, then those that are to be asked, which are still to answer.
func (w *watch) silent() (stuck, ask []*group) {
	for e := w.probed.Front(); e != nil && w.now-e.Value.(*group).sign >= w.limit; e = w.probed.Front() {
		g := e.Value.(*group)
		w.forget(g)
		stuck = append(stuck, g)
	}
	for e := w.quiet.Front(); e != nil && w.now-e.Value.(*group).sign >= w.limit/2; e = w.quiet.Front() {
		g := e.Value.(*group)
		w.forget(g)
		w.put(g, w.probed)
		ask = append(ask, g)
	}
	return stuck, ask
}

// look follows a tick. Late says by how much it came too late.
func (a *pulser) look(c actor.Context, late time.Duration) {
	if late < a.cfg.Interval {
		a.watch.now += a.cfg.Interval
	}
	stuck, ask := a.watch.silent()
	for _, g := range stuck {
		g.withheld = true
		a.register.vacate(g)
		a.cfg.Log.Warn("a group that leads gives no sign of life: its heartbeats are withheld", "group", uint64(g.id), "term", uint64(g.term))
		c.Send(c.Parent(), &Stalled{Group: g.id, Term: g.term})
	}
	for _, g := range ask {
		c.Send(g.actor, &Probe{Term: g.term})
	}
}

// signed notes a sign of life of a group. One that had lost its beats gets them again: what it says comes from its own turn, and should it
// be deposed by now its followers' answers tell it.
func (a *pulser) signed(c actor.Context, g *group) {
	if !g.withheld {
		a.watch.signed(g)
		return
	}
	g.withheld = false
	a.register.occupy(g)
	a.watch.signed(g)
	a.resumed(c, g)
	a.ask(c, g)
	a.setTimer(c)
}

func (a *pulser) resumed(c actor.Context, g *group) {
	a.cfg.Log.Info("the group is back: its heartbeats go on", "group", uint64(g.id), "term", uint64(g.term))
	c.Send(c.Parent(), &Resumed{Group: g.id, Term: g.term})
}
