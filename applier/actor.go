package applier

import (
	"bufio"
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
	Inside  *Inside          // told of the user's calls; nil: nobody wants to know
	Turns   *stage.Turns     // shared with others: entries are applied during a turn; nil: whenever they come

	// Limits of one turn, so that Stop is prompt and memory bounded however much was committed.
	TurnBytes int           // payload applied before other messages get a look; default 4 MiB
	TurnTime  time.Duration // likewise; the user's Apply of one entry may take longer; default 5ms
	Stride    int           // most entries between two looks at the clock: as many slow ones may go by unnoticed; default 4
	ReadBytes int           // read from the disk at a time; one block may always be; default 4 MiB
	// StallTime is how long the Begin may take that belongs to a log that was replaced; default 10s.
	StallTime time.Duration
	// ReportEvery is how long amid a Committed nothing is said of how far it has come; default 1s.
	ReportEvery time.Duration
}

// The defaults of a Config.
const (
	DefaultTurnBytes = 4 << 20
	DefaultTurnTime  = 5 * time.Millisecond
	DefaultStride    = 4
	DefaultReadBytes = 4 << 20
	DefaultStallTime = 10 * time.Second

	DefaultReportEvery = time.Second
)

func (c Config) withDefaults() Config {
	c.Log = cmp.Or(c.Log, slog.Default())
	c.TurnBytes = cmp.Or(c.TurnBytes, DefaultTurnBytes)
	c.TurnTime = cmp.Or(c.TurnTime, DefaultTurnTime)
	c.Stride = cmp.Or(c.Stride, DefaultStride)
	c.ReadBytes = cmp.Or(c.ReadBytes, DefaultReadBytes)
	c.StallTime = cmp.Or(c.StallTime, DefaultStallTime)
	c.ReportEvery = cmp.Or(c.ReportEvery, DefaultReportEvery)
	return c
}

// Props makes the applier's Props.
func Props(cfg Config) *actor.Props {
	cfg = cfg.withDefaults()
	return stage.Props(cfg.Stage, func() actor.Actor {
		a := &applier{Config: cfg, machine: cfg.Machine(), sessions: newSessions()}
		if cfg.Turns != nil {
			a.turn = cfg.Turns.Join()
		}
		return a
	}, stage.WithLogger(cfg.Log))
}

type applier struct {
	Config
	machine  Machine
	sessions *sessions

	begun      bool
	lost       bool // the snapshot to begin from cannot be read: nothing is applied before another Begin
	down       bool // broken or stopping: whoever comes is turned away
	applied    raft.EntryID
	membership raft.Membership // effective at applied

	work     []*batch    // in order; the first may be half done
	again    bool        // a goOn is on its way
	turn     *stage.Turn // nil: none is needed
	has      bool        // it is this applier's
	awaited  *granted    // else what it waits for; nil: it does not
	stall    *stall      // the log was replaced under the work: a Begin is awaited
	timer    stage.Timer // of stall
	barriers []*Barrier
	entries  int // of the Committed under way
	bytes    int
	current  Waiter        // whose entry is in the user's hands
	reported time.Duration // when Progress or Applied was last sent
	here     uint64        // this turn's goroutine, once it was looked at
}

func (a *applier) Receive(c actor.Context) {
	a.here = 0
	switch m := c.Message().(type) {
	case *actor.Started:
		c.Send(c.Parent(), &OnDuty{})
	case *Begin:
		a.begin(c, m)
	case *Committed:
		if a.down || a.lost {
			m.Dropped()
			return
		}
		a.work = append(a.work, &batch{Committed: m})
		a.proceed(c)
	case *stall:
		switch {
		case m != a.stall:
		case m.begin != nil:
			a.lose(c, m.begin.Meta, m.err)
		default:
			a.breakDown(c, m.err)
		}
	case *goOn:
		a.again = false
		a.proceed(c)
	case *granted:
		if m == a.awaited {
			a.awaited, a.has = nil, true
			a.proceed(c)
		}
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
	a.begun, a.lost = false, false // until the state is whole again
	table, unreadable, err := a.restore(m)
	if err != nil {
		err = fmt.Errorf("snapshot at index %d cannot be restored: %w", m.Meta.Index, err)
		switch {
		case errors.Is(err, os.ErrNotExist):
			a.overtaken(c, m, err)
		case unreadable:
			a.lose(c, m.Meta, err)
		default:
			a.breakDown(c, err)
		}
		return
	}
	a.sessions, a.begun = table, true
	a.applied = raft.EntryID{Index: m.Meta.Index, Term: m.Meta.Term}
	a.membership = m.Meta.Membership
	c.Send(c.Parent(), &Begun{Index: m.Meta.Index, Stamp: table.clock})
	a.release()
}

// restore returns whose fault it is when it fails: that the snapshot cannot be read, or not.
func (a *applier) restore(m *Begin) (table *sessions, unreadable bool, err error) {
	if m.Open == nil {
		if m.Meta.Index != 0 {
			return nil, false, fmt.Errorf("no file")
		}
		return newSessions(), false, a.callRestore(nil)
	}
	r, err := m.Open()
	if err != nil {
		return nil, true, err
	}
	defer r.Close()
	file := &witness{in: r}
	in := bufio.NewReaderSize(file, 64<<10)
	if table, err = readSessions(in); err != nil {
		return nil, file.failed, err
	}
	err = a.callRestore(in)
	// The file's own checks end with its last byte: what the user left unread is verified too. What is wrong with the file is why the user
	// could not read it, whatever the user made of it.
	if _, unread := io.Copy(io.Discard, in); unread != nil {
		return nil, true, errors.Join(unread, err)
	}
	return table, file.failed, err
}

// A witness remembers whether its file could be read.
type witness struct {
	in     io.Reader
	failed bool
}

func (w *witness) Read(p []byte) (int, error) {
	n, err := w.in.Read(p)
	w.failed = w.failed || err != nil && err != io.EOF
	return n, err
}

// proceed applies until a turn's worth is done.
func (a *applier) proceed(c actor.Context) {
	if a.again || a.stall != nil || len(a.work) == 0 || !a.takeTurn(c) {
		return // in order: what is under way comes first
	}
	t := a.newTurn(a.Stage.Clock().Now, a.turn)
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
			c.Send(c.Parent(), &Applied{Index: a.applied.Index, Entries: a.entries, Bytes: a.bytes, Stamp: a.sessions.clock})
			a.entries, a.bytes, a.reported = 0, 0, t.start
		}
		if t.over && len(a.work) > 0 {
			a.report(c, t.last)
			a.goOn(c)
			return
		}
	}
	a.giveTurn()
	if len(a.work) == 0 {
		a.work = nil
	}
}

// some applies entries until the turn is over or the batch is done, and reports whether it is. Every block is looked up by the entry that is
// due, so that nothing depends on which lists are contiguous.
func (a *applier) some(m *batch, t *turn) (done bool, err error) {
	for a.applied.Index < m.Through.Index && !t.over {
		due := a.applied.Index + 1
		b, to := m.block(due)
		if b == nil {
			if m.read, err = a.Reader.Blocks(a.Group, due, to, a.ReadBytes); err != nil {
				return false, fmt.Errorf("committed entry %d cannot be read: %w", due, err)
			}
			m.cut(to)
			if b, _ = m.block(due); b == nil {
				return false, fmt.Errorf("invariant StateMachineOrder: entry %d is not in the %d blocks that should hold it", due, len(m.read))
			}
		}
		if err := a.applyBlock(b, m, t); err != nil {
			return false, err
		}
	}
	if a.applied.Index < m.Through.Index {
		return false, nil
	}
	return true, a.finish(m.Committed)
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

// applyBlock applies what of a block is new and committed, from where the last turn ended.
func (a *applier) applyBlock(b *entry.Block, m *batch, t *turn) error {
	if b.First() > a.applied.Index+1 {
		return fmt.Errorf("invariant StateMachineOrder: block begins at %d after entry %d", b.First(), a.applied.Index)
	}
	if b.Term() < a.applied.Term {
		return fmt.Errorf("invariant StateMachineOrder: block at %d has term %d after term %d", b.First(), b.Term(), a.applied.Term)
	}
	due, before := a.applied.Index+1, a.bytes
	var e entry.Entry
	for r := m.open(b); !t.over && r.Next(&e) && e.Index <= m.Through.Index; {
		if e.Index <= a.applied.Index {
			continue
		}
		if err := a.applyEntry(&e, m.Committed); err != nil {
			return err
		}
		a.entries++
		a.bytes += len(e.Data)
		t.spent(a.bytes - before)
		before = a.bytes
	}
	a.release()
	if a.applied.Index < due {
		return fmt.Errorf("invariant StateMachineOrder: entry %d cannot be decoded from block %v", due, b)
	}
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
		a.sessions.pass(e)
	case raft.NoOp:
		a.sessions.pass(e)
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
	if a.down || a.lost {
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

// lose reports that there is no state to go on from, and waits for another one. Whoever waits is turned away.
func (a *applier) lose(c actor.Context, meta raft.SnapshotMeta, err error) {
	a.giveUp()
	a.refuseBarriers()
	a.lost = true
	c.Send(c.Parent(), &Unreadable{Meta: meta, Err: err})
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
	a.refuseBarriers()
}

func (a *applier) refuseBarriers() {
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
	a.giveTurn()
	a.work, a.stall, a.entries, a.bytes = nil, nil, 0, 0
	if a.timer != nil {
		a.timer.Stop()
		a.timer = nil
	}
}
