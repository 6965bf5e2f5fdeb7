package actors

import (
	"testing"
	"time"

	"github.com/troupe-raft/troupe/raft"
)

// TestCaughtUpWithTheLeader: a follower has caught up when it has applied what the leader had committed a moment ago, whatever it had applied before it was
// away.
func TestCaughtUpWithTheLeader(t *testing.T) {
	const within = time.Second
	type at struct {
		ms      int
		commit  raft.Index // that the leader tells of then; 0: nothing
		applied raft.Index
		want    bool
	}
	for name, steps := range map[string][]at{
		"nothing was heard":           {{0, 0, 9, false}},
		"it has all":                  {{0, 9, 9, true}, {100, 9, 9, true}},
		"it lacks what it heard":      {{0, 9, 8, false}, {100, 0, 9, true}},
		"it lacks what came since":    {{0, 9, 9, true}, {300, 50, 9, true}, {900, 90, 10, true}, {1400, 99, 20, false}, {1500, 99, 50, true}},
		"it lags, but keeps up":       {{0, 100, 100, true}, {400, 200, 110, true}, {800, 300, 150, true}, {1200, 400, 180, true}, {1600, 500, 220, true}, {2000, 600, 310, true}},
		"it was stopped":              {{0, 9, 9, true}, {5000, 0, 9, false}, {5001, 900, 9, false}, {5002, 901, 900, false}, {5003, 0, 901, true}},
		"it reads what was kept back": {{0, 9, 9, true}, {5000, 10, 10, true}, {5001, 300, 10, false}, {5100, 900, 300, false}, {5200, 0, 900, true}},
		"the leader falls silent":     {{0, 9, 9, true}, {1000, 0, 9, true}, {1001, 0, 9, false}},
	} {
		l := &lag{}
		for i, s := range steps {
			now := time.Duration(s.ms) * time.Millisecond
			if s.commit > 0 {
				l.tell(now, 1, 3, s.commit, within)
			}
			if got := l.caughtUp(now, 1, 3, s.applied, within); got != s.want {
				t.Errorf("%s, step %d: %t", name, i, got)
			}
			if l.caughtUp(now, 2, 3, 1<<40, within) || l.caughtUp(now, 1, 4, 1<<40, within) {
				t.Errorf("%s, step %d: by another leader's word", name, i)
			}
			if len(l.told) > lagParts+2 {
				t.Errorf("%s, step %d: %d words are kept", name, i, len(l.told))
			}
		}
	}
	l := &lag{}
	l.tell(0, 1, 3, 100, within)
	l.tell(1, 2, 4, 90, within)
	if !l.caughtUp(1, 2, 4, 90, within) {
		t.Error("a new leader is held to the word of the one before")
	}
}
