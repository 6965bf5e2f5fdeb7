package persister

import (
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/troupe-raft/troupe/raft"
)

// ErrClosed is the failure of a store that was closed.
var ErrClosed = errors.New("persister: the store is closed")

// A Store is a host's storage on disk: one Pebble database for all groups, opened by Open. It is a Storage.
// A Store whose disk failed writes nothing any more and gives its files up, but only Close tells when.
type Store struct {
	cfg  Config
	log  *slog.Logger
	home *home
	ice  *freezer
	slow interface{ Close() error } // the watch for a slow disk
	db   *pebble.DB

	mu      sync.RWMutex
	groups  map[raft.GroupID]*group // those loaded
	damaged map[raft.GroupID]error  // whose writes met damage, until they are destroyed

	failure atomic.Pointer[error]
	notifyM sync.Mutex
	notify  []func(error) // under notifyM

	lineage lineage

	queue  queue
	loads  loading
	syncs  chan *task     // applied, to be acknowledged in order
	users  sync.WaitGroup // reads and loads that use db
	gate   sync.RWMutex   // held to join users, so that none joins once gone is set
	gone   bool
	synced chan struct{} // syncLoop has ended
	closed chan struct{} // the database is closed and the folder unlocked
	ended  error         // why closing was not clean; read after closed
}

// A group is what is known of a loaded group's log. The committer alone changes it, under Store.mu.
type group struct {
	gen        generation
	loading    bool
	snapshot   raft.Index   // of the stored snapshot
	prev       raft.EntryID // the entry before the log
	firstBlock raft.Index   // first index of the first block; it may begin at or before prev. 0: there is none
	last       raft.EntryID // prev when the log is empty
	batch      uint64       // the Pebble batch that last changed it
}

// Open opens the store in cfg.Dir, or founds one in a folder that is missing or empty. It refuses, with an
// *OpenError, every folder that it cannot be sure of: another node's, in use, unreadable, damaged. With a *NoRoomError it refuses a disk that is too
// full to start on.
func Open(cfg Config) (*Store, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	cfg = cfg.withDefaults()
	if err := checkRoom(cfg); err != nil {
		return nil, err
	}
	s := &Store{
		cfg: cfg, log: cfg.Log, groups: map[raft.GroupID]*group{}, damaged: map[raft.GroupID]error{},
		syncs: make(chan *task, 64), synced: make(chan struct{}), closed: make(chan struct{}),
	}
	s.queue.ready = make(chan struct{}, 1)
	home, err := enter(cfg.FS, cfg.Dir, identity{Format: identityFormat, Cluster: cfg.Cluster, Node: cfg.Node, Founders: cfg.Founders}, cfg.KeepCluster)
	if err != nil {
		return nil, err
	}
	s.home = home
	if err := s.lineage.begin(home); err != nil {
		return nil, errors.Join(err, home.close())
	}
	s.ice = &freezer{FS: cfg.FS, home: home, manifests: manifests{home: home}, report: s.diskFailed}
	fs, slow := vfs.WithDiskHealthChecks(s.ice, cfg.SlowDisk, nil, func(i vfs.DiskSlowInfo) {
		s.log.Warn("disk is slow", "operation", i.String())
	})
	s.slow = slow
	if err := s.open(fs); err != nil {
		return nil, errors.Join(err, slow.Close(), home.close())
	}
	go s.commitLoop()
	go s.syncLoop()
	return s, nil
}

func (s *Store) open(fs vfs.FS) (err error) {
	dir := s.home.path(databaseName)
	if s.home.id.Ready {
		if s.ice.newest, err = inspect(s.home, &s.ice.manifests); err != nil {
			return err
		}
	} else if err := s.found(fs, dir); err != nil {
		return err
	}
	if s.db, err = s.openDatabase(fs, dir, true); err != nil {
		return err
	}
	if err = s.count(); err == nil {
		err = s.sweep()
	}
	if err != nil {
		return errors.Join(err, s.db.Close())
	}
	return nil
}

// found makes the database and closes it again: a new one's first log still has the oldest format, which does not
// say what was synced.
func (s *Store) found(fs vfs.FS, dir string) error {
	if err := s.cfg.FS.RemoveAll(dir); err != nil { // half made by a first start that was cut short
		return failed(dir, "cannot be removed", err)
	}
	db, err := s.openDatabase(fs, dir, false)
	if err != nil {
		return err
	}
	if err := errors.Join(db.Close(), s.Failed()); err != nil {
		return failed(dir, "cannot be made", err)
	}
	id := s.home.id
	id.Ready = true
	return s.home.identifyAs(id)
}

// Failed returns the failure that ended the store, or nil.
func (s *Store) Failed() error {
	if err := s.failure.Load(); err != nil {
		return *err
	}
	return nil
}

func (s *Store) diskFailed(op, name string, err error) {
	s.fail(fmt.Errorf("%s %s: %w", op, name, err))
}

// fail ends the store at its first failure. It may be called with any of Pebble's locks held.
func (s *Store) fail(err error) {
	err = fmt.Errorf("persister: store in %s failed: %w", s.cfg.Dir, err)
	if !s.failure.CompareAndSwap(nil, &err) {
		return
	}
	s.ice.frozen.Store(true)
	s.log.Error("store failed: nothing is acknowledged any more", "reason", oneLine(err))
	s.notifyM.Lock()
	notify := s.notify
	s.notify = nil
	s.notifyM.Unlock()
	for _, f := range notify {
		f(err)
	}
	s.queue.wake()
}

// Cluster is the name of the cluster that the folder was made for.
func (s *Store) Cluster() string {
	s.lineage.mu.Lock()
	defer s.lineage.mu.Unlock()
	return s.home.id.Cluster
}

// Founders is the Config.Founders that the folder was made with, or 0.
func (s *Store) Founders() uint32 {
	s.lineage.mu.Lock()
	defer s.lineage.mu.Unlock()
	return s.home.id.Founders
}

// OnFailure implements Storage.
func (s *Store) OnFailure(notify func(error)) {
	s.notifyM.Lock()
	err := s.Failed()
	if err == nil {
		s.notify = append(s.notify, notify)
	}
	s.notifyM.Unlock()
	if err != nil {
		notify(err)
	}
}

// use joins the users of the database, who must not outlast it. False when it is gone.
func (s *Store) use() bool {
	s.gate.RLock()
	defer s.gate.RUnlock()
	if s.gone {
		return false
	}
	s.users.Add(1)
	return true
}

// Close writes what was committed, closes the files and unlocks the folder. After a failure, or on a disk that does not
// answer, it gives up after Config.CloseWithin. It returns the failure of the store, if any, and is idempotent.
func (s *Store) Close() error {
	s.queue.close()
	timeout := time.NewTimer(s.cfg.CloseWithin)
	defer timeout.Stop()
	select {
	case <-s.closed:
	case <-timeout.C:
		return errors.Join(s.Failed(), refuse(s.cfg.Dir, nil, "the disk did not answer within %v: left open", s.cfg.CloseWithin))
	}
	return errors.Join(s.Failed(), s.ended)
}

// shut closes everything once the loops have ended.
func (s *Store) shut(wedged bool) {
	s.gate.Lock()
	s.gone = true
	s.gate.Unlock()
	s.users.Wait()
	if !wedged { // a panic inside Pebble leaves its locks held
		err := s.db.Close()
		if err == nil && s.Failed() == nil {
			err = s.noteLogs()
		}
		if err != nil && s.Failed() == nil {
			s.ended = fmt.Errorf("persister: close store in %s: %w", s.cfg.Dir, err)
		}
	}
	s.ended = errors.Join(s.ended, s.slow.Close(), s.home.close())
	close(s.closed)
}

// noteLogs notes how long the logs are that a clean end leaves: none of them can be torn. They are not written any more, so that this stays true
// as long as they are there. No log goes before the manifest says that it may, so that none may be missing as long as that is as it is now.
func (s *Store) noteLogs() error {
	s.lineage.mu.Lock()
	defer s.lineage.mu.Unlock()
	id := s.home.id
	id.Logs = append(s.ice.ended(), s.ice.manifests.ended())
	return s.home.identifyAs(id)
}

// SnapshotDir returns the folder for g's snapshots. It may not exist yet, is never shared with a destroyed
// group of the same id, and is removed, on Config.FS, when g is destroyed.
func (s *Store) SnapshotDir(g raft.GroupID) string {
	if known, ok := s.known(g); ok {
		return s.snapshotDir(g, known.gen)
	}
	gen := generation(1)
	if s.use() {
		defer s.users.Done()
		if r, err := s.record(g); err == nil && r.gen > 0 {
			gen = r.next().gen
		}
	}
	return s.snapshotDir(g, gen)
}

func (s *Store) snapshotDir(g raft.GroupID, gen generation) string {
	return s.cfg.FS.PathJoin(s.cfg.Dir, snapshotsName, fmt.Sprintf("%d.%d", uint64(g), gen))
}

// sweep removes the snapshots of groups that were destroyed.
func (s *Store) sweep() error {
	dir := s.home.path(snapshotsName)
	names, err := s.cfg.FS.List(dir)
	if err != nil {
		return nil // there are none yet; those who write there will tell what is wrong
	}
	for _, name := range names {
		id, gen, _ := strings.Cut(name, ".")
		g, err1 := strconv.ParseUint(id, 10, 64)
		n, err2 := strconv.ParseUint(gen, 10, 32)
		if err1 != nil || err2 != nil {
			continue
		}
		r, err := s.record(raft.GroupID(g))
		if err != nil && ofGroup(err) { // which its load will tell
			continue
		}
		if err != nil {
			return err
		}
		if current := r.next(); generation(n) >= current.gen {
			continue
		}
		if err := s.cfg.FS.RemoveAll(s.home.fs.PathJoin(dir, name)); err != nil {
			s.log.Warn("cannot remove a destroyed group's snapshots", "folder", name, "reason", err)
		}
	}
	return nil
}
