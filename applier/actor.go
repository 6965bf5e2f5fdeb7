package applier

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"time"

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
	Log     *slog.Logger     // default slog.Default()
}

// Limits of one turn, so that Stop is prompt and memory bounded however much was committed.
const (
	turnBytes = 4 << 20              // payload applied before other messages get a look
	turnTime  = 5 * time.Millisecond // likewise; the user's Apply of one entry may take longer
	readBytes = 4 << 20              // read from the disk at a time
)

// Props makes the applier's Props.
func Props(cfg Config) *actor.Props {
	cfg.Log = cmp.Or(cfg.Log, slog.Default())
	return stage.Props(cfg.Stage, func() actor.Actor {
		return &applier{Config: cfg, machine: cfg.Machine(), sessions: newSessions()}
	}, stage.WithLogger(cfg.Log))
}

type applier struct {
	Config
	machine  Machine
	sessions *sessions

	begun      bool
	down       bool // broken or stopping: whoever comes is turned away
	applied    raft.EntryID
	membership raft.Membership // effective at applied

	work     []*Committed // in order; the first may be half done
	again    bool         // a goOn is on its way
	stall    *stall       // the log was replaced under the work: a Begin is awaited
	timer    stage.Timer  // of stall
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
		if a.down {
			m.Dropped()
			return
		}
		a.work = append(a.work, m)
		a.proceed(c)
	case *stall:
		if m == a.stall {
			a.breakDown(c, m.err)
		}
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
	if a.down {
		return
	}
	a.giveUp()
	if a.begun && m.Meta.Index < a.applied.Index {
		a.breakDown(c, fmt.Errorf("invariant StateMachineOrder: a snapshot at %d would take the state back from entry %d", m.Meta.Index, a.applied.Index))
		return
	}
	a.begun = false // until the state is whole again
	table, err := a.restore(m)
	if err != nil {
		err = fmt.Errorf("snapshot at index %d cannot be restored: %w", m.Meta.Index, err)
		if errors.Is(err, os.ErrNotExist) {
			a.overtaken(c, err)
			return
		}
		a.breakDown(c, err)
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
	err = a.callRestore(r)
	// The file's own checks end with its last byte: what the user left unread is verified too. What is wrong with the file is why the user
	// could not read it, whatever the user made of it.
	if _, unread := io.Copy(io.Discard, r); unread != nil {
		return nil, errors.Join(unread, err)
	}
	return table, err
}

// proceed applies until a turn's worth is done.
func (a *applier) proceed(c actor.Context) {
	if a.again || a.stall != nil {
		return // in order: what is under way comes first
	}
	t := newTurn(a.Stage.Clock().Now)
	for len(a.work) > 0 && !a.down {
		if !a.begun {
			a.breakDown(c, fmt.Errorf("applier: entries were committed before the state machine began"))
			return
		}
		done, err := a.some(a.work[0], &t)
		switch {
		case errors.Is(err, persister.ErrCompacted):
			a.wait(c, err)
			return
		case err != nil:
			a.breakDown(c, err)
			return
		case done:
			a.work[0] = nil
			a.work = a.work[1:]
			c.Send(c.Parent(), &Applied{Index: a.applied.Index, Entries: a.entries, Bytes: a.bytes})
			a.entries, a.bytes = 0, 0
		}
		if t.over && len(a.work) > 0 {
			a.again = true
			c.Send(c.Self(), &goOn{})
			return
		}
	}
	if len(a.work) == 0 {
		a.work = nil
	}
}

// some applies the next blocks of a Committed and reports whether that was all.
func (a *applier) some(m *Committed, t *turn) (done bool, err error) {
	for len(m.Blocks) > 0 && m.Blocks[0].Last() <= a.applied.Index {
		m.Blocks = m.Blocks[1:]
	}
	if a.applied.Index >= m.Through.Index {
		return true, a.finish(m)
	}
	next := a.applied.Index + 1
	blocks := m.Blocks
	if len(blocks) == 0 || blocks[0].First() > next {
		to := m.Through.Index
		if len(blocks) > 0 {
			to = min(to, blocks[0].First()-1)
		}
		if blocks, err = a.Reader.Blocks(a.Group, next, to, readBytes); err != nil {
			return false, fmt.Errorf("committed entry %d cannot be read: %w", next, err)
		}
		m.Blocks = append(blocks[:len(blocks):len(blocks)], m.Blocks...) // read once, however many turns it takes
	}
	for _, b := range blocks {
		if err := a.applyBlock(b, m, t); err != nil {
			return false, err
		}
		if t.over || a.applied.Index >= m.Through.Index {
			break
		}
	}
	if a.applied.Index < next {
		return false, fmt.Errorf("invariant StateMachineOrder: entry %d is not in the %d blocks that should hold it", next, len(blocks))
	}
	if a.applied.Index < m.Through.Index {
		return false, nil
	}
	return true, a.finish(m)
}

// finish checks that the log says what the leader committed (State Machine Safety, §5.4.3).
func (a *applier) finish(m *Committed) error {
	a.resolvePast(m)
	if a.applied.Index == m.Through.Index && a.applied.Term != m.Through.Term {
		return fmt.Errorf("invariant StateMachineSafety: entry %d was applied in term %d, but committed in term %d", a.applied.Index, a.applied.Term, m.Through.Term)
	}
	return nil
}

// resolvePast answers waiters of entries that a snapshot covered in the meantime.
func (a *applier) resolvePast(m *Committed) {
	m.Dropped()
	m.Waiters = nil
}

// applyBlock applies what of a block is new and committed.
func (a *applier) applyBlock(b *entry.Block, m *Committed, t *turn) error {
	if b.First() > a.applied.Index+1 {
		return fmt.Errorf("invariant StateMachineOrder: block begins at %d after entry %d", b.First(), a.applied.Index)
	}
	if b.Term() < a.applied.Term {
		return fmt.Errorf("invariant StateMachineOrder: block at %d has term %d after term %d", b.First(), b.Term(), a.applied.Term)
	}
	before := a.bytes
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
		a.bytes += len(e.Data)
		if t.spent(a.bytes - before); t.over {
			break
		}
		before = a.bytes
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
	if a.down {
		b.Dropped()
		return
	}
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
	if !a.begun || a.down {
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
	a.leave()
	c.Send(c.Parent(), &Broken{Err: err})
}

// leave answers everybody who waits: their outcome is unknown from here on.
func (a *applier) leave() {
	a.down = true
	if a.current != nil {
		a.current.Resolve(0, nil, ErrUnknown)
		a.current = nil
	}
	a.giveUp()
	for _, b := range a.barriers {
		b.Dropped()
	}
	a.barriers = nil
}

// giveUp forgets what was still to be applied.
func (a *applier) giveUp() {
	for _, m := range a.work {
		m.Dropped()
	}
	a.work, a.stall, a.entries, a.bytes = nil, nil, 0, 0
	if a.timer != nil {
		a.timer.Stop()
		a.timer = nil
	}
}
