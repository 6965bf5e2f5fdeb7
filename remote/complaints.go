package remote

import (
	"net"
	"regexp"
	"sync"
	"time"
)

// maxKinds is how many kinds of complaints are told apart at a time. All others are one kind.
const maxKinds = 256

// complaints keeps what callers do over and over from filling the log: of each kind it lets one line through at once, and then one in complainAgain; of all
// together it lets through what a limiter does. The zero value is ready.
type complaints struct {
	mu        sync.Mutex
	told      map[complaint]*tale
	forgotten int // complaints that were suppressed and whose kind is not remembered
	all       limiter
}

// A complaint names a kind: who it is about, and why, without what differs each time.
type complaint struct{ who, why string }

type tale struct {
	at, last   time.Time // told last, zero if never; and complained of last
	suppressed int
}

// eachTime is what differs between two complaints for the same reason: ports, sizes, and what others said.
var eachTime = regexp.MustCompile(`:\d+|\d+ bytes|"(\\.|[^"\\])*"`)

// allow says whether to log a complaint, and how many were suppressed before it.
func (c *complaints) allow(now time.Time, who, reason string) (suppressed int, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	of := c.of(now, complaint{who, eachTime.ReplaceAllString(reason, "")})
	of.last = now
	if ok = of.at.IsZero() || now.Sub(of.at) >= complainAgain; ok {
		_, ok = c.all.allow(now)
	}
	if !ok {
		of.suppressed++
		return 0, false
	}
	suppressed = of.suppressed + c.forgotten
	of.at, of.suppressed, c.forgotten = now, 0, 0
	return suppressed, true
}

// of is what is remembered of a kind. Those of which nothing is heard any more make room.
func (c *complaints) of(now time.Time, kind complaint) *tale {
	if known := c.told[kind]; known != nil {
		return known
	}
	if c.told == nil {
		c.told = make(map[complaint]*tale)
	}
	if len(c.told) >= maxKinds {
		for kind, of := range c.told {
			if now.Sub(of.last) >= complainAgain {
				c.forgotten += of.suppressed
				delete(c.told, kind)
			}
		}
	}
	if len(c.told) >= maxKinds {
		kind = complaint{}
	}
	if c.told[kind] == nil {
		c.told[kind] = &tale{}
	}
	return c.told[kind]
}

// hostOf is an address without its port, which is another one for each connection.
func hostOf(addr net.Addr) string {
	host, _, err := net.SplitHostPort(addr.String())
	if err != nil {
		return addr.String()
	}
	return host
}
