package remote

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/troupe-raft/troupe/raft"
	"github.com/troupe-raft/troupe/stage"
)

// Limits that a Config cannot move.
const (
	minFrame   = 4 << 10
	maxFrame   = 1 << 30
	maxCluster = 255 // bytes
	maxAddr    = 512 // bytes
)

// Config describes one node's transport. A zero limit or timeout means its default.
type Config struct {
	System *actor.ActorSystem
	Stage  stage.Stage
	Node   raft.NodeID
	// Cluster guards against wrong addresses: nodes talk only to nodes that give the same name. At most 255 bytes.
	Cluster string
	Listen  string // host:port; port 0 takes a free one
	// Advertise is where others reach this node, for those that know no address of it or a wrong one; default Listen, with the port that was bound.
	Advertise string
	Peers     map[raft.NodeID]string // host:port of the nodes known from the start; this node's own is ignored
	// TLS serves both directions: Certificates is presented to either side, RootCAs judges whom we dial,
	// ClientCAs and ClientAuth, which must be tls.RequireAndVerifyClientCert, judge who dials us. A certificate
	// speaks for the nodes N that its DNS names of the form node-N name (N decimal), and for no other.
	// Nil: plain TCP, for networks that are trusted.
	TLS *tls.Config
	// TLSNow, when not nil, is asked for what TLS is by now before each handshake, so that certificates and authorities can be renewed while nodes run.
	// TLS is then what it said at first. It is called on any goroutine and must not block.
	TLSNow func() *tls.Config
	// TLSAllowUnverified takes a TLS that does not require and verify certificates of both sides: then TLS keeps
	// secrets, but whoever reaches the port may speak as any node. Also for programs that verify in
	// VerifyConnection alone.
	TLSAllowUnverified bool
	// TLSAnyName lets a certificate that names no node speak for all of them, in both directions: then whoever has
	// one node's key can speak as every node. Names of the form node-N, where there are any, still count.
	TLSAnyName bool
	// Guard tells the starts and folders of nodes apart; nil: whoever calls in a node's name is that node.
	Guard Guard
	// Founders is a checksum of the cluster's founding members: nodes that give another one are refused. 0, here or there: it is not compared.
	Founders uint32
	Log      *slog.Logger // default slog.Default

	MaxFrame   int // bytes of the largest frame, in or out; a larger message is dropped; default 64 MiB
	QueueBytes int // waiting for one lane of one peer, beyond which posts are dropped; default 64 MiB
	MaxConns   int // incoming connections, those in handshake included; default 256
	// MaxGreeting bounds the incoming connections that have not said yet who they are: the oldest makes room for the next, so that
	// silent ones keep nobody out. Default a quarter of MaxConns, at least 8; at most MaxConns.
	MaxGreeting int
	// UnsentBytes is what the kernel may hold of a lane with payload and not have sent (on Linux); default 128 KiB. More would
	// wait there, where groups do not take turns.
	UnsentBytes int

	DialTimeout      time.Duration // to connect; default 2s
	HandshakeTimeout time.Duration // TLS and hello together; default 3s
	// ProbeTimeout is how long a node's present connection may take to show that it lives when the node, or somebody in its
	// name, calls again; at most half of HandshakeTimeout. Default 500ms.
	ProbeTimeout time.Duration
	// WriteTimeout is the longest that a MiB may take to write, and that written bytes may stay
	// unacknowledged (on Linux), before the connection is given up; default 5s.
	WriteTimeout time.Duration
	// ReadTimeout is the longest that a MiB of a frame that has begun to arrive may take; default 30s. Between
	// frames a connection may be idle for ever.
	ReadTimeout time.Duration
	// FrameTime is how long the writing of several messages together may take: a slow connection gets smaller frames, which
	// quiet groups wait for; default 10ms.
	FrameTime    time.Duration
	KeepAlive    time.Duration // TCP keep-alive: idle time and probe interval, three misses close; default 5s
	BackoffFirst time.Duration // between the first failed dial and the next; doubles, with jitter; default 50ms
	BackoffMax   time.Duration // default 2s

	// What this release speaks. Tests mix several.
	speaks Versions
	kinds  *codec
}

// Validate reports every fault at once, or nil.
func (c Config) Validate() error {
	var faults []error
	fault := func(bad bool, format string, args ...any) {
		if bad {
			faults = append(faults, fmt.Errorf("remote: "+format, args...))
		}
	}
	fault(c.System == nil, "System is missing")
	fault(c.Stage == nil, "Stage is missing")
	fault(c.Node == raft.None, "Node is zero")
	fault(len(c.Cluster) > maxCluster, "Cluster has %d bytes, more than %d", len(c.Cluster), maxCluster)
	if _, _, err := net.SplitHostPort(c.Listen); err != nil {
		fault(true, "Listen: %w", err)
	}
	fault(len(c.Advertise) > maxAddr, "Advertise has %d bytes, more than %d", len(c.Advertise), maxAddr)
	if err := CheckAddr(c.Advertise); c.Advertise != "" && err != nil {
		fault(true, "Advertise: %w", err)
	}
	for node, addr := range c.Peers {
		fault(node == raft.None, "Peers names node zero")
		if err := CheckAddr(addr); node != c.Node && err != nil {
			fault(true, "Peers: node %d: %w", node, err)
		}
	}
	faults = append(faults, c.ValidateTLS())
	c = c.withDefaults()
	fault(c.MaxFrame < minFrame || c.MaxFrame > maxFrame, "MaxFrame %d is not in [%d, %d]", c.MaxFrame, minFrame, maxFrame)
	fault(c.QueueBytes <= 0, "QueueBytes %d is not positive", c.QueueBytes)
	fault(c.MaxConns <= 0, "MaxConns %d is not positive", c.MaxConns)
	fault(c.MaxGreeting <= 0 || c.MaxGreeting > c.MaxConns, "MaxGreeting %d is not in [1, %d]", c.MaxGreeting, c.MaxConns)
	fault(c.UnsentBytes <= 0, "UnsentBytes %d is not positive", c.UnsentBytes)
	for _, d := range []struct {
		name  string
		value time.Duration
	}{
		{"DialTimeout", c.DialTimeout}, {"HandshakeTimeout", c.HandshakeTimeout}, {"ProbeTimeout", c.ProbeTimeout}, {"WriteTimeout", c.WriteTimeout},
		{"ReadTimeout", c.ReadTimeout}, {"FrameTime", c.FrameTime}, {"KeepAlive", c.KeepAlive}, {"BackoffFirst", c.BackoffFirst},
	} {
		fault(d.value <= 0, "%s %v is not positive", d.name, d.value)
	}
	fault(c.ProbeTimeout > c.HandshakeTimeout/2, "ProbeTimeout %v is above half of HandshakeTimeout %v", c.ProbeTimeout, c.HandshakeTimeout)
	fault(c.BackoffMax < c.BackoffFirst, "BackoffMax %v is below BackoffFirst %v", c.BackoffMax, c.BackoffFirst)
	return errors.Join(faults...)
}

func (c Config) withDefaults() Config {
	if c.Log == nil {
		c.Log = slog.Default()
	}
	defaulted(&c.MaxFrame, 64<<20)
	defaulted(&c.QueueBytes, 64<<20)
	defaulted(&c.MaxConns, 256)
	defaulted(&c.MaxGreeting, min(max(c.MaxConns/4, 8), c.MaxConns))
	defaulted(&c.UnsentBytes, 128<<10)
	defaulted(&c.DialTimeout, 2*time.Second)
	defaulted(&c.HandshakeTimeout, 3*time.Second)
	defaulted(&c.ProbeTimeout, min(500*time.Millisecond, c.HandshakeTimeout/2))
	defaulted(&c.WriteTimeout, 5*time.Second)
	defaulted(&c.ReadTimeout, 30*time.Second)
	defaulted(&c.FrameTime, 10*time.Millisecond)
	defaulted(&c.KeepAlive, 5*time.Second)
	defaulted(&c.BackoffFirst, 50*time.Millisecond)
	defaulted(&c.BackoffMax, max(2*time.Second, c.BackoffFirst))
	defaulted(&c.speaks, Speaks())
	defaulted(&c.kinds, kinds)
	return c
}

func defaulted[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}
