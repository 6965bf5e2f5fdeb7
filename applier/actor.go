package applier

import (
	"fmt"
	"io"
	"log/slog"
	"runtime/debug"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/troupe-raft/troupe/entry"
	"github.com/troupe-raft/troupe/persister"
	"github.com/troupe-raft/troupe/raft"
	"github.com/troupe-raft/troupe/stage"
)

// Config is what one applier needs.
type Config struct {
	Group   raft.GroupID
	Stage   stage.Stage
	Machine func() Machine   // called once a run
	Reader  persister.Reader // committed entries that are not at hand
	Log     *slog.Logger
}

// Limits of one turn, so that Stop is prompt and memory bounded however much was committed.
const (
	turnBytes = 4 << 20 // payload applied before other messages get a look
	readBytes = 4 << 20 // read from the disk at a time
)

// Props makes the applier's Props.
func Props(cfg Config) *actor.Props {
	return stage.Props(cfg.Stage, func() actor.Actor {
		return &applier{Config: cfg, machine: cfg.Machine(), sessions: newSessions()}
	}, stage.WithLogger(cfg.Log))
}

type applier struct {
	Config
	machine  Machine
	sessions *sessions

	begun      bool
	broken     bool
	applied    raft.EntryID
	membership raft.Membership // effective at applied

	work     []*Committed // in order; the first may be half done
	again    bool         // a goOn is on its way
	barriers []*Barrier
	entries  int // of the Committed under way
	bytes    int
	current  Waiter // whose entry is in the user's hands
}

// goOn makes the applier continue after other messages had their look.
type goOn struct{}

func (a *applier) Receive(c actor.Context) {
	switch m := c.Message().(type) {
	case *actor.Started:
		c.Send(c.Parent(), &OnDuty{})
	case *Begin:
		a.begin(c, m)
	case *Committed:
		a.work = append(a.work, m)
		a.proceed(c)
	case *goOn:
		a.again = false
		a.proceed(c)
	case *Barrier:
		a.barrier(m)
	case *Capture:
		c.Send(m.ReplyTo, a.capture())
	case *actor.Stopping, *actor.Restarting:
		a.leave()
	case actor.SystemMessage, actor.AutoReceiveMessage:
	default:
		a.Log.Warn("unexpected message", "type", fmt.Sprintf("%T", m))
	}
}

// begin replaces the state by a snapshot's. What was still to be applied from the log before it is covered by it; its
// clients cannot be told their results any more.
func (a *applier) begin(c actor.Context, m *Begin) {
	if a.broken {
		return
	}
	for _, w := range a.work {
		w.Dropped()
	}
	a.work = nil
	table, err := a.restore(m)
	if err != nil {
		a.breakDown(c, fmt.Errorf("snapshot at index %d cannot be restored: %w", m.Meta.Index, err))
		return
	}
	a.sessions, a.begun = table, true
	a.applied = raft.EntryID{Index: m.Meta.Index, Term: m.Meta.Term}
	a.membership = m.Meta.Membership
	c.Send(c.Parent(), &Begun{Index: m.Meta.Index})
	a.release()
}

func (a *applier) restore(m *Begin) (*sessions, error) {
	if m.Open == nil {
		if m.Meta.Index != 0 {
			return nil, fmt.Errorf("no file")
		}
		return newSessions(), a.callRestore(nil)
	}
	r, err := m.Open()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	table, err := readSessions(r)
	if err != nil {
		return nil, err
	}
	if err := a.callRestore(r); err != nil {
		return nil, err
	}
	// The file's own checks end with its last byte: what the user left unread is verified too.
	if _, err := io.Copy(io.Discard, r); err != nil {
		return nil, err
	}
	return table, nil
}

// proceed applies until a turn's worth is done.
func (a *applier) proceed(c actor.Context) {
	for budget := turnBytes; len(a.work) > 0 && !a.broken; {
		if budget <= 0 {
			if !a.again {
				a.again = true
				c.Send(c.Self(), &goOn{})
			}
			return
		}
		if !a.begun {
			a.breakDown(c, fmt.Errorf("applier: entries were committed before the state machine began"))
			return
		}
		done, err := a.some(a.work[0], &budget)
		if err != nil {
			a.breakDown(c, err)
			return
		}
		if done {
			a.work[0] = nil
			a.work = a.work[1:]
			c.Send(c.Parent(), &Applied{Index: a.applied.Index, Entries: a.entries, Bytes: a.bytes})
			a.entries, a.bytes = 0, 0
		}
	}
	if len(a.work) == 0 {
		a.work = nil
	}
}

// some applies the next block of a Committed and reports whether that was all.
func (a *applier) some(m *Committed, budget *int) (done bool, err error) {
	for len(m.Blocks) > 0 && m.Blocks[0].Last() <= a.applied.Index {
		m.Blocks = m.Blocks[1:]
	}
	if a.applied.Index >= m.Through.Index {
		a.resolvePast(m)
		return true, nil
	}
	next := a.applied.Index + 1
	blocks := m.Blocks
	if len(blocks) == 0 || blocks[0].First() > next {
		to := m.Through.Index
		if len(blocks) > 0 {
			to = blocks[0].First() - 1
		}
		if blocks, err = a.Reader.Blocks(a.Group, next, to, readBytes); err != nil {
			return false, fmt.Errorf("committed entry %d cannot be read: %w", next, err)
		}
	}
	for _, b := range blocks {
		if *budget <= 0 {
			return false, nil
		}
		if err := a.applyBlock(b, m); err != nil {
			return false, err
		}
		*budget -= b.Size()
		if a.applied.Index >= m.Through.Index {
			break
		}
	}
	return a.applied.Index >= m.Through.Index, nil
}

// resolvePast answers waiters of entries that a snapshot covered in the meantime.
func (a *applier) resolvePast(m *Committed) {
	m.Dropped()
	m.Waiters = nil
}

// applyBlock applies what of a block is new and committed.
func (a *applier) applyBlock(b *entry.Block, m *Committed) error {
	if b.First() > a.applied.Index+1 {
		return fmt.Errorf("invariant StateMachineOrder: block begins at %d after entry %d", b.First(), a.applied.Index)
	}
	if b.Term() < a.applied.Term {
		return fmt.Errorf("invariant StateMachineOrder: block at %d has term %d after term %d", b.First(), b.Term(), a.applied.Term)
	}
	a.bytes += b.Size()
	var e entry.Entry
	for r := b.Reader(); r.Next(&e); {
		if e.Index <= a.applied.Index {
			continue
		}
		if e.Index > m.Through.Index {
			break
		}
		if err := a.applyEntry(&e, m); err != nil {
			return err
		}
		a.entries++
	}
	a.release()
	return nil
}

// applyEntry applies one entry and answers who waits for it.
func (a *applier) applyEntry(e *entry.Entry, m *Committed) error {
	for len(m.Waiters) > 0 && m.Waiters[0].Index < e.Index {
		m.Waiters[0].Waiter.Resolve(0, nil, ErrUnknown)
		m.Waiters = m.Waiters[1:]
	}
	a.current = nil
	if len(m.Waiters) > 0 && m.Waiters[0].Index == e.Index {
		a.current = m.Waiters[0].Waiter
		m.Waiters = m.Waiters[1:]
	}
	index, result, err := e.Index, []byte(nil), error(nil)
	switch e.Kind {
	case raft.Command:
		if e.Session == 0 {
			result = a.callApply(e)
		} else {
			index, result, err = a.sessions.apply(e, func() []byte { return a.callApply(e) })
		}
	case raft.OpenSession:
		result, err = a.sessions.open(e)
	case raft.CloseSession:
		err = a.sessions.close(e)
	case raft.Reconfigure:
		if a.membership, err = entry.DecodeMembership(e.Data); err != nil {
			return fmt.Errorf("membership at index %d: %w", e.Index, err)
		}
	case raft.NoOp:
	default:
		return fmt.Errorf("entry %d has unknown kind %d: a newer version wrote it", e.Index, e.Kind)
	}
	a.applied = raft.EntryID{Index: e.Index, Term: e.Term}
	if a.current != nil {
		a.current.Resolve(index, result, err)
		a.current = nil
	}
	return nil
}

// barrier answers a read when its point is reached.
func (a *applier) barrier(b *Barrier) {
	a.barriers = append(a.barriers, b)
	a.release()
}

func (a *applier) release() {
	if len(a.barriers) == 0 || !a.begun {
		return
	}
	kept := a.barriers[:0]
	for _, b := range a.barriers {
		if b.Index <= a.applied.Index {
			b.Waiter.Resolve(a.applied.Index, nil, nil)
		} else {
			kept = append(kept, b)
		}
	}
	clear(a.barriers[len(kept):])
	a.barriers = kept
}

// capture takes the state between two entries.
func (a *applier) capture() *Captured {
	if !a.begun || a.broken {
		return &Captured{Err: fmt.Errorf("state machine has not begun")}
	}
	meta := raft.SnapshotMeta{Index: a.applied.Index, Term: a.applied.Term, Membership: a.membership}
	write, err := a.callSnapshot()
	if err != nil {
		return &Captured{Meta: meta, Err: err}
	}
	table := a.sessions.capture()
	return &Captured{Meta: meta, Write: func(w io.Writer) error {
		if err := table.write(w); err != nil {
			return err
		}
		return write(w)
	}}
}

// breakDown reports what makes the replica unable to go on; nothing is applied any more.
func (a *applier) breakDown(c actor.Context, err error) {
	a.broken = true
	a.leave()
	c.Send(c.Parent(), &Broken{Err: err})
}

// leave answers everybody who waits: their outcome is unknown from here on.
func (a *applier) leave() {
	if a.current != nil {
		a.current.Resolve(0, nil, ErrUnknown)
		a.current = nil
	}
	for _, m := range a.work {
		m.Dropped()
	}
	for _, b := range a.barriers {
		b.Dropped()
	}
	a.work, a.barriers = nil, nil
}

// The user's calls. A panic in one is told apart from our own.

func (a *applier) callApply(e *entry.Entry) []byte {
	defer a.named("Apply", e.Index)
	return a.machine.Apply(Command{Index: e.Index, Term: e.Term, Data: e.Data})
}

func (a *applier) callSnapshot() (func(io.Writer) error, error) {
	defer a.named("Snapshot", a.applied.Index)
	return a.machine.Snapshot()
}

func (a *applier) callRestore(r io.Reader) error {
	defer a.named("Restore", a.applied.Index)
	return a.machine.Restore(r)
}

func (a *applier) named(call string, index raft.Index) {
	if v := recover(); v != nil {
		panic(&UserPanic{Call: call, Index: index, Value: v, Stack: debug.Stack()})
	}
}
