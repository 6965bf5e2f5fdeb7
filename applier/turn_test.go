package applier

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"github.com/troupe-raft/troupe/entry"
	"github.com/troupe-raft/troupe/persister"
	"github.com/troupe-raft/troupe/raft"
	"github.com/troupe-raft/troupe/stage"
)

// handClock is moved by hand. Timers fire when the test says so.
type handClock struct {
	mu     sync.Mutex
	now    time.Duration
	timers chan func()
}

func (c *handClock) Now() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *handClock) move(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now += d
}

func (c *handClock) Wall() time.Time { return time.Unix(0, 0).Add(c.Now()) }

func (c *handClock) AfterFunc(_ time.Duration, f func()) stage.Timer {
	c.timers <- f
	return handTimer{}
}

type handTimer struct{}

func (handTimer) Stop() bool { return true }

type handStage struct {
	*stage.Live
	clock *handClock
}

func newHandStage() handStage {
	return handStage{stage.NewLive(), &handClock{timers: make(chan func(), 10)}}
}

func (s handStage) Clock() stage.Clock { return s.clock }

func letters(n int) []string {
	out := make([]string, n)
	for i := range out {
		out[i] = fmt.Sprint(i + 1)
	}
	return out
}

func TestSlowUserCodeDoesNotKeepReadsWaiting(t *testing.T) {
	s := newHandStage()
	m := &recorder{}
	asked, read := make(chan struct{}), newOutcome()
	m.before = func() {
		if len(m.applied) == 0 {
			<-asked // the read is in the mailbox by now
		}
		s.clock.move(DefaultTurnTime)
	}
	r := newRigOn(t, m, s)
	r.begin()
	r.send(&Committed{Through: raft.EntryID{Index: 100, Term: 1}, Blocks: []*entry.Block{block(1, 1, letters(100)...)}})
	r.send(&Barrier{Index: 1, Waiter: read})
	close(asked)
	read.wait(t)
	if read.index > 2 || read.err != nil {
		t.Errorf("the read waited until %d, err %v", read.index, read.err)
	}
	if a := expect[*Applied](r); a.Index != 100 || a.Entries != 100 || a.Bytes != len(strings.Join(letters(100), "")) {
		t.Errorf("%+v", a)
	}
	for i, got := range m.applied {
		if want := fmt.Sprintf("%d:%d", i+1, i+1); got != want {
			t.Fatalf("entry %d is %s", i+1, got)
		}
	}
}

func TestStopIsPromptWhileMuchIsCommitted(t *testing.T) {
	s := newHandStage()
	m := &recorder{}
	entered, resume := make(chan struct{}), make(chan struct{})
	m.before = func() {
		s.clock.move(DefaultTurnTime)
		if len(m.applied) == 0 {
			close(entered)
			<-resume
		}
	}
	r := newRigOn(t, m, s)
	r.begin()
	last := newOutcome()
	r.send(&Committed{Through: raft.EntryID{Index: 1000, Term: 1}, Blocks: []*entry.Block{block(1, 1, letters(1000)...)}, Waiters: []Waiting{{Index: 1000, Waiter: last}}})
	<-entered
	stopped := r.system.Root.StopFuture(r.applier)
	close(resume)
	if err := stopped.Wait(); err != nil {
		t.Fatal(err)
	}
	last.wait(t)
	if !errors.Is(last.err, ErrUnknown) || len(m.applied) > 2 {
		t.Errorf("%d entries were applied after Stop; the waiter got %v", len(m.applied), last.err)
	}
}

func TestTurnLooksAtTheClockRarelyWhileEntriesAreQuick(t *testing.T) {
	looks := 0
	quick := Config{}.withDefaults().newTurn(func() time.Duration { looks++; return 0 }, nil)
	for range 10_000 {
		quick.spent(1)
	}
	if quick.over || looks > 10_000/DefaultStride+10 {
		t.Errorf("over %v after %d looks", quick.over, looks)
	}
	now := time.Duration(0)
	slow := Config{}.withDefaults().newTurn(func() time.Duration { return now }, nil)
	n := 0
	for ; !slow.over; n++ {
		now += time.Millisecond
		slow.spent(1)
	}
	if n != int(DefaultTurnTime/time.Millisecond) {
		t.Errorf("a turn of %d entries that take 1ms each", n)
	}
	full := Config{}.withDefaults().newTurn(func() time.Duration { return 0 }, nil)
	full.spent(DefaultTurnBytes)
	if !full.over {
		t.Error("bytes do not end a turn")
	}
}

// snapshotOf makes a Begin for a snapshot with an empty table.
func snapshotOf(index raft.Index, term raft.Term) *Begin {
	return &Begin{Meta: raft.SnapshotMeta{Index: index, Term: term}, Open: func() (io.ReadCloser, error) {
		pr, pw := io.Pipe()
		go func() { pw.CloseWithError(newSessions().capture().write(pw)) }()
		return pr, nil
	}}
}

func TestInstalledSnapshotOvertakesTheLog(t *testing.T) {
	s := newHandStage()
	r := newRigOn(t, &recorder{}, s)
	r.begin()
	r.disk.err = persister.ErrCompacted // the snapshot's write came before the applier got to read
	o, read := newOutcome(), newOutcome()
	r.send(&Barrier{Index: 7, Waiter: read})
	r.send(&Committed{Through: raft.EntryID{Index: 5, Term: 1}, Waiters: []Waiting{{Index: 5, Waiter: o}}})
	<-s.clock.timers
	r.send(snapshotOf(9, 2))
	if b := expect[*Begun](r); b.Index != 9 {
		t.Errorf("%+v", b)
	}
	o.wait(t)
	read.wait(t)
	if !errors.Is(o.err, ErrUnknown) || read.err != nil || read.index != 9 {
		t.Errorf("waiter %v, read %d %v", o.err, read.index, read.err)
	}
	r.send(&Committed{Through: raft.EntryID{Index: 10, Term: 2}, Blocks: []*entry.Block{block(2, 10, "z")}})
	if a := expect[*Applied](r); a.Index != 10 || a.Entries != 1 {
		t.Errorf("%+v", a)
	}
}

func TestMissingLogIsBrokenWhenNoSnapshotComes(t *testing.T) {
	s := newHandStage()
	r := newRigOn(t, &recorder{}, s)
	r.begin()
	r.disk.err = persister.ErrCompacted
	r.send(&Committed{Through: raft.EntryID{Index: 5, Term: 1}})
	(<-s.clock.timers)()
	if b := expect[*Broken](r); !errors.Is(b.Err, persister.ErrCompacted) {
		t.Error(b.Err)
	}
	// Nobody who comes later is left waiting.
	o, read := newOutcome(), newOutcome()
	r.send(&Committed{Through: raft.EntryID{Index: 6, Term: 1}, Waiters: []Waiting{{Index: 6, Waiter: o}}})
	r.send(&Barrier{Index: 6, Waiter: read})
	o.wait(t)
	read.wait(t)
	if !errors.Is(o.err, ErrUnknown) || !errors.Is(read.err, ErrUnknown) {
		t.Errorf("%v, %v", o.err, read.err)
	}
}

// silentDisk has nothing and says nothing.
type silentDisk struct{}

func (silentDisk) Blocks(raft.GroupID, raft.Index, raft.Index, int) ([]*entry.Block, error) {
	return nil, nil
}

func TestBrokenInvariantsAreNamed(t *testing.T) {
	one := []*entry.Block{block(2, 1, "a")}
	for name, c := range map[string]struct {
		send []any
		want string
	}{
		"other term":    {[]any{&Committed{Through: raft.EntryID{Index: 1, Term: 3}, Blocks: one}}, "StateMachineSafety"},
		"term falls":    {[]any{&Committed{Through: raft.EntryID{Index: 2, Term: 1}, Blocks: []*entry.Block{one[0], block(1, 2, "b")}}}, "StateMachineOrder"},
		"back in time":  {[]any{&Committed{Through: raft.EntryID{Index: 1, Term: 2}, Blocks: one}, &Begin{}}, "StateMachineOrder"},
		"unknown kind":  {[]any{&Committed{Through: raft.EntryID{Index: 1, Term: 1}, Blocks: []*entry.Block{odd()}}}, "unknown kind"},
		"no such file":  {[]any{&Begin{Meta: raft.SnapshotMeta{Index: 4}}}, "index 4"},
		"nothing there": {[]any{&Committed{Through: raft.EntryID{Index: 1, Term: 1}}}, "not stored"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, &recorder{})
			r.begin()
			for _, m := range c.send {
				r.send(m)
			}
			for {
				select {
				case m := <-r.said:
					if b, ok := m.(*Broken); ok {
						if !strings.Contains(b.Err.Error(), c.want) {
							t.Errorf("%v does not say %q", b.Err, c.want)
						}
						return
					}
				case <-time.After(patience):
					t.Fatal("nothing broke")
				}
			}
		})
	}
}

func odd() *entry.Block {
	var b entry.Builder
	b.Append(17, 0, 0, 0, nil)
	return b.Seal(1, 1)
}

func TestReaderWithoutBlocksEndsInAnError(t *testing.T) {
	a := &applier{Config: Config{Reader: silentDisk{}}.withDefaults(), machine: noop{}, sessions: newSessions(), begun: true}
	turn := Config{}.withDefaults().newTurn(func() time.Duration { return 0 }, nil)
	if done, err := a.some(&batch{Committed: &Committed{Through: raft.EntryID{Index: 1, Term: 1}}}, &turn); done || err == nil {
		t.Errorf("done %v, err %v", done, err)
	}
}

// lost is a snapshot whose file has gone.
func lost(index raft.Index, term raft.Term) *Begin {
	return &Begin{Meta: raft.SnapshotMeta{Index: index, Term: term}, Open: func() (io.ReadCloser, error) {
		return nil, fmt.Errorf("snapshot %d: %w", index, os.ErrNotExist)
	}}
}

// While the state machine was busy two snapshots were installed, and the file of the first went when the second was durable.
func TestSnapshotOvertakesTheOneBefore(t *testing.T) {
	release := make(chan struct{})
	r := newRig(t, &recorder{block: release})
	r.begin()
	busy, after, read := newOutcome(), newOutcome(), newOutcome()
	r.send(&Committed{Through: raft.EntryID{Index: 1, Term: 1}, Blocks: []*entry.Block{block(1, 1, "a")}, Waiters: []Waiting{{Index: 1, Waiter: busy}}})
	r.send(lost(5, 1))
	r.send(&Committed{Through: raft.EntryID{Index: 6, Term: 1}, Blocks: []*entry.Block{block(1, 6, "f")}, Waiters: []Waiting{{Index: 6, Waiter: after}}})
	r.send(&Barrier{Index: 7, Waiter: read})
	r.send(snapshotOf(9, 2))
	close(release)
	expect[*Applied](r)
	if b := expect[*Begun](r); b.Index != 9 {
		t.Errorf("%+v", b)
	}
	busy.wait(t)
	after.wait(t)
	read.wait(t)
	if busy.err != nil || !errors.Is(after.err, ErrUnknown) || read.err != nil || read.index != 9 {
		t.Errorf("waiters %v and %v, read %d %v", busy.err, after.err, read.index, read.err)
	}
	r.send(&Committed{Through: raft.EntryID{Index: 10, Term: 2}, Blocks: []*entry.Block{block(2, 10, "z")}})
	if a := expect[*Applied](r); a.Index != 10 || a.Entries != 1 {
		t.Errorf("%+v", a)
	}
}

// rotten is a snapshot whose file cannot be read to its end.
func rotten(index raft.Index, term raft.Term) *Begin {
	whole := snapshotOf(index, term)
	return &Begin{Meta: whole.Meta, Open: func() (io.ReadCloser, error) {
		in, err := whole.Open()
		if err != nil {
			return nil, err
		}
		return io.NopCloser(io.MultiReader(in, iotest.ErrReader(errors.New("damaged")))), nil
	}}
}

// A snapshot that is gone, and no newer one follows, or that cannot be read leaves nothing to go on from. Whoever waits is turned away, nothing is
// applied, and there is nothing to capture, until another one comes, be it at the same index.
func TestUnreadableSnapshot(t *testing.T) {
	for name, bad := range map[string]*Begin{"gone": lost(5, 1), "rotten": rotten(5, 1)} {
		m := &recorder{}
		r := newRig(t, m)
		o, read, late := newOutcome(), newOutcome(), newOutcome()
		committed := func(w Waiter) *Committed {
			return &Committed{Through: raft.EntryID{Index: 6, Term: 1}, Blocks: []*entry.Block{block(1, 6, "f")}, Waiters: []Waiting{{Index: 6, Waiter: w}}}
		}
		r.send(bad)
		r.send(committed(o))
		r.send(&Barrier{Index: 5, Waiter: read})
		if u := expect[*Unreadable](r); u.Meta.Index != 5 || u.Err == nil {
			t.Errorf("%s: %+v", name, u)
		}
		r.send(committed(late))
		for _, w := range []*outcome{o, read, late} {
			w.wait(t)
			if !errors.Is(w.err, ErrUnknown) {
				t.Errorf("%s: %v", name, w.err)
			}
		}
		r.send(&Capture{ReplyTo: r.parent})
		if c := expect[*Captured](r); c.Err == nil {
			t.Errorf("%s: captured %+v", name, c)
		}
		r.send(snapshotOf(5, 1))
		if b := expect[*Begun](r); b.Index != 5 {
			t.Errorf("%s: %+v", name, b)
		}
		r.send(committed(newOutcome()))
		if a := expect[*Applied](r); a.Index != 6 {
			t.Errorf("%s: %+v", name, a)
		}
	}
}

// What the user makes of a whole file is the user's.
func TestRefusedSnapshotIsBroken(t *testing.T) {
	r := newRig(t, &recorder{refuse: errors.New("of another program")})
	r.send(snapshotOf(5, 1))
	if b := expect[*Broken](r); b.Err == nil {
		t.Error("nothing is wrong")
	}
}

// A batch that takes long is not mistaken for a state machine that hangs: how far it has come is told from time to time.
func TestProgressIsToldAmidABatch(t *testing.T) {
	s := newHandStage()
	m := &recorder{}
	m.before = func() { s.clock.move(DefaultReportEvery / 10) }
	r := newRigOn(t, m, s)
	r.begin()
	r.send(&Committed{Through: raft.EntryID{Index: 35, Term: 1}, Blocks: []*entry.Block{block(1, 1, letters(35)...)}})
	for i := range 3 {
		if p := expect[*Progress](r); p.Index < raft.Index(10*i) || p.Index > raft.Index(10*i+12) {
			t.Errorf("report %d: %+v", i+1, p)
		}
	}
	if a := expect[*Applied](r); a.Index != 35 || a.Entries != 35 {
		t.Errorf("%+v", a)
	}
}
