package main

import (
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/hashicorp/raft"
)

// hashicorpMachine is the state machine as hashicorp/raft wants it. It implements raft.BatchingFSM.
type hashicorpMachine struct {
	machine
	applied progress // the library's own AppliedIndex is of what it has handed over
	answers []any    // all nil: what ApplyBatch returns is read before the next call
}

func (m *hashicorpMachine) ApplyBatch(logs []*raft.Log) []any {
	for _, l := range logs {
		if l.Type == raft.LogCommand {
			m.apply(l.Data)
		}
	}
	m.applied.advance(logs[len(logs)-1].Index)
	if len(logs) > len(m.answers) {
		m.answers = make([]any, max(len(logs), hashicorpMaxAppend))
	}
	return m.answers[:len(logs)]
}

func (m *hashicorpMachine) Apply(l *raft.Log) any {
	m.apply(l.Data)
	m.applied.advance(l.Index)
	return nil
}

// errNoSnapshots refuses what the settings rule out.
var errNoSnapshots = errors.New("snapshots are off in this benchmark")

func (m *hashicorpMachine) Snapshot() (raft.FSMSnapshot, error) {
	if !m.keep {
		return nil, errNoSnapshots
	}
	return hashicorpSnapshot(m.capture()), nil
}

func (m *hashicorpMachine) Restore(r io.ReadCloser) error {
	if !m.keep {
		return errNoSnapshots
	}
	return m.restore(r)
}

// hashicorpSnapshot writes a captured state.
type hashicorpSnapshot func(io.Writer) error

func (s hashicorpSnapshot) Persist(sink raft.SnapshotSink) error {
	if err := s(sink); err != nil {
		return errors.Join(err, sink.Cancel())
	}
	return sink.Close()
}

func (hashicorpSnapshot) Release() {}

// A progress is how far a machine has come in the log. It is safe for concurrent use.
type progress struct {
	mu      sync.Mutex
	index   uint64
	changed chan struct{} // closed by the next advance; nil while nobody waits
}

func (p *progress) advance(index uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.index = max(p.index, index)
	if p.changed != nil {
		close(p.changed)
		p.changed = nil
	}
}

// await waits until the machine has come to index.
func (p *progress) await(index uint64, timeout time.Duration) error {
	var late <-chan time.Time
	for {
		p.mu.Lock()
		at := p.index
		if at < index && p.changed == nil {
			p.changed = make(chan struct{})
		}
		changed := p.changed
		p.mu.Unlock()
		if at >= index {
			return nil
		}
		if late == nil {
			late = time.After(timeout)
		}
		select {
		case <-changed:
		case <-late:
			return fmt.Errorf("applied up to %d, not %d, after %v", at, index, timeout)
		}
	}
}
