package persister

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/troupe-raft/troupe/raft"
)

// Remains are what a store left, how many of the world's changes it had promised, and how many it had been sent.
type remains struct {
	disk           *vfs.MemFS
	promised, sent int
	note           string
}

// recover opens what remains. All groups together must be as they were after one of the changes: none that was promised is missing,
// none that was not sent is there, and the groups agree on which.
func (w *world) recover(c remains) {
	w.t.Helper()
	store, err := Open(config(c.disk, "d"))
	if err != nil {
		w.t.Fatalf("%s: %v", c.note, err)
	}
	defer func() {
		if err := store.Close(); err != nil {
			w.t.Fatalf("%s: close: %v", c.note, err)
		}
	}()
	var found [len(w.groups)]moment
	for g := range w.groups {
		found[g] = look(w.t, store, &w.groups[g], c.note)
	}
	var at [len(w.groups)]int // in each past
	for n := 0; n <= c.sent; n++ {
		if n > 0 {
			at[w.order[n-1]]++
		}
		same := n >= c.promised
		for g := 0; g < len(found) && same; g++ {
			p := w.groups[g].past[at[g]]
			same = p.is(found[g])
		}
		if same {
			return
		}
	}
	w.t.Fatalf("%s: nothing between change %d, which was promised, and %d looked like\n%s", c.note, c.promised, c.sent, w.explain(found))
}

func (w *world) explain(found [4]moment) string {
	var b bytes.Buffer
	for g, m := range found {
		fmt.Fprintf(&b, "group %d, alive %v, life %d: %+v", g, m.alive, m.life, m.state)
		changes := 0
		for n, of := range append([]int{g}, w.order...) {
			if of != g {
				continue
			}
			if w.groups[g].past[changes].is(m) {
				fmt.Fprintf(&b, "; as after change %d", n)
			}
			changes++
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// look loads one group and reads all of its log, whose entries tell which life they are of.
func look(t testing.TB, store *Store, h *history, note string) moment {
	t.Helper()
	type loaded struct {
		state raft.State
		fresh bool
		err   error
	}
	done := make(chan loaded, 1)
	store.Load(h.id, func(s raft.State, fresh bool, err error) { done <- loaded{s, fresh, err} })
	l := <-done
	if l.err != nil {
		t.Fatalf("%s: group %d: %v", note, h.id, l.err)
	}
	m := moment{alive: !l.fresh, state: l.state}
	files, _ := store.cfg.FS.List(store.SnapshotDir(h.id)) // no folder, no files
	for _, name := range files {
		if _, err := fmt.Sscanf(name, snapshotOf, &m.life); err != nil || l.fresh {
			t.Fatalf("%s: group %d, fresh %v, has the snapshot %q", note, h.id, l.fresh, name)
		}
	}
	for i := l.state.Prev.Index + 1; len(l.state.Runs) > 0 && i <= l.state.Runs[len(l.state.Runs)-1].Last; {
		blocks, err := store.Blocks(h.id, i, i, 1)
		if err != nil {
			t.Fatalf("%s: group %d: %v", note, h.id, err)
		}
		for e := range blocks[0].All() {
			if e.Kind != raft.Command {
				continue
			}
			if m.life == 0 {
				m.life = lifeOf(e.Data)
			}
			if !bytes.HasPrefix(e.Data, label(h.id, m.life, e.Index, e.Term)) {
				t.Fatalf("%s: group %d in life %d has entry %d of term %d with %.40q", note, h.id, m.life, e.Index, e.Term, e.Data)
			}
		}
		i = blocks[0].Last() + 1
	}
	return m
}
