package persister

import (
	"sync"

	"github.com/cockroachdb/pebble/v2"

	"github.com/troupe-raft/troupe/raft"
)

// A task is what the store's committer does next: one of commit (done set), load (loaded set) or forget.
type task struct {
	ops    []Op
	done   func(error)
	batch  *pebble.Batch // applied, its sync awaited; nil when there was nothing to write
	remove []string      // folders of groups that ops destroy

	group  raft.GroupID
	loaded func(raft.State, bool, error)
}

// A queue hands tasks from the storage's caller to the committer. The caller bounds it: see Props.
type queue struct {
	mu     sync.Mutex
	tasks  []*task
	closed bool
	ready  chan struct{} // holds a token while there may be something to do
}

// put adds t. False when the queue is closed.
func (q *queue) put(t *task) bool {
	q.mu.Lock()
	ok := !q.closed
	if ok {
		q.tasks = append(q.tasks, t)
	}
	q.mu.Unlock()
	q.wake()
	return ok
}

func (q *queue) wake() {
	select {
	case q.ready <- struct{}{}:
	default:
	}
}

func (q *queue) close() {
	q.mu.Lock()
	q.closed = true
	q.mu.Unlock()
	q.wake()
}

// take waits for tasks and returns them, in order, in exchange for an empty slice. None: the queue was closed.
func (q *queue) take(spare []*task, broken func() bool) []*task {
	for {
		q.mu.Lock()
		tasks := q.tasks
		q.tasks = spare
		done := q.closed || broken()
		if done {
			q.closed = true
		}
		q.mu.Unlock()
		if len(tasks) > 0 || done {
			return tasks
		}
		spare = tasks
		<-q.ready
	}
}
