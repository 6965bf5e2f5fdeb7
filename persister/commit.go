package persister

import (
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"

	"github.com/troupe-raft/troupe/raft"
)

// Commit implements Storage.
func (s *Store) Commit(ops []Op, done func(error)) {
	s.put(&task{ops: ops, done: done})
}

// Load implements Storage.
func (s *Store) Load(g raft.GroupID, done func(raft.State, bool, error)) {
	s.put(&task{group: g, loaded: done})
}

// Forget implements Storage.
func (s *Store) Forget(g raft.GroupID) { s.put(&task{group: g}) }

func (s *Store) put(t *task) {
	if !s.queue.put(t) {
		s.refuse(t)
	}
}

// refuse answers a task that will not be done.
func (s *Store) refuse(t *task) {
	err := s.Failed()
	if err == nil {
		err = ErrClosed
	}
	switch {
	case t.done != nil:
		t.done(err)
	case t.loaded != nil:
		t.loaded(raft.State{}, false, err)
	}
}

// commitLoop applies tasks to Pebble, which hands them to its log, and passes them on to syncLoop. Applying may block
// while a slow disk lags behind, which is why the actor does not do it.
func (s *Store) commitLoop() {
	var (
		w     = writer{Store: s}
		tasks []*task
	)
	for {
		clear(tasks)
		tasks = s.queue.take(tasks[:0], func() bool { return s.Failed() != nil })
		if len(tasks) == 0 {
			break
		}
		for _, t := range tasks {
			s.run(&w, t)
		}
	}
	close(s.syncs)
	<-s.synced
	s.shut(w.wedged)
}

func (s *Store) run(w *writer, t *task) {
	switch {
	case s.Failed() != nil && t.done != nil:
		s.syncs <- t // in its turn
	case s.Failed() != nil:
		s.refuse(t)
	case t.done != nil:
		if err := w.commit(t); err != nil {
			s.fail(err)
		}
		s.syncs <- t
	case t.loaded != nil && s.damage(t.group) != nil:
		t.loaded(raft.State{}, false, s.damage(t.group))
	case t.loaded != nil:
		w.load(t)
	default:
		s.forget(t.group)
	}
}

func (s *Store) forget(g raft.GroupID) {
	s.mu.Lock()
	delete(s.groups, g)
	s.mu.Unlock()
}

// syncLoop waits for each commit's sync, in order, and answers it.
func (s *Store) syncLoop() {
	for t := range s.syncs {
		err := s.Failed()
		if err == nil && t.batch != nil {
			if err = t.batch.SyncWait(); err != nil {
				s.fail(fmt.Errorf("sync: %w", err))
			}
			// The failure is looked at after the sync: a frozen file system claims success.
			if err = s.Failed(); err == nil {
				err = t.batch.Close()
			}
		}
		if err != nil {
			t.done(err)
			continue
		}
		t.done(nil)
		for _, dir := range t.remove {
			s.discard(dir)
		}
	}
	close(s.synced)
}

// discard removes the folder of a destroyed group. What remains of it is in nobody's way: the store does not fail over it.
func (s *Store) discard(dir string) {
	if s.Failed() != nil {
		return
	}
	if err := s.cfg.FS.RemoveAll(dir); err != nil {
		s.log.Warn("cannot remove a destroyed group's snapshots", "folder", dir, "reason", err)
	}
}

// A writer turns ops into Pebble batches. It belongs to the committer.
type writer struct {
	*Store
	batch  *pebble.Batch
	number uint64 // of batch: groups that it changed bear it
	key    []byte
	wedged bool // Pebble panicked

	unsynced bool // a batch was applied without a sync of its own
}

// commit applies t's ops, all in one batch unless a later one needs to read what an earlier one wrote.
func (w *writer) commit(t *task) (err error) {
	defer func() {
		if r := recover(); r != nil {
			w.wedged = true
			err = panicked(r)
		}
	}()
	w.begin()
	for i := range t.ops {
		if err := w.op(t, &t.ops[i]); err != nil {
			if !ofGroup(err) {
				return err
			}
			t.ops[i].Err = err
			w.reject(t.ops[i].Group, err)
		}
	}
	if w.batch.Empty() && w.unsynced {
		if err := w.batch.LogData(nil, nil); err != nil {
			return err
		}
	}
	if w.batch.Empty() {
		return w.batch.Close()
	}
	w.unsynced = false
	if err := w.db.ApplyNoSyncWait(w.batch, pebble.Sync); err != nil {
		return err
	}
	if w.Failed() == nil { // otherwise nobody may ever signal the sync
		t.batch = w.batch
	}
	return nil
}

// reject takes nothing more from a group: nothing that comes after may be acknowledged. One that is damaged is neither read nor loaded again,
// since a load cannot notice every damage: that of a log whose end is gone.
func (s *Store) reject(g raft.GroupID, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.groups, g)
	if corrupt := (*CorruptError)(nil); errors.As(err, &corrupt) {
		s.damaged[g] = err
	}
}

// damage is what a write of g has met.
func (s *Store) damage(g raft.GroupID) error {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.damaged[g]
}

// ofGroup says whether an op failed for its own group's sake: it broke an invariant, or met damage. What Pebble could not read
// or write is the store's failure.
func ofGroup(err error) bool {
	var (
		broken  *invariantError
		corrupt *CorruptError
	)
	return errors.As(err, &broken) || errors.As(err, &corrupt) && !corrupt.unread
}

func (w *writer) begin() {
	w.batch = w.db.NewBatch()
	w.number++
}

// split applies the batch so far without a sync of its own: the log is synced in order, the next sync covers it.
func (w *writer) split() error {
	if err := w.db.Apply(w.batch, pebble.NoSync); err != nil {
		return err
	}
	if err := w.batch.Close(); err != nil {
		return err
	}
	w.begin()
	w.unsynced = true
	return nil
}
