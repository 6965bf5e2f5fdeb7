package applier

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/troupe-raft/troupe/entry"
	"github.com/troupe-raft/troupe/persister"
	"github.com/troupe-raft/troupe/raft"
	"github.com/troupe-raft/troupe/stage"
)

const patience = 30 * time.Second

// recorder is a state machine that records.
type recorder struct {
	applied []string
	panics  string // Apply of this panics
	block   chan struct{}
	before  func() // called by every Apply
	refuse  error  // what Restore says of a snapshot
}

func (r *recorder) Apply(c Command) []byte {
	if r.block != nil {
		<-r.block
	}
	if r.before != nil {
		r.before()
	}
	if r.panics != "" && string(c.Data) == r.panics {
		panic("user bug")
	}
	r.applied = append(r.applied, fmt.Sprintf("%d:%s", c.Index, c.Data))
	return append([]byte("r-"), c.Data...)
}

func (r *recorder) Snapshot() (func(io.Writer) error, error) {
	kept := fmt.Sprint(r.applied)
	return func(w io.Writer) error { _, err := io.WriteString(w, kept); return err }, nil
}

func (r *recorder) Restore(rd io.Reader) error {
	r.applied = nil
	if rd == nil {
		return nil
	}
	b, err := io.ReadAll(rd)
	r.applied = []string{"restored " + string(b)}
	return errors.Join(err, r.refuse)
}

// disk serves blocks as the persister would.
type disk struct {
	blocks []*entry.Block
	err    error // what reading fails with; set before the applier reads
}

func (d *disk) Blocks(_ raft.GroupID, from, to raft.Index, maxBytes int) ([]*entry.Block, error) {
	if d.err != nil {
		return nil, d.err
	}
	var out []*entry.Block
	size := 0
	for _, b := range d.blocks {
		if b.Last() < from || b.First() > to {
			continue
		}
		if size += b.Size(); len(out) > 0 && size > maxBytes {
			break
		}
		out = append(out, b)
	}
	if len(out) == 0 {
		return nil, persister.ErrMissing
	}
	return out, nil
}

// A rig is an applier with a parent that forwards what it says.
type rig struct {
	t       *testing.T
	system  *actor.ActorSystem
	parent  *actor.PID
	applier *actor.PID
	said    chan any
	machine *recorder
	disk    *disk
}

func newRig(t *testing.T, machine *recorder) *rig { return newRigOn(t, machine, stage.NewLive()) }

func newRigOn(t *testing.T, machine *recorder, s stage.Stage) *rig {
	return newRigAmong(t, machine, s, nil)
}

// newRigAmong has the applier share turns with others.
func newRigAmong(t *testing.T, machine *recorder, s stage.Stage, turns *stage.Turns) *rig {
	quiet := slog.New(slog.DiscardHandler)
	r := &rig{t: t, said: make(chan any, 1000), machine: machine, disk: &disk{}}
	r.system = actor.NewActorSystem(actor.WithLoggerFactory(func(*actor.ActorSystem) *slog.Logger { return quiet }))
	t.Cleanup(stage.DropDeadLetters(r.system)) // as a host does, for who sends to an applier that has gone
	born := make(chan *actor.PID, 1)
	r.parent = r.system.Root.Spawn(stage.Props(s, func() actor.Actor {
		return actor.ReceiveFunc(func(c actor.Context) {
			switch m := c.Message().(type) {
			case *actor.Started:
				born <- c.Spawn(Props(Config{Group: 1, Stage: s, Machine: func() Machine { return machine }, Reader: r.disk, Log: quiet, Turns: turns}))
			case actor.SystemMessage, actor.AutoReceiveMessage:
			default:
				r.said <- m
			}
		})
	}, stage.WithLogger(quiet), stage.WithSupervisor(actor.NewOneForOneStrategy(1, time.Minute, func(any) actor.Directive { return actor.StopDirective }))))
	r.applier = <-born
	t.Cleanup(func() {
		if err := r.system.Root.StopFuture(r.parent).Wait(); err != nil {
			t.Error(err)
		}
		s.Close()
	})
	expect[*OnDuty](r)
	return r
}

func (r *rig) send(m any) { r.system.Root.Send(r.applier, m) }

func expect[T any](r *rig) T {
	r.t.Helper()
	select {
	case m := <-r.said:
		got, ok := m.(T)
		if !ok {
			r.t.Fatalf("got %T %+v, want %T", m, m, got)
		}
		return got
	case <-time.After(patience):
		var want T
		r.t.Fatalf("no %T", want)
		return want
	}
}

func (r *rig) begin() {
	r.send(&Begin{})
	expect[*Begun](r)
}

// outcome is a Waiter that keeps what it was told first.
type outcome struct {
	done   chan struct{}
	index  raft.Index
	result string
	err    error
	calls  int
}

func newOutcome() *outcome { return &outcome{done: make(chan struct{}, 100)} }

func (o *outcome) Resolve(index raft.Index, result []byte, err error) {
	if o.calls++; o.calls == 1 {
		o.index, o.result, o.err = index, string(result), err
		o.done <- struct{}{}
	}
}

func (o *outcome) wait(t *testing.T) {
	t.Helper()
	select {
	case <-o.done:
	case <-time.After(patience):
		t.Fatal("nobody answered")
	}
}

func block(term raft.Term, first raft.Index, data ...string) *entry.Block {
	var b entry.Builder
	for _, d := range data {
		b.Append(raft.Command, 0, 0, 0, []byte(d))
	}
	return b.Seal(term, first)
}

func TestAppliesInOrderAndAnswers(t *testing.T) {
	r := newRig(t, &recorder{})
	r.begin()
	o := newOutcome()
	r.send(&Committed{Through: raft.EntryID{Index: 2, Term: 1}, Blocks: []*entry.Block{block(1, 1, "a", "b", "c")}, Waiters: []Waiting{{Index: 2, Waiter: o}}})
	if a := expect[*Applied](r); a.Index != 2 || a.Entries != 2 {
		t.Errorf("%+v", a)
	}
	o.wait(t)
	if o.index != 2 || o.result != "r-b" || o.err != nil {
		t.Errorf("outcome %+v", o)
	}
	// The rest of the same block, then a block of a newer term.
	r.send(&Committed{Through: raft.EntryID{Index: 4, Term: 2}, Blocks: []*entry.Block{block(1, 1, "a", "b", "c"), block(2, 4, "d")}})
	expect[*Applied](r)
	if got := fmt.Sprint(r.machine.applied); got != "[1:a 2:b 3:c 4:d]" {
		t.Errorf("applied %s", got)
	}
}

func TestReadsFromDiskWhatIsNotAtHand(t *testing.T) {
	r := newRig(t, &recorder{})
	r.disk.blocks = []*entry.Block{block(1, 1, "a", "b"), block(1, 3, "c")}
	r.begin()
	r.send(&Committed{Through: raft.EntryID{Index: 4, Term: 2}, Blocks: []*entry.Block{block(2, 4, "d")}})
	expect[*Applied](r)
	if got := fmt.Sprint(r.machine.applied); got != "[1:a 2:b 3:c 4:d]" {
		t.Errorf("applied %s", got)
	}
}

func TestGapIsNamed(t *testing.T) {
	r := newRig(t, &recorder{})
	r.begin()
	o := newOutcome()
	r.send(&Committed{Through: raft.EntryID{Index: 3, Term: 1}, Waiters: []Waiting{{Index: 3, Waiter: o}}})
	if b := expect[*Broken](r); !errors.Is(b.Err, persister.ErrMissing) {
		t.Errorf("%v", b.Err)
	}
	o.wait(t)
	if !errors.Is(o.err, ErrUnknown) {
		t.Errorf("outcome %v", o.err)
	}
}

func TestCommittedBeforeBeginIsBroken(t *testing.T) {
	r := newRig(t, &recorder{})
	r.send(&Committed{Through: raft.EntryID{Index: 1, Term: 1}, Blocks: []*entry.Block{block(1, 1, "a")}})
	expect[*Broken](r)
}

func TestBarrierWaitsForItsIndex(t *testing.T) {
	r := newRig(t, &recorder{})
	r.begin()
	early, late := newOutcome(), newOutcome()
	r.send(&Barrier{Index: 0, Waiter: early})
	r.send(&Barrier{Index: 2, Waiter: late})
	early.wait(t)
	r.send(&Committed{Through: raft.EntryID{Index: 1, Term: 1}, Blocks: []*entry.Block{block(1, 1, "a")}})
	expect[*Applied](r)
	if len(late.done) != 0 {
		t.Fatal("a read was answered before its point")
	}
	r.send(&Committed{Through: raft.EntryID{Index: 2, Term: 1}, Blocks: []*entry.Block{block(1, 2, "b")}})
	late.wait(t)
	if late.err != nil || late.index != 2 {
		t.Errorf("%+v", late)
	}
}

func TestSnapshotRoundTrip(t *testing.T) {
	r := newRig(t, &recorder{})
	r.begin()
	members := raft.Membership{Voters: []raft.NodeID{1, 2}}
	var b entry.Builder
	b.Append(raft.Reconfigure, 0, 0, 0, entry.AppendMembership(nil, members))
	b.Append(raft.OpenSession, 0, 0, 1000, EncodeOpen(hour))
	b.Append(raft.Command, 2, 1, 1001, []byte("x"))
	r.send(&Committed{Through: raft.EntryID{Index: 3, Term: 1}, Blocks: []*entry.Block{b.Seal(1, 1)}})
	expect[*Applied](r)
	r.send(&Capture{ReplyTo: r.parent})
	c := expect[*Captured](r)
	if c.Err != nil || c.Meta.Index != 3 || c.Meta.Term != 1 || fmt.Sprint(c.Meta.Membership.Voters) != "[1 2]" {
		t.Fatalf("%+v", c)
	}
	var file bytes.Buffer
	if err := c.Write(&file); err != nil {
		t.Fatal(err)
	}

	fresh := newRig(t, &recorder{})
	fresh.send(&Begin{Meta: c.Meta, Open: func() (io.ReadCloser, error) { return io.NopCloser(&file), nil }})
	expect[*Begun](fresh)
	if got := fmt.Sprint(fresh.machine.applied); got != "[restored [3:x]]" {
		t.Fatalf("restored %s", got)
	}
	// The session's memory came along: the retry is answered, not applied.
	o := newOutcome()
	var retry entry.Builder
	retry.Append(raft.Command, 2, 1, 1002, []byte("x"))
	fresh.send(&Committed{Through: raft.EntryID{Index: 4, Term: 1}, Blocks: []*entry.Block{retry.Seal(1, 4)}, Waiters: []Waiting{{4, o}}})
	o.wait(t)
	if o.index != 3 || o.result != "r-x" || o.err != nil || len(fresh.machine.applied) != 1 {
		t.Errorf("retry %+v, applied %v", o, fresh.machine.applied)
	}
}

func TestUserPanicLeavesNobodyWaiting(t *testing.T) {
	r := newRig(t, &recorder{panics: "boom"})
	r.begin()
	done, lost, later, read := newOutcome(), newOutcome(), newOutcome(), newOutcome()
	r.send(&Barrier{Index: 9, Waiter: read})
	r.send(&Committed{Through: raft.EntryID{Index: 2, Term: 1}, Blocks: []*entry.Block{block(1, 1, "a", "boom")}, Waiters: []Waiting{{1, done}, {2, lost}}})
	r.send(&Committed{Through: raft.EntryID{Index: 3, Term: 1}, Blocks: []*entry.Block{block(1, 3, "c")}, Waiters: []Waiting{{3, later}}})
	for _, o := range []*outcome{done, lost, later, read} {
		o.wait(t)
	}
	if done.err != nil || !errors.Is(lost.err, ErrUnknown) || !errors.Is(later.err, ErrUnknown) || !errors.Is(read.err, ErrUnknown) {
		t.Errorf("%v %v %v %v", done.err, lost.err, later.err, read.err)
	}
}

func TestLongWorkIsDoneInTurns(t *testing.T) {
	r := newRig(t, &recorder{})
	big := string(make([]byte, DefaultTurnBytes/2))
	for i := range 6 {
		r.disk.blocks = append(r.disk.blocks, block(1, raft.Index(i+1), big))
	}
	r.begin()
	r.send(&Committed{Through: raft.EntryID{Index: 6, Term: 1}})
	if a := expect[*Applied](r); a.Index != 6 || a.Entries != 6 {
		t.Errorf("%+v", a)
	}
}

func BenchmarkApply1024(b *testing.B) {
	var bl entry.Builder
	for range 1024 {
		bl.Append(raft.Command, 0, 0, 0, make([]byte, 128))
	}
	a := &applier{Config: Config{}.withDefaults(), machine: noop{}, sessions: newSessions(), begun: true}
	block := bl.Seal(1, 1)
	s := stage.NewLive()
	defer s.Close()
	clock := s.Clock()
	b.ReportAllocs()
	for b.Loop() {
		a.applied = raft.EntryID{}
		t := a.newTurn(clock.Now, nil)
		m := &batch{Committed: &Committed{Through: raft.EntryID{Index: 1024, Term: 1}}}
		for a.applied.Index < 1024 {
			t.over = false
			if err := a.applyBlock(block, m, &t); err != nil {
				b.Fatal(err)
			}
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/1024, "ns/entry")
}

type noop struct{}

func (noop) Apply(Command) []byte                     { return nil }
func (noop) Snapshot() (func(io.Writer) error, error) { return nil, nil }
func (noop) Restore(io.Reader) error                  { return nil }
