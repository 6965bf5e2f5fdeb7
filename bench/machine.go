package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"slices"
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
	count    atomic.Uint64
	sum      atomic.Uint32
	restored atomic.Bool // the state came with a snapshot

	keep bool     // payloads, which are the state then; else none
	kept [][]byte // only ever appended to
}

func (m *machine) apply(data []byte) {
	if m.keep {
		m.kept = append(m.kept, bytes.Clone(data))
	}
	m.sum.Store(crc32.Update(m.sum.Load(), castagnoli, data))
	m.count.Store(m.count.Load() + 1)
}

// machineHead is the size in bytes of what a saved machine begins with: count and checksum. What was kept follows, each behind its length.
const machineHead = 12

// capture takes the whole state as it is, for the function that writes it. Only the applying goroutine may call it, any may call the function.
func (m *machine) capture() func(io.Writer) error {
	head := binary.BigEndian.AppendUint64(make([]byte, 0, machineHead), m.count.Load())
	head = binary.BigEndian.AppendUint32(head, m.sum.Load())
	kept := m.kept[:len(m.kept):len(m.kept)]
	return func(w io.Writer) error {
		if _, err := w.Write(head); err != nil {
			return err
		}
		var size [4]byte
		for _, b := range kept {
			binary.BigEndian.PutUint32(size[:], uint32(len(b)))
			if _, err := w.Write(size[:]); err != nil {
				return err
			}
			if _, err := w.Write(b); err != nil {
				return err
			}
		}
		return nil
	}
}

// restore takes a saved state over. Only the applying goroutine may call it.
func (m *machine) restore(r io.Reader) error {
	var head [machineHead]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return fmt.Errorf("snapshot: %w", err)
	}
	count, sum := binary.BigEndian.Uint64(head[:]), binary.BigEndian.Uint32(head[8:])
	var kept [][]byte
	var whole uint32 // checksum of what was kept
	for {
		var size [4]byte
		_, err := io.ReadFull(r, size[:])
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return fmt.Errorf("snapshot: %w", err)
		}
		b := make([]byte, min(binary.BigEndian.Uint32(size[:]), maxPayload))
		if _, err := io.ReadFull(r, b); err != nil {
			return fmt.Errorf("snapshot: %w", err)
		}
		kept, whole = append(kept, b), crc32.Update(whole, castagnoli, b)
	}
	if m.keep && (uint64(len(kept)) != count || whole != sum) {
		return fmt.Errorf("snapshot of %d payloads with checksum %08x, not %d with %08x", len(kept), whole, count, sum)
	}
	m.kept = kept
	m.sum.Store(sum)
	m.count.Store(count)
	m.restored.Store(true)
	return nil
}

// reset goes back to the empty state. Only the applying goroutine may call it.
func (m *machine) reset() {
	m.kept = nil
	m.sum.Store(0)
	m.count.Store(0)
}

// save is what capture's function writes. Only the applying goroutine may call it.
func (m *machine) save() []byte {
	size := machineHead
	for _, b := range m.kept {
		size += 4 + len(b)
	}
	out := bytes.NewBuffer(make([]byte, 0, size))
	_ = m.capture()(out) // a Buffer takes all
	return out.Bytes()
}

// load restores what save returned. Only the applying goroutine may call it.
func (m *machine) load(b []byte) error { return m.restore(bytes.NewReader(b)) }

// reached waits until all machines have applied so many operations.
func reached(ctx context.Context, machines []*machine, count uint64) error {
	poll := time.NewTicker(time.Millisecond)
	defer poll.Stop()
	for {
		least := slices.MinFunc(machines, func(a, b *machine) int { return cmp.Compare(a.count.Load(), b.count.Load()) }).count.Load()
		if least >= count {
			return nil
		}
		select {
		case <-poll.C:
		case <-ctx.Done():
			return fmt.Errorf("a voter applied %d operations of %d: %w", least, count, ctx.Err())
		}
	}
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
