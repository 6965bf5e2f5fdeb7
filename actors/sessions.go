package actors

import (
	"cmp"
	"time"

	"github.com/troupe-raft/troupe/applier"
)

// sessionLimits are what this leader puts into the log with every session that it opens.
func (c *GroupConfig) sessionLimits() applier.SessionLimits {
	return applier.SessionLimits{
		TTL: c.SessionTTL, Sessions: c.MaxSessions, Table: c.MaxSessionBytes,
		Answers: c.SessionWindow, Bytes: c.SessionWindowBytes, Keep: c.SessionAnswers,
	}
}

func (c *GroupConfig) sessionFaults(fault func(bad bool, format string, args ...any)) {
	fault(c.SessionTTL < 0, "SessionTTL %v is negative", c.SessionTTL)
	for name, v := range map[string]int{
		"MaxSessions": c.MaxSessions, "MaxSessionBytes": c.MaxSessionBytes,
		"SessionWindow": c.SessionWindow, "SessionWindowBytes": c.SessionWindowBytes, "SessionAnswers": c.SessionAnswers,
	} {
		fault(v < 0, "%s %d is negative", name, v)
	}
	fault(c.SessionWindow > 0 && c.SessionAnswers > c.SessionWindow, "SessionAnswers %d is above SessionWindow %d", c.SessionAnswers, c.SessionWindow)
}

func (c *GroupConfig) sessionDefaults() {
	c.SessionTTL = cmp.Or(c.SessionTTL, time.Hour)
	c.MaxSessions = cmp.Or(c.MaxSessions, 10_000)
	c.MaxSessionBytes = cmp.Or(c.MaxSessionBytes, 256<<20)
	c.SessionWindow = cmp.Or(c.SessionWindow, max(64, c.SessionAnswers))
	c.SessionWindowBytes = cmp.Or(c.SessionWindowBytes, 1<<20)
	c.SessionAnswers = cmp.Or(c.SessionAnswers, min(2, c.SessionWindow))
}
