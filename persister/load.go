package persister

import (
	"errors"
	"fmt"
	"sync"

	"github.com/cockroachdb/pebble/v2"

	"github.com/troupe-raft/troupe/entry"
	"github.com/troupe-raft/troupe/raft"
)

// loaders bounds the goroutines that scan logs at once.
const loaders = 4

// A loading is the loads that wait for a goroutine. One that has nothing left to do ends.
type loading struct {
	mu      sync.Mutex
	waiting []*load
	running int
}

type load struct {
	*task
	group *group // the place that the committer has made for the group
}

// load has a group read. The committer calls it, so that all that was committed before is seen.
func (w *writer) load(t *task) {
	l := &load{task: t, group: &group{loading: true}}
	w.mu.Lock()
	w.groups[t.group] = l.group
	w.mu.Unlock()
	w.loads.mu.Lock()
	w.loads.waiting = append(w.loads.waiting, l)
	start := w.loads.running < loaders && w.use()
	if start {
		w.loads.running++
	}
	w.loads.mu.Unlock()
	if start {
		go w.loadLoop()
	}
}

func (s *Store) loadLoop() {
	defer s.users.Done()
	for {
		s.loads.mu.Lock()
		if len(s.loads.waiting) == 0 {
			s.loads.running--
			s.loads.mu.Unlock()
			return
		}
		l := s.loads.waiting[0]
		s.loads.waiting[0] = nil
		s.loads.waiting = s.loads.waiting[1:]
		s.loads.mu.Unlock()
		s.loadOne(l)
	}
}

func (s *Store) loadOne(l *load) {
	if s.Failed() != nil {
		s.refuse(l.task)
		return
	}
	state, found, fresh, err := s.read(l.task.group)
	s.mu.Lock()
	if s.groups[l.task.group] == l.group { // neither forgotten nor destroyed meanwhile
		if err != nil {
			delete(s.groups, l.task.group)
		}
		*l.group = found
	}
	s.mu.Unlock()
	l.loaded(state, fresh, err)
}

// read scans everything of a group.
func (s *Store) read(id raft.GroupID) (state raft.State, g group, fresh bool, err error) {
	r, err := s.record(id)
	if err != nil {
		return state, g, false, err
	}
	g.gen = r.next().gen
	if !r.alive {
		return state, g, true, nil
	}
	if err = s.readHead(id, &g, &state); err != nil {
		return state, g, false, err
	}
	it, err := s.blocksOf(id, g.gen)
	if err != nil {
		return state, g, false, err
	}
	err = s.readLog(it, id, &g, &state)
	if closing := it.Close(); err == nil {
		err = closing
	}
	if err == nil {
		err = s.plausible(id, &g, &state)
	}
	return state, g, false, err
}

// readHead reads what precedes the log.
func (s *Store) readHead(id raft.GroupID, g *group, state *raft.State) error {
	key := appendKey(nil, id, g.gen, hardPart)
	err := s.get(key, func(value []byte) (err error) {
		state.Hard, err = decodeHard(key, value)
		return err
	})
	if err != nil && !errors.Is(err, pebble.ErrNotFound) {
		return s.corrupt(id, 0, "term and vote", err)
	}
	key = appendKey(nil, id, g.gen, metaPart)
	var m meta
	err = s.get(key, func(value []byte) (err error) {
		m, err = decodeMeta(key, value)
		return err
	})
	if err != nil {
		return s.corrupt(id, 0, "snapshot metadata", err)
	}
	state.Snapshot, state.Prev = m.snapshot, m.prev
	g.snapshot, g.prev, g.last = m.snapshot.Index, m.prev, m.prev
	return nil
}

func (s *Store) get(key []byte, use func(value []byte) error) error {
	value, closer, err := s.db.Get(key)
	if err != nil {
		return err
	}
	return errors.Join(use(value), closer.Close())
}

// readLog verifies every block and gathers runs and memberships.
func (s *Store) readLog(it *pebble.Iterator, id raft.GroupID, g *group, state *raft.State) error {
	for ok := it.First(); ok; ok = it.Next() {
		b, err := s.at(it, id, false)
		if err != nil {
			return err
		}
		next := g.last.Index + 1
		straddles := g.firstBlock == 0 && b.First() < next && b.Last() >= next
		switch {
		case b.First() != next && !straddles:
			return s.corrupt(id, next, fmt.Sprintf("block is missing, the next is %v", b), nil)
		case b.Term() < g.last.Term || straddles && b.Term() != g.prev.Term:
			return s.corrupt(id, b.First(), fmt.Sprintf("%v after term %d", b, g.last.Term), nil)
		}
		if g.firstBlock == 0 {
			g.firstBlock = b.First()
		}
		g.last = raft.EntryID{Index: b.Last(), Term: b.Term()}
		state.Bytes += b.Size()
		state.Stamp = max(state.Stamp, b.Stamp())
		if n := len(state.Runs); n > 0 && state.Runs[n-1].Term == b.Term() {
			state.Runs[n-1].Last = b.Last()
		} else {
			state.Runs = append(state.Runs, raft.Run{First: next, Last: b.Last(), Term: b.Term()})
		}
		changes, err := b.Changes()
		if err != nil {
			return s.corrupt(id, b.First(), "block", err)
		}
		for _, c := range changes {
			if c.Index >= next {
				state.Changes = append(state.Changes, c)
			}
		}
	}
	if err := it.Error(); err != nil {
		return s.unread(id, g.last.Index+1, "log cannot be read", err)
	}
	return nil
}

// plausible refuses parts that are whole but cannot belong together.
func (s *Store) plausible(id raft.GroupID, g *group, state *raft.State) error {
	switch {
	case state.Prev.Index > state.Snapshot.Index:
		return s.corrupt(id, state.Prev.Index, fmt.Sprintf("log begins after the snapshot at %d", state.Snapshot.Index), nil)
	case g.last.Index < state.Snapshot.Index:
		return s.corrupt(id, g.last.Index, fmt.Sprintf("log ends before the snapshot at %d", state.Snapshot.Index), nil)
	case state.Hard.Term < g.last.Term || state.Hard.Term < state.Snapshot.Term:
		return s.corrupt(id, g.last.Index, fmt.Sprintf("log is of term %d, the stored term is %d", g.last.Term, state.Hard.Term), nil)
	}
	return nil
}

// Blocks implements Reader.
func (s *Store) Blocks(id raft.GroupID, from, to raft.Index, maxBytes int) ([]*entry.Block, error) {
	if err := s.Failed(); err != nil {
		return nil, err
	}
	if !s.use() {
		return nil, ErrClosed
	}
	defer s.users.Done()
	g, ok := s.known(id)
	switch {
	case !ok && s.damage(id) != nil:
		return nil, s.damage(id)
	case !ok || from > to:
		return nil, fmt.Errorf("group %d, index %d: %w", id, from, ErrMissing)
	case from <= g.prev.Index:
		return nil, fmt.Errorf("group %d, index %d: %w", id, from, ErrCompacted)
	case from > g.last.Index:
		return nil, fmt.Errorf("group %d, index %d: %w", id, from, ErrMissing)
	}
	return s.stored(id, g, from, to, maxBytes)
}

// known returns a copy of what is known of a loaded group.
func (s *Store) known(id raft.GroupID) (group, bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	g, ok := s.groups[id]
	if !ok || g.loading {
		return group{}, false
	}
	return *g, true
}

// stored reads blocks of a log that was g a moment ago.
func (s *Store) stored(id raft.GroupID, g group, from, to raft.Index, maxBytes int) ([]*entry.Block, error) {
	it, err := s.blocksOf(id, g.gen)
	if err != nil {
		return nil, err
	}
	blocks, err := s.collect(it, id, g.gen, from, to, maxBytes)
	if closing := it.Close(); err == nil && closing != nil {
		return nil, closing
	}
	if errors.Is(err, ErrMissing) {
		if now, ok := s.known(id); ok && now.gen == g.gen && from <= now.prev.Index { // while we looked
			err = fmt.Errorf("group %d, index %d: %w", id, from, ErrCompacted)
		}
	}
	return blocks, err
}

func (s *Store) collect(it *pebble.Iterator, id raft.GroupID, gen generation, from, to raft.Index, maxBytes int) (blocks []*entry.Block, err error) {
	size := 0
	for ok := it.SeekLT(appendBlockKey(nil, id, gen, from+1)); ok; ok = it.Next() {
		if i, _ := blockIndex(it.Key()); i > to {
			break
		}
		if len(blocks) > 0 {
			value, err := it.ValueAndErr()
			if err != nil {
				return nil, s.unread(id, blocks[len(blocks)-1].Last()+1, "block cannot be read", err)
			}
			if size += len(value); size > maxBytes {
				break
			}
		}
		b, err := s.at(it, id, true)
		if err != nil {
			return nil, err
		}
		if n := len(blocks); n == 0 {
			size = b.Size()
			if b.Last() < from {
				break // being written, or replaced, or compacted at this moment
			}
		} else if prior := blocks[n-1]; b.First() != prior.Last()+1 || b.Term() < prior.Term() {
			return nil, s.corrupt(id, prior.Last()+1, fmt.Sprintf("%v follows %v", b, prior), nil)
		}
		blocks = append(blocks, b)
	}
	if err := it.Error(); err != nil {
		return nil, s.unread(id, from, "log cannot be read", err)
	}
	if len(blocks) == 0 {
		return nil, fmt.Errorf("group %d, index %d: %w", id, from, ErrMissing)
	}
	return blocks, nil
}
