package actors

import (
	"time"

	"github.com/troupe-raft/troupe/raft"
)

// User code may hang. A replica whose state machine does says so; one that leads is of no use to its clients, whatever its heartbeats say, and
// hands over (docs/decisions/0018).

// A progress is what a replica knows of how its state machine gets on.
type progress struct {
	since   time.Duration // nothing has been applied since, although it should
	run     uint64        // of the replica: a look that was set in an earlier one is void
	set     bool          // a look at the state machine is to come
	looked  time.Duration // the last one was
	goal    raft.Index    // what was committed at the first look since
	passed  time.Duration // when somebody who could lead was first seen to have applied that; never
	stalled time.Time     // Status.StalledSince
	led     time.Duration // when this replica began to lead, or last tried to hand over
	told    raft.Index    // what the rules know of
}

// never is no time that a clock shows.
const never time.Duration = -1

// looksWithin is how often within GroupConfig.ApplyStall a replica looks at its state machine, and how often its applier tells how far it has come.
const looksWithin = 4

func (c *GroupConfig) lookEvery() time.Duration { return max(c.ApplyStall/looksWithin, 0) }

// watchProgress follows a commit: the state machine, which may have been idle, has something to do. It sets a look at it, unless one is set.
func (r *replica) watchProgress(idle bool) {
	p := &r.progress
	if idle {
		p.since = r.now()
	}
	if !p.set && r.cfg.ApplyStall > 0 {
		r.setLook()
	}
}

func (r *replica) setLook() {
	r.progress.set = true
	r.wakeAfter(r.cfg.lookEvery(), &wake{progress: r.progress.run})
}

// progressTo notes how far the state machine has come.
func (r *replica) progressTo(index raft.Index) {
	p := &r.progress
	p.since = r.now()
	r.applied = max(r.applied, index)
	if !p.stalled.IsZero() {
		r.log.Info("the state machine has come back", "applied", uint64(r.applied), "stalled", r.clock.Wall().Sub(p.stalled))
		p.stalled = time.Time{}
		r.changed = true
	}
}

// lookAtProgress finds a state machine that is stuck, and has another lead.
func (r *replica) lookAtProgress(run uint64) {
	p := &r.progress
	if run != p.run || r.phase != running {
		return
	}
	p.set = false
	if r.applied >= r.commit.Index {
		return
	}
	if r.state.waits() { // there is nothing to apply to
		p.since = r.now()
		r.setLook()
		return
	}
	now, since := r.now(), p.looked
	p.looked = now
	if p.since >= since { // it got on since the last look
		p.goal, p.passed = r.commit.Index, never
	}
	to := r.node.Successor(p.goal)
	if p.passed == never && to != raft.None {
		p.passed = now
	}
	if stuck := now - p.since; stuck >= r.cfg.ApplyStall {
		r.stuckApply(to, now, stuck)
	}
	r.setLook()
}

// stuckApply says that the state machine is stuck and has another lead, if that one has applied all that there was for a while: where the state machines
// of all are slow one may happen to be ahead. No more than once within the limit.
func (r *replica) stuckApply(to raft.NodeID, now, stuck time.Duration) {
	p, limit := &r.progress, r.cfg.ApplyStall
	if p.stalled.IsZero() {
		r.tellStall(stuck)
	}
	if to == raft.None || r.transfer.running() || now-p.led < limit || now-p.passed < limit/2 {
		return
	}
	p.led = now
	r.log.Warn("hands leadership over, as the state machine is stuck", "to", uint64(to), "term", uint64(r.leader.Term))
	r.transfer.start(r, &request{kind: transferRequest, to: to, handle: r.handle})
}

func (r *replica) tellStall(stuck time.Duration) {
	r.progress.stalled = r.clock.Wall().Add(-stuck)
	r.log.Warn(stallWords(r.state.begins), "applied", uint64(r.applied), "committed", uint64(r.commit.Index), "stuck", stuck)
	r.publish()
	r.host.announce(&ApplyStalled{Node: r.host.cfg.Node, Group: r.cfg.Group, Index: r.applied, Since: r.progress.stalled})
}

// stallWords are what is said of a state machine that applies nothing. To be restored from a snapshot takes as long as the snapshot is large, and anew
// after a restart.
func stallWords(restored bool) string {
	if restored {
		return "the state machine is still being restored from a snapshot, for longer than GroupConfig.ApplyStall: until that is done this replica applies " +
			"nothing and answers nobody who waits for it. Wait; to restart this process would begin it anew"
	}
	return "the state machine is stuck: nothing was applied for longer than GroupConfig.ApplyStall, although entries are committed. See where it hangs " +
		"(a dump of all goroutines, SIGQUIT), and restart this process if it does not come back: until then this replica answers nobody who waits for it"
}

// tellProgress has the rules know how far the state machine has come, for the answer to a heartbeat.
func (r *replica) tellProgress() {
	if p := &r.progress; p.told < r.applied {
		p.told = r.applied
		r.step(raft.Applied{Index: r.applied}, nil)
	}
}
