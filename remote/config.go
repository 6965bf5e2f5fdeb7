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
	// Advertise is where others reach this node, for those that know no address of it; default the bound address.
	Advertise string
	Peers     map[raft.NodeID]string // host:port of the nodes known from the start; this node's own is ignored
	// TLS serves both directions: Certificates is presented to either side, RootCAs judges whom we dial,
	// ClientCAs and ClientAuth judge who dials us. For mutual TLS set ClientAuth to
	// tls.RequireAndVerifyClientCert. A certificate with DNS names of the form node-N (N decimal) speaks
	// for these nodes only; one without speaks for any. Nil: plain TCP, for networks that are trusted.
	TLS *tls.Config
	Log *slog.Logger // default slog.Default

	MaxFrame   int // bytes of the largest frame, in or out; a larger message is dropped; default 64 MiB
	QueueBytes int // waiting for one lane of one peer, beyond which posts are dropped; default 64 MiB
	MaxConns   int // incoming connections, those in handshake included; default 256

	DialTimeout      time.Duration // to connect; default 2s
	HandshakeTimeout time.Duration // TLS and hello together; default 3s
	// WriteTimeout is the longest that a MiB may take to write, and that written bytes may stay
	// unacknowledged (on Linux), before the connection is given up; default 5s.
	WriteTimeout time.Duration
	// ReadTimeout is the longest that a MiB of a frame that has begun to arrive may take; default 30s. Between
	// frames a connection may be idle for ever.
	ReadTimeout  time.Duration
	KeepAlive    time.Duration // TCP keep-alive: idle time and probe interval, three misses close; default 5s
	BackoffFirst time.Duration // between the first failed dial and the next; doubles, with jitter; default 50ms
	BackoffMax   time.Duration // default 2s
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
	if _, _, err := net.SplitHostPort(c.Advertise); c.Advertise != "" && (err != nil || len(c.Advertise) > maxAddr) {
		fault(true, "Advertise %q is not host:port of at most %d bytes", c.Advertise, maxAddr)
	}
	for node, addr := range c.Peers {
		fault(node == raft.None, "Peers names node zero")
		if _, _, err := net.SplitHostPort(addr); err != nil {
			fault(true, "Peers: node %d: %w", node, err)
		}
	}
	fault(c.TLS != nil && len(c.TLS.Certificates) == 0 && c.TLS.GetCertificate == nil && c.TLS.GetConfigForClient == nil,
		"TLS has no certificate")
	c = c.withDefaults()
	fault(c.MaxFrame < minFrame || c.MaxFrame > maxFrame, "MaxFrame %d is not in [%d, %d]", c.MaxFrame, minFrame, maxFrame)
	fault(c.QueueBytes <= 0, "QueueBytes %d is not positive", c.QueueBytes)
	fault(c.MaxConns <= 0, "MaxConns %d is not positive", c.MaxConns)
	for _, d := range []struct {
		name  string
		value time.Duration
	}{
		{"DialTimeout", c.DialTimeout}, {"HandshakeTimeout", c.HandshakeTimeout}, {"WriteTimeout", c.WriteTimeout},
		{"ReadTimeout", c.ReadTimeout}, {"KeepAlive", c.KeepAlive}, {"BackoffFirst", c.BackoffFirst},
	} {
		fault(d.value <= 0, "%s %v is not positive", d.name, d.value)
	}
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
	defaulted(&c.DialTimeout, 2*time.Second)
	defaulted(&c.HandshakeTimeout, 3*time.Second)
	defaulted(&c.WriteTimeout, 5*time.Second)
	defaulted(&c.ReadTimeout, 30*time.Second)
	defaulted(&c.KeepAlive, 5*time.Second)
	defaulted(&c.BackoffFirst, 50*time.Millisecond)
	defaulted(&c.BackoffMax, max(2*time.Second, c.BackoffFirst))
	return c
}

func defaulted[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}
