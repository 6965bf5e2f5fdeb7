package actors

import "sync/atomic"

// A credit bounds what a group has in flight: entries and bytes, taken before a request is worked on and given back when it is answered. It is counted
// on many goroutines; who goes next is the group's to say: actors' requests wait within it, goroutines' in line.
type credit struct {
	used                 atomic.Uint64 // entries above creditBits, bytes below: one word, so that nothing is taken by halves
	maxEntries, maxBytes int64

	waiting atomic.Int64  // requests that wait for credit, in the group and in line
	tickets atomic.Uint64 // places given to those
	told    atomic.Bool   // the group will look whether there is credit for those
	tell    func()        // has it look
}

// The most that a credit can count.
const (
	creditBits       = 40
	maxCreditBytes   = 1<<creditBits - 1
	maxCreditEntries = 1<<(64-creditBits) - 1
)

func newCredit(entries, bytes int) *credit {
	return &credit{maxEntries: int64(entries), maxBytes: int64(bytes), tell: func() {}}
}

// inUse is what is taken.
func (c *credit) inUse() (entries, bytes int64) {
	u := c.used.Load()
	return int64(u >> creditBits), int64(u & maxCreditBytes)
}

func amount(bytes int) uint64 { return 1<<creditBits + uint64(bytes) }

// fits reports whether one more request of so many bytes is within the limits, with u in use.
func (c *credit) fits(u uint64, bytes int) bool {
	entries, sum := int64(u>>creditBits), int64(u&maxCreditBytes)
	return entries < c.maxEntries && (sum == 0 || sum+int64(bytes) <= c.maxBytes)
}

// take takes credit for one request of so many bytes, all or nothing. One may always go, however large the limit finds it.
func (c *credit) take(bytes int) bool {
	for {
		u := c.used.Load()
		if !c.fits(u, bytes) {
			return false
		}
		if c.used.CompareAndSwap(u, u+amount(bytes)) {
			return true
		}
	}
}

// put gives back what a request took.
func (c *credit) put(bytes int) { c.used.Add(-amount(bytes)) }

// look has the group look, once, whether there is credit for those who wait, if others do.
func (c *credit) look() {
	if c.waiting.Load() > 0 && !c.told.Load() && c.told.CompareAndSwap(false, true) {
		c.tell()
	}
}

// wanted reports whether others wait for credit, whom nobody may overtake.
func (c *credit) wanted() bool { return c.waiting.Load() > 0 }

// wait gives a request its place among those that wait.
func (c *credit) wait(r *request) {
	r.ticket = c.tickets.Add(1)
	c.waiting.Add(1)
}
