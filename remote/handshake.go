package remote

import (
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/troupe-raft/troupe/raft"
)

// The handshake: the dialling side sends a hello, the accepting side answers with a verdict. Both are
//
//	magic "TRPE", version u8, length u16 of what follows, one msgpack array
//
// and keep this outline in every version, so that nodes of different versions can tell each other apart.
const (
	magic          = "TRPE"
	version        = 1
	greetingHeader = len(magic) + 3
	maxGreeting    = 1 << 10 // bytes after the header
	maxReason      = 512     // bytes
	tlsRecord      = 0x16    // first byte of a TLS ClientHello
)

// A RefusedError is the peer's no to a connection, in its own words.
type RefusedError struct{ Reason string }

func (e *RefusedError) Error() string { return "remote: refused by the peer: " + e.Reason }

// A hello says who calls, whom, and for what.
type hello struct {
	cluster  string
	from, to raft.NodeID
	lane     Lane
	addr     string // where the caller listens: for an acceptor that knows no way back
}

// A verdict answers a hello. An empty reason accepts.
type verdict struct {
	reason   string
	maxFrame int // bytes of the largest frame that the accepting side reads
}

func appendGreeting(b []byte, body func([]byte) []byte) []byte {
	start := len(b)
	b = body(append(append(b, magic...), version, 0, 0))
	binary.BigEndian.PutUint16(b[start+len(magic)+1:], uint16(len(b)-start-greetingHeader))
	return b
}

func (h hello) append(b []byte) []byte {
	return appendGreeting(b, func(b []byte) []byte {
		b = appendString(appendArray(b, 5), h.cluster)
		b = appendUint(appendUint(b, uint64(h.from)), uint64(h.to))
		return appendString(appendUint(b, uint64(h.lane)), h.addr)
	})
}

func (v verdict) append(b []byte) []byte {
	v.reason = v.reason[:min(len(v.reason), maxReason)]
	return appendGreeting(b, func(b []byte) []byte {
		return appendUint(appendString(appendArray(b, 2), v.reason), uint64(v.maxFrame))
	})
}

// readGreeting reads either side's greeting and returns its array. It reads not a byte too many.
func readGreeting(r io.Reader) ([]byte, error) {
	var header [greetingHeader]byte
	if _, err := io.ReadFull(r, header[:]); err != nil {
		return nil, fmt.Errorf("remote: reading the greeting: %w", err)
	}
	if string(header[:len(magic)]) != magic {
		return nil, fmt.Errorf("remote: the other side does not speak this protocol: it begins with %q", header[:])
	}
	n := int(binary.BigEndian.Uint16(header[len(magic)+1:]))
	if n > maxGreeting {
		return nil, fmt.Errorf("remote: %w greeting of %d bytes", errMalformed, n)
	}
	body := make([]byte, n)
	if _, err := io.ReadFull(r, body); err != nil {
		return nil, fmt.Errorf("remote: reading the greeting: %w", err)
	}
	if v := header[len(magic)]; v != version {
		return nil, fmt.Errorf("remote: the other side speaks protocol version %d, this node version %d", v, version)
	}
	return body, nil
}

func readHello(r io.Reader) (h hello, err error) {
	body, err := readGreeting(r)
	if err != nil {
		return h, err
	}
	d := reader{b: body}
	d.structure(5)
	h = hello{cluster: d.string(), from: d.node(), to: d.node()}
	lane := d.uint()
	h.lane, h.addr = Lane(lane), d.string()
	if d.bad || len(d.b) > 0 || lane >= uint64(lanes) {
		return h, fmt.Errorf("remote: %w hello", errMalformed)
	}
	return h, nil
}

func readVerdict(r io.Reader) (v verdict, err error) {
	body, err := readGreeting(r)
	if err != nil {
		return v, err
	}
	d := reader{b: body}
	d.structure(2)
	v = verdict{reason: d.string(), maxFrame: int(d.uint32())}
	switch {
	case d.bad || len(d.b) > 0:
		return v, fmt.Errorf("remote: %w verdict", errMalformed)
	case v.reason != "":
		return v, &RefusedError{v.reason}
	case v.maxFrame < minFrame:
		return v, fmt.Errorf("remote: the peer takes no frame above %d bytes", v.maxFrame)
	}
	return v, nil
}

// judge decides about h on behalf of the node that cfg describes. Err is for both sides to read.
func (h hello) judge(cfg *Config) error {
	switch {
	case h.cluster != cfg.Cluster:
		return fmt.Errorf("this is cluster %q, not %q", cfg.Cluster, h.cluster)
	case h.to != cfg.Node:
		return fmt.Errorf("this is node %d, not node %d", cfg.Node, h.to)
	case h.from == raft.None:
		return errors.New("node zero does not exist")
	case h.from == cfg.Node:
		return fmt.Errorf("node %d is the one you call: two nodes share an ID", h.from)
	}
	return nil
}

// certified checks a verified certificate against the node that its holder claims to be. DNS names of the form
// node-N limit a certificate to these nodes; a certificate without any, or none at all, is not limited.
func certified(state *tls.ConnectionState, node raft.NodeID) error {
	if len(state.PeerCertificates) == 0 {
		return nil
	}
	var nodes []raft.NodeID
	for _, name := range state.PeerCertificates[0].DNSNames {
		if number, ok := strings.CutPrefix(name, "node-"); ok {
			if id, err := strconv.ParseUint(number, 10, 64); err == nil {
				nodes = append(nodes, raft.NodeID(id))
			}
		}
	}
	if len(nodes) > 0 && !slices.Contains(nodes, node) {
		return fmt.Errorf("the certificate is for nodes %v, not for node %d", nodes, node)
	}
	return nil
}
