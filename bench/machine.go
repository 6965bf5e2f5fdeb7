package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"sync/atomic"
	"time"
)

// convergeTimeout bounds the wait for the followers to apply what the leader has.
const convergeTimeout = 15 * time.Second

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// A machine is the replicated state machine that every peer runs: it counts operations and keeps a checksum over all
// payloads in order, so that a lost, doubled, changed or reordered operation shows. One goroutine at a time
// applies; anyone may look.
type machine struct {
	count atomic.Uint64
	sum   atomic.Uint32
}

func (m *machine) apply(data []byte) {
	m.sum.Store(crc32.Update(m.sum.Load(), castagnoli, data))
	m.count.Store(m.count.Load() + 1)
}

// machineState is the size of a saved machine in bytes.
const machineState = 12

// save is the whole state, as a snapshot holds it. Only the applying goroutine may call it.
func (m *machine) save() []byte {
	b := binary.BigEndian.AppendUint64(make([]byte, 0, machineState), m.count.Load())
	return binary.BigEndian.AppendUint32(b, m.sum.Load())
}

// load takes a saved state over. Only the applying goroutine may call it.
func (m *machine) load(b []byte) error {
	if len(b) != machineState {
		return fmt.Errorf("snapshot of %d bytes, not %d", len(b), machineState)
	}
	m.sum.Store(binary.BigEndian.Uint32(b[8:]))
	m.count.Store(binary.BigEndian.Uint64(b))
	return nil
}

// verify waits until all machines agree, then holds them against the number of acknowledged operations.
func verify(ctx context.Context, machines []*machine, acknowledged uint64, timeout time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	poll := time.NewTicker(2 * time.Millisecond)
	defer poll.Stop()
	for {
		err := diverged(machines)
		if err == nil {
			return confirmed(machines[0], acknowledged)
		}
		select {
		case <-poll.C:
		case <-ctx.Done():
			return errors.Join(err, confirmed(machines[0], acknowledged))
		}
	}
}

// diverged says how the machines differ, or nil.
func diverged(machines []*machine) error {
	count, sum := machines[0].count.Load(), machines[0].sum.Load()
	for i, m := range machines[1:] {
		if c := m.count.Load(); c != count {
			return fmt.Errorf("follower %d applied %d operations, the leader %d", i+1, c, count)
		}
		if s := m.sum.Load(); s != sum {
			return fmt.Errorf("follower %d has checksum %08x after %d operations, the leader %08x", i+1, s, count, sum)
		}
	}
	return nil
}

func confirmed(leader *machine, acknowledged uint64) error {
	if count := leader.count.Load(); count < acknowledged {
		return fmt.Errorf("leader applied %d operations, but %d were acknowledged", count, acknowledged)
	}
	return nil
}
