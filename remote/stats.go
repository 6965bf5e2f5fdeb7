package remote

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/troupe-raft/troupe/raft"
)

// Stats counts what happened since NewTCP. The numbers are read one by one: they need not add up to the last one.
type Stats struct {
	Peers       map[raft.NodeID]PeerStats
	Conns       int    // incoming connections now, those in handshake included
	Refused     uint64 // incoming connections that did not pass the handshake
	LastRefusal string // why the last one did not
}

// PeerStats counts the traffic with one node.
type PeerStats struct {
	Addr      string        // where it is said to listen; empty when unknown
	Located   string        // where it is connected and says itself that it listens: see Locator
	Connected map[Lane]bool // the connections that we dialled
	Queued    map[Lane]int  // bytes handed to a lane and not yet on the socket, by estimate
	Sent      uint64        // envelopes written to the socket
	SentBytes uint64        // frames whole
	Received  uint64        // envelopes delivered
	RecvBytes uint64        // frames whole
	Dropped   uint64        // posts that did not leave, whatever the reason, but for those withheld
	Withheld  uint64        // posts that the node's version of the protocol does not know
	Version   Version       // that the last connection that we dialled speaks; zero before the first
	HungUp    uint64        // times that HangUp was called, because of what the node sent
	Dials     uint64        // attempts
	LastError string        // the last failure to connect, to stay connected or to accept from there
	ErrorAt   time.Time     // when that was
}

// A peer is what the goroutines that serve one node share: where it is dialled, and counters.
type peer struct {
	places    places
	at, own   atomic.Pointer[string] // where the lane Control was connected last, and where the node says itself that it listens
	absent    atomic.Pointer[string] // where it was looked for while it was connected elsewhere, and is not; nil: that is not known
	learned   bool                   // the address is the node's own word; the transport's lock guards it
	words     words                  // the node's own, believed or not; the transport's lock guards them
	calls     atomic.Uint32          // a calling
	connected [lanes]atomic.Bool
	queued    [lanes]atomic.Int64
	sent      atomic.Uint64
	sentBytes atomic.Uint64
	received  atomic.Uint64
	recvBytes atomic.Uint64
	dropped   atomic.Uint64
	withheld  atomic.Uint64
	hungUp    atomic.Uint64
	version   atomic.Uint32
	dials     atomic.Uint64
	lastError atomic.Pointer[datedError]
}

// A calling says whether a node without a connection is called though there is nothing to send to it.
type calling uint32

const (
	callAgain calling = iota // if it was connected, or refused: nobody has said what it is
	callUntil                // it has heard of this start, however long that takes
	callNever                // it is no member any more
)

func (p *peer) calling() calling { return calling(p.calls.Load()) }

func (p *peer) setCalling(c calling) { p.calls.Store(uint32(c)) }

type datedError struct {
	text string
	at   time.Time
}

// address is where the node is said to listen; empty while unknown.
func (p *peer) address() string { return p.places.given() }

// located is where the node is connected and says itself that it listens, or empty. One that is also reached where it is said to be has not moved.
func (p *peer) located() string {
	at, own := p.at.Load(), p.own.Load()
	if at == nil || own == nil || *at != *own || !p.connected[Control].Load() {
		return ""
	}
	if absent, said := p.absent.Load(), p.address(); *at != said && (absent == nil || *absent != said) {
		return ""
	}
	return *at
}

func (p *peer) fail(err error) {
	p.lastError.Store(&datedError{err.Error(), time.Now()})
}

func (p *peer) stats() PeerStats {
	s := PeerStats{
		Addr: p.address(), Located: p.located(), Connected: make(map[Lane]bool, lanes), Queued: make(map[Lane]int, lanes),
		Sent: p.sent.Load(), SentBytes: p.sentBytes.Load(),
		Received: p.received.Load(), RecvBytes: p.recvBytes.Load(),
		Dropped: p.dropped.Load(), Withheld: p.withheld.Load(), Version: Version(p.version.Load()),
		HungUp: p.hungUp.Load(), Dials: p.dials.Load(),
	}
	for l := range lanes {
		s.Connected[l] = p.connected[l].Load()
		s.Queued[l] = int(p.queued[l].Load())
	}
	if e := p.lastError.Load(); e != nil {
		s.LastError, s.ErrorAt = e.text, e.at
	}
	return s
}

// A limiter lets a few complaints through at once and then one a second.
type limiter struct {
	mu         sync.Mutex
	left       float64
	last       time.Time
	suppressed int
}

func (l *limiter) allow(now time.Time) (suppressed int, ok bool) {
	const burst = 5
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.last.IsZero() {
		l.left = burst
	} else {
		l.left = min(burst, l.left+now.Sub(l.last).Seconds())
	}
	l.last = now
	if l.left < 1 {
		l.suppressed++
		return 0, false
	}
	l.left--
	suppressed, l.suppressed = l.suppressed, 0
	return suppressed, true
}
