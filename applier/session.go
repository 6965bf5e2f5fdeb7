package applier

import (
	"slices"

	"github.com/troupe-raft/troupe/raft"
)

// A session remembers the latest answers to one client.
type session struct {
	ID      uint64
	TTL     int64    // ms
	Used    int64    // the log's clock at the last use, ms
	Turn    uint64   // order of last use: unique, unlike the clock
	Last    uint64   // the highest applied sequence number
	Results []answer // of the sequence numbers up to Last
	memory
	bytes  int  // in Results
	shared bool // a capture reads the array behind Results: it is not to be changed

	older, newer *session // by Turn
}

// An answer is immutable: captures share its bytes with the table.
type answer struct {
	Index  raft.Index
	Result []byte
}

// A memory says what a session remembers; see SessionLimits.
type memory struct{ Answers, Bytes, Keep int }

func (l SessionLimits) memory() memory {
	keep := max(1, l.Keep)
	return memory{Answers: max(keep, l.Answers), Bytes: l.Bytes, Keep: keep}
}

// remember stores the answer to the next sequence number, and forgets the oldest that there is no room for.
func (c *session) remember(index raft.Index, result []byte) {
	c.Last++
	c.bytes += len(result)
	n, drop := len(c.Results)+1, 0
	for ; n-drop > c.Answers || n-drop > c.Keep && c.bytes > c.Bytes; drop++ {
		c.bytes -= len(c.Results[drop].Result)
	}
	if c.shared {
		c.Results, c.shared = slices.Clone(c.Results[drop:]), false
	} else {
		c.Results = slices.Delete(c.Results, 0, drop)
	}
	// A result may alias its command: a copy pins no block.
	c.Results = append(c.Results, answer{Index: index, Result: slices.Clone(result)})
}

// recall returns the answer to an applied sequence number, nil when it is forgotten.
func (c *session) recall(seq uint64) *answer {
	if back := c.Last - seq; back < uint64(len(c.Results)) {
		return &c.Results[len(c.Results)-1-int(back)]
	}
	return nil
}

// cost is what the session counts for SessionLimits.Table.
func (c *session) cost() int { return sessionCost + len(c.Results)*answerCost + c.bytes }
