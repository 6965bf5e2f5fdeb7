package raft

import "fmt"

// String is the mode in a word.
func (m ProgressMode) String() string {
	return [...]string{"probe", "stream", "snapshot", "unknown"}[min(m, Snapshot+1)]
}

// A ProgressStatus is an immutable picture of a Progress.
type ProgressStatus struct {
	Mode     ProgressMode
	Match    Index // the follower's log equals the leader's through here, on its disk
	Next     Index // of the next entry to send
	Messages int   // unanswered
	Bytes    int   // of payload in them
	Window   int   // bytes that may be unanswered, as the way to the follower is now; one message may always go
}

// Status returns a picture of p.
func (p *Progress) Status() ProgressStatus {
	return ProgressStatus{Mode: p.mode, Match: p.match, Next: p.next, Messages: len(p.flight), Bytes: p.bytes, Window: p.window.size}
}

// String is the picture in words.
func (s ProgressStatus) String() string {
	return fmt.Sprintf("%v: match %d, next %d, %d messages with %d of %d bytes unanswered", s.Mode, s.Match, s.Next, s.Messages, s.Bytes, s.Window)
}

// String tells how the follower is being fed.
func (p *Progress) String() string { return p.Status().String() }

// Check names the first invariant of pacing that does not hold, or returns nil. It costs a pass over what is in flight and changes
// nothing. A broken one makes a cluster slow or a follower starve, not wrong: see Progress.
func (p *Progress) Check() error {
	sum, through := 0, p.next-1
	for i := len(p.flight) - 1; i >= 0; i-- {
		s := &p.flight[i]
		if s.through != through || s.first > through+1 {
			return fmt.Errorf("raft: progress sends in order: %d..%d in flight, what follows begins at %d", s.first, s.through, through+1)
		}
		through = s.first - 1
		sum += s.bytes
	}
	switch n := len(p.flight); {
	case p.match >= p.next && p.mode != Snapshot: // whose end sets next
		return fmt.Errorf("raft: progress goes on behind what is confirmed: match %d, next %d", p.match, p.next)
	case sum != p.bytes:
		return fmt.Errorf("raft: progress counts bytes in flight: %d of %d are counted", p.bytes, sum)
	case n > p.pace.MaxMessages:
		return fmt.Errorf("raft: progress keeps to Pace.MaxMessages: %d in flight of %d", n, p.pace.MaxMessages)
	case p.mode == Probe && n > 1:
		return fmt.Errorf("raft: progress probes with one message: %d in flight", n)
	case p.mode == Snapshot && n > 0:
		return fmt.Errorf("raft: progress sends nothing beside a snapshot: %d in flight", n)
	case p.paused && (p.mode != Probe || n > 0):
		return fmt.Errorf("raft: progress pauses with nothing under way: %v, %d in flight", p.mode, n)
	case p.retry < p.pace.RetryFirst || p.retry > p.pace.RetryMax:
		return fmt.Errorf("raft: progress keeps to Pace.RetryFirst and RetryMax: %v is not in %v..%v", p.retry, p.pace.RetryFirst, p.pace.RetryMax)
	case p.window.size > p.pace.MaxBytes || p.window.size < min(p.pace.MinBytes, p.pace.MaxBytes):
		return fmt.Errorf("raft: progress keeps to Pace.MinBytes and MaxBytes: %d is not in %d..%d", p.window.size, p.pace.MinBytes, p.pace.MaxBytes)
	}
	return p.checkLost()
}

// checkLost: what was taken for lost can be taken back only as long as nothing of it was sent again.
func (p *Progress) checkLost() error {
	for i := range p.lost {
		if i > 0 && p.lost[i].first != p.lost[i-1].through+1 {
			return fmt.Errorf("raft: progress remembers in order what it gave up: %d follows %d", p.lost[i].first, p.lost[i-1].through)
		}
	}
	if len(p.lost) > 0 && p.bytes > 0 {
		return fmt.Errorf("raft: progress takes nothing back that it sent again: %d bytes in flight", p.bytes)
	}
	return nil
}
