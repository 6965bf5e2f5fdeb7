package remote

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"

	"github.com/troupe-raft/troupe/raft"
)

// The handshake: the dialling side sends a hello, the accepting side answers with a verdict. Both are
//
//	magic "TROU", min u8, max u8, length u16 of what follows, one msgpack array
//
// and keep this outline for ever, so that nodes of any two versions can tell each other apart. Min and max are the versions
// that the speaker knows. Its array has the fields of version max: a reader passes over those that it does not know.
const (
	magic          = "TROU"
	greetingHeader = len(magic) + 4
	maxGreeting    = 4 << 10 // bytes after the header
	maxReason      = 512     // bytes
	tlsRecord      = 0x16    // first byte of a TLS ClientHello
)

// A RefusedError is the peer's no to a connection, in its own words.
type RefusedError struct{ Reason string }

func (e *RefusedError) Error() string { return "remote: refused by the peer: " + e.Reason }

// A hello says who calls, whom, and for what.
type hello struct {
	speaks   Versions
	cluster  string
	from, to raft.NodeID
	lane     Lane
	addr     string // where the caller listens: for an acceptor that knows no way back
	person
	proof uint64 // the challenge of the verdict that this hello answers; 0 in the first one
}

// A person is who a node is, among all that may run under its id. All fields are zero without a guard, and from a node of version 1.
type person struct {
	self     raft.Incarnation
	counted  bool // somebody has let this start in
	founders uint32
	known    raft.Acquaintance // of the node that is called
}

func (h *hello) fields(c *coder) {
	c.text(1, &h.cluster)
	unsigned(c, 1, &h.from)
	unsigned(c, 1, &h.to)
	lane := uint32(h.lane)
	c.narrow(1, &lane)
	h.lane = Lane(min(lane, math.MaxUint8))
	c.text(1, &h.addr)
	c.incarnation(2, &h.self)
	c.flag(2, &h.counted)
	c.narrow(2, &h.founders)
	c.incarnation(2, &h.known.Incarnation)
	c.flag(2, &h.known.Forked)
	unsigned(c, 2, &h.proof)
}

// incarnation takes three fields.
func (c *coder) incarnation(since Version, i *raft.Incarnation) {
	unsigned(c, since, &i.Store)
	unsigned(c, since, &i.Start)
	unsigned(c, since, &i.Nonce)
}

// A verdict answers a hello. An empty reason accepts. One with a challenge is none yet: the caller greets again on the same
// connection, with the challenge as its proof, and so shows that its hello is not one that has waited since it died.
type verdict struct {
	speaks    Versions
	reason    string
	maxFrame  uint32 // bytes of the largest frame that the accepting side reads
	self      raft.Incarnation
	standing  raft.Standing // the caller's, whether it is refused or not
	challenge uint64        // never 0 where one is
}

func (v *verdict) fields(c *coder) {
	c.text(1, &v.reason)
	c.narrow(1, &v.maxFrame)
	c.incarnation(2, &v.self)
	standing := uint32(v.standing)
	c.narrow(2, &standing)
	v.standing = raft.Standing(min(standing, math.MaxUint8))
	unsigned(c, 2, &v.challenge)
}

// appendGreeting appends either side's greeting.
func appendGreeting(b []byte, speaks Versions, fields func(*coder)) []byte {
	start := len(b)
	c := coder{version: speaks.Max, out: append(append(b, magic...), speaks.Min, speaks.Max, 0, 0)}
	a := c.open()
	fields(&c)
	c.close(a)
	binary.BigEndian.PutUint16(c.out[start+greetingHeader-2:], uint16(len(c.out)-start-greetingHeader))
	return c.out
}

func (h hello) append(b []byte) []byte { return appendGreeting(b, h.speaks, h.fields) }

func (v verdict) append(b []byte) []byte {
	v.reason = v.reason[:min(len(v.reason), maxReason)]
	return appendGreeting(b, v.speaks, v.fields)
}

// readGreeting reads either side's greeting, not a byte too many, and returns what its side speaks and the version to speak
// with it. The fields stay zero when there is none.
func readGreeting(r io.Reader, ours Versions, fields func(*coder)) (theirs Versions, v Version, err error) {
	var header [greetingHeader]byte
	if _, err := io.ReadFull(r, header[:]); err != nil {
		return theirs, 0, fmt.Errorf("remote: reading the greeting: %w", err)
	}
	if string(header[:len(magic)]) != magic {
		return theirs, 0, fmt.Errorf("remote: the other side does not speak this protocol: it begins with %q", header[:])
	}
	theirs = Versions{header[len(magic)], header[len(magic)+1]}
	n := int(binary.BigEndian.Uint16(header[len(magic)+2:]))
	if n > maxGreeting || theirs.Min == 0 || theirs.Min > theirs.Max {
		return theirs, 0, fmt.Errorf("remote: %w greeting of %d bytes, %v", errMalformed, n, theirs)
	}
	body := make([]byte, n)
	if _, err := io.ReadFull(r, body); err != nil {
		return theirs, 0, fmt.Errorf("remote: reading the greeting: %w", err)
	}
	if v, err = ours.common(theirs); err != nil {
		return theirs, 0, err
	}
	c := coder{version: v, reading: true, reader: reader{b: body}}
	a := c.open()
	fields(&c)
	if c.skip(a); c.bad || len(c.b) > 0 {
		return theirs, 0, fmt.Errorf("remote: %w greeting", errMalformed)
	}
	return theirs, v, nil
}

// readHello takes the caller's greeting.
func readHello(r io.Reader, ours Versions) (h hello, v Version, err error) {
	h.speaks, v, err = readGreeting(r, ours, h.fields)
	return h, v, err
}

// readVerdict takes the answer.
func readVerdict(r io.Reader, ours Versions) (answer verdict, v Version, err error) {
	answer.speaks, v, err = readGreeting(r, ours, answer.fields)
	switch {
	case err != nil:
	case answer.reason != "":
		err = &RefusedError{answer.reason}
	case answer.maxFrame < minFrame:
		err = fmt.Errorf("remote: the peer takes no frame above %d bytes", answer.maxFrame)
	}
	return answer, v, err
}

// judge decides about h on behalf of the node that cfg describes. Err is for both sides to read.
func (h hello) judge(cfg *Config) error {
	switch {
	case h.cluster != cfg.Cluster:
		return fmt.Errorf("this is cluster %q, not %q: if they are to be one, start both with the same name (cluster = %q, HostConfig.Cluster), "+
			"a node that has another one on an empty folder", cfg.Cluster, h.cluster, cfg.Cluster)
	case h.to != cfg.Node:
		return fmt.Errorf("this is node %d, not node %d", cfg.Node, h.to)
	case h.lane >= lanes && h.lane != asking:
		return fmt.Errorf("this node has no lane %d", h.lane)
	case h.from == raft.None:
		return errors.New("node zero does not exist")
	case h.from == cfg.Node:
		return fmt.Errorf("node %d is the one you call: two nodes share an ID", h.from)
	}
	return nil
}

// akin refuses nodes that were founded with others. Founders of a cluster of the same name that are not the same found two clusters.
func (h hello) akin(cfg *Config) error {
	if h.founders != 0 && cfg.Founders != 0 && h.founders != cfg.Founders {
		return fmt.Errorf("node %d was started with other founding members than node %d: give every node of a cluster the same, and start the one that "+
			"was wrong from an empty folder", h.from, cfg.Node)
	}
	return nil
}
