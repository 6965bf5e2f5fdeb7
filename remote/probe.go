package remote

import (
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/troupe-raft/troupe/raft"
)

// Greetings are cheap: whoever reaches the port may claim to be any node that TLS does not make him prove. So a greeting does not end
// the connection that a node has already. The accepting side probes that one first: it writes a byte there, the only one that ever goes
// that way, and the dialling side answers with an empty frame. Whatever arrives then shows that it lives, and the greeting is refused.
const probe = 0x3f

// signs tells those who wait for it that something arrived.
type signs struct {
	mu   sync.Mutex
	next chan struct{} // closed by the next sign; nil while nobody waits
}

func (s *signs) await() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.next == nil {
		s.next = make(chan struct{})
	}
	return s.next
}

func (s *signs) give() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.next != nil {
		close(s.next)
		s.next = nil
	}
}

// A signReader gives a sign whenever it has read something.
type signReader struct {
	io.Reader
	signs *signs
}

func (r signReader) Read(b []byte) (int, error) {
	n, err := r.Reader.Read(b)
	if n > 0 {
		r.signs.give()
	}
	return n, err
}

// A sign is what a connection shows of the process behind it.
type sign uint8

const (
	silent   sign = iota // nothing, or it has ended
	heard                // something arrived, which may have been under way for long
	answered             // the process has answered this probe
)

// answers probes the connection, at most for so long, and waits for the answer. Answers to earlier probes are none: they may
// have been under way when the process died.
func (in *inbound) answers(wait time.Duration) sign {
	arrived := in.signs.await()
	return in.probe(wait, func(timeout <-chan time.Time) (s sign) {
		mine := in.probes.Load()
		for {
			answer := in.answered.await()
			if in.replies.Load() >= mine {
				return answered
			}
			select {
			case <-answer:
			case <-arrived:
				s, arrived = heard, nil
			case <-in.done:
				return silent
			case <-timeout:
				return s
			}
		}
	})
}

// alive probes the connection, at most for so long, and takes anything that arrives for life.
func (in *inbound) alive(wait time.Duration) bool {
	arrived := in.signs.await()
	return in.probe(wait, func(timeout <-chan time.Time) sign {
		select {
		case <-arrived:
			return heard
		case <-in.done:
		case <-timeout:
		}
		return silent
	}) != silent
}

// probe sends a probe and sees what await makes of what follows.
func (in *inbound) probe(wait time.Duration, await func(timeout <-chan time.Time) sign) sign {
	timeout := time.NewTimer(wait)
	defer timeout.Stop()
	select {
	case <-in.welcomed: // else the byte would come before the verdict
	case <-in.done:
		return silent
	case <-timeout.C:
		return silent
	}
	in.probes.Add(1)
	_ = in.raw.SetWriteDeadline(time.Now().Add(wait))
	if _, err := in.conn.Write([]byte{probe}); err != nil {
		return silent
	}
	return await(timeout.C)
}

// claim lets a caller in: it is who it says it is, as far as anybody knows, and has no connection already.
func (t *TCP) claim(h *hello, s slot, in *inbound) error {
	if err := t.callers.enter(in.ctx, h.from); err != nil {
		return err
	}
	defer t.callers.leave(h.from)
	if err := t.identify(h, in); err != nil {
		return err
	}
	t.cfg.told(h)
	if err := t.seize(s, in); err != nil {
		return err
	}
	if g := t.cfg.Guard; g != nil {
		g.Entered(h.from, h.self, in.standing)
	}
	return nil
}

// seize puts in into its slot. One that is there already is replaced unless it lives, or is of a folder that does not count while this one does.
func (t *TCP) seize(s slot, in *inbound) error {
	for {
		older := t.occupy(s, in)
		if older == nil {
			return nil
		}
		if gives := in.standing.Counts() && !older.standing.Counts(); !gives && older.alive(t.cfg.ProbeTimeout) {
			return fmt.Errorf("node %d is connected already, from %v: two nodes share an ID, or one of the callers is not who it says",
				s.from, older.raw.RemoteAddr())
		}
		older.cancel(errReplaced)
		<-older.done // order within the lane outlives the change
	}
}

// occupy puts in into its slot if it is free, and returns what is there otherwise.
func (t *TCP) occupy(s slot, in *inbound) (older *inbound) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.stopping {
		in.cancel(errStopping)
	}
	if older = t.slots[s]; older == nil {
		t.slots[s] = in
	}
	return older
}

func (t *TCP) vacate(s slot, in *inbound) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.slots[s] == in {
		delete(t.slots, s)
	}
}

// HangUp ends the connections that come from node, because of what it sent: a message that no correct node sends. It is counted in
// PeerStats.HungUp and told like other failures of a connection. The node may call again, after its usual pause.
func (t *TCP) HangUp(node raft.NodeID, reason error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for s, in := range t.slots {
		if s.from == node {
			in.cancel(&HungUpError{reason})
		}
	}
	if p := t.peers[node]; p != nil {
		p.hungUp.Add(1)
	}
}

// A HungUpError says that this node ended a connection because of what came on it.
type HungUpError struct{ Reason error }

func (e *HungUpError) Error() string { return "remote: hung up on the peer: " + e.Reason.Error() }

// Unwrap returns the reason.
func (e *HungUpError) Unwrap() error { return e.Reason }
