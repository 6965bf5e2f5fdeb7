package remote

import (
	"bufio"
	"container/list"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime/debug"
	"strings"
	"sync/atomic"
	"time"

	"github.com/troupe-raft/troupe/internal/backoff"
	"github.com/troupe-raft/troupe/raft"
)

// farewell bounds how long a refused connection is listened to, so that the refusal is read before a reset
// overtakes it.
const (
	farewell      = 500 * time.Millisecond
	farewellBytes = 64 << 10
)

// slot names an incoming connection: there is one of each.
type slot struct {
	from raft.NodeID
	lane Lane
}

// An inbound is an accepted connection. Its goroutine reads until the connection ends.
type inbound struct {
	t      *TCP
	raw    net.Conn
	ctx    context.Context
	cancel context.CancelCauseFunc
	done   chan struct{}

	conn     net.Conn      // raw, or TLS on it; set before there is a slot
	welcomed chan struct{} // closed once the verdict is written
	signs    signs         // of life: that anything arrived
	answered signs         // that the answer to a probe did
	probes   atomic.Uint64 // sent
	replies  atomic.Uint64 // to probes, in their order
	place    *list.Element // in TCP.greeting, under TCP.mu; nil: it has greeted, or made room
	start    raft.Incarnation
	standing raft.Standing    // of the caller; set, as start is, before there is a slot
	judge    raft.Incarnation // this node, as it was when it judged the caller; it may become another folder meanwhile, which remembers nobody
}

var (
	errReplaced = errors.New("remote: replaced by a newer connection")
	errStopping = errors.New("remote: stopping")
	errCrowded  = errors.New("remote: no greeting, and more connections that have not greeted than there may be")
)

// accept runs until the listener is closed.
func (t *TCP) accept(l net.Listener) {
	defer t.running.Done()
	for failures := 0; ; {
		raw, err := l.Accept()
		if t.ctx.Err() != nil || errors.Is(err, net.ErrClosed) {
			if err == nil {
				_ = raw.Close()
			}
			return
		}
		if err != nil { // out of descriptors, perhaps: that may pass
			t.cfg.Log.Error("accept failed", "err", err)
			failures++
			select {
			case <-time.After(backoff.Doubling{First: 5 * time.Millisecond, Max: time.Second}.After(failures)):
			case <-t.ctx.Done():
			}
			continue
		}
		failures = 0
		t.admit(raw)
	}
}

func (t *TCP) admit(raw net.Conn) {
	if n := t.conns.Add(1); n > int64(t.cfg.MaxConns) {
		t.conns.Add(-1)
		_ = raw.Close()
		t.refused(raw.RemoteAddr(), fmt.Errorf("remote: more than %d connections", t.cfg.MaxConns))
		return
	}
	in := &inbound{t: t, raw: raw, done: make(chan struct{}), welcomed: make(chan struct{})}
	in.ctx, in.cancel = context.WithCancelCause(t.ctx)
	t.awaitGreeting(in)
	t.running.Add(1)
	go in.run()
}

// awaitGreeting counts a connection among those that have not said who they are. One that has been there for longer makes room, if need be.
func (t *TCP) awaitGreeting(in *inbound) {
	t.mu.Lock()
	var oldest *inbound
	if t.greeting.Len() >= t.cfg.MaxGreeting {
		oldest = t.greeting.Front().Value.(*inbound)
		t.leaveGreeting(oldest)
	}
	in.place = t.greeting.PushBack(in)
	t.mu.Unlock()
	if oldest != nil {
		oldest.cancel(errCrowded)
		_ = oldest.raw.Close() // before the next one takes a descriptor
	}
}

// leaveGreeting ends what awaitGreeting began. The caller holds mu.
func (t *TCP) leaveGreeting(in *inbound) {
	if in.place != nil {
		t.greeting.Remove(in.place)
		in.place = nil
	}
}

func (in *inbound) endGreeting() {
	in.t.mu.Lock()
	defer in.t.mu.Unlock()
	in.t.leaveGreeting(in)
}

// refused counts and, now and then, logs.
func (t *TCP) refused(addr net.Addr, err error) {
	text := fmt.Sprintf("%v: %v", addr, err)
	t.lastRefusal.Store(&text) // first: whoever sees it counted sees the reason
	t.refusals.Add(1)
	if suppressed, ok := t.complaints.allow(time.Now(), hostOf(addr), err.Error()); ok {
		t.cfg.Log.Warn("connection refused", "addr", addr, "err", err, "suppressed", suppressed)
	}
}

func (in *inbound) run() {
	t := in.t
	defer t.running.Done()
	defer close(in.done)
	defer t.conns.Add(-1)
	defer in.raw.Close()
	defer in.endGreeting()
	defer in.cancel(nil)
	// Only closing wakes a goroutine that is stuck in the socket.
	defer context.AfterFunc(in.ctx, func() { _ = in.raw.Close() })()
	defer in.survive()
	conn, h, v, err := in.greeted()
	if err != nil {
		return
	}
	in.endGreeting()
	p, mine := t.known(h.from), slot{h.from, h.lane}
	in.conn = conn
	if err := h.akin(&t.cfg); err != nil {
		t.cfg.told(&h)
		_ = in.refuse(conn, err)
		return
	}
	if h.lane == asking {
		_ = in.welcome(conn)
		in.linger()
		return
	}
	defer t.vacate(mine, in)
	if err := t.claim(&h, mine, in); err != nil {
		_ = in.refuse(conn, err)
		return
	}
	t.learn(h, in.raw.RemoteAddr(), in.standing)
	t.revive(h.from)
	t.cfg.Log.Debug("accepted", "peer", h.from, "lane", h.lane, "addr", in.raw.RemoteAddr())
	if err = in.welcome(conn); err == nil {
		err = in.receive(conn, h, v, p)
	}
	if cause := context.Cause(in.ctx); cause != nil {
		err = cause
	}
	switch {
	case t.ctx.Err() != nil || errors.Is(err, io.EOF) || errors.Is(err, errReplaced) || errors.Is(err, errStopping):
		t.cfg.Log.Debug("connection ended", "peer", h.from, "lane", h.lane, "err", err)
	default:
		p.fail(err)
		if suppressed, ok := t.complaints.allow(time.Now(), fmt.Sprintf("node %d, %v", h.from, h.lane), err.Error()); ok {
			t.cfg.Log.Warn("connection broken", "peer", h.from, "lane", h.lane, "err", err, "suppressed", suppressed)
		}
	}
}

// survive turns a panic, be it in Deliver, into the end of one connection. Defer it.
func (in *inbound) survive() {
	if fault := recover(); fault != nil {
		in.t.cfg.Log.Error("panic while reading a connection", "addr", in.raw.RemoteAddr(), "panic", fault, "stack", string(debug.Stack()))
		in.cancel(fmt.Errorf("remote: panic: %v", fault))
	}
}

// greeted runs TLS, if wanted, and the handshake up to the verdict, from the accepting side. A refusal has been
// counted, logged and told to the other side when it returns.
func (in *inbound) greeted() (conn net.Conn, h hello, v Version, err error) {
	cfg := &in.t.cfg
	if err := in.raw.SetDeadline(time.Now().Add(cfg.HandshakeTimeout)); err != nil {
		return nil, h, 0, in.refuse(nil, err)
	}
	var first [1]byte
	if _, err := io.ReadFull(in.raw, first[:]); err != nil {
		return nil, h, 0, in.refuse(nil, fmt.Errorf("no greeting: %w", err))
	}
	conn = &prefixed{Conn: in.raw, prefix: first[:]}
	var certificate tls.ConnectionState
	switch speaksTLS := first[0] == tlsRecord; {
	case speaksTLS && cfg.TLS == nil:
		return nil, h, 0, in.refuse(in.raw, errors.New("this node does not speak TLS, the caller does"))
	case !speaksTLS && cfg.TLS != nil:
		return nil, h, 0, in.refuse(in.raw, errors.New("this node requires TLS, the caller does not speak it"))
	case speaksTLS:
		secure := tls.Server(conn, cfg.tlsNow())
		if err := secure.HandshakeContext(in.ctx); err != nil {
			defer in.linger() // so that the alert is read
			return nil, h, 0, in.refuse(nil, fmt.Errorf("TLS: %w", err))
		}
		conn, certificate = secure, secure.ConnectionState()
	}
	if h, v, err = readHello(conn, cfg.speaks); err != nil {
		return nil, h, 0, in.refuse(conn, err)
	}
	if err = h.judge(cfg); err == nil {
		err = cfg.certified(&certificate, h.from)
	}
	if err != nil {
		return nil, h, 0, in.refuse(conn, err)
	}
	return conn, h, v, nil
}

// refuse counts and logs, and tells the reason to the other side if there is a way to.
func (in *inbound) refuse(conn net.Conn, reason error) error {
	if context.Cause(in.ctx) == errCrowded {
		reason = errCrowded
	}
	if in.t.ctx.Err() == nil {
		in.t.refused(in.raw.RemoteAddr(), reason)
	}
	if conn != nil {
		v := verdict{speaks: in.t.cfg.speaks, reason: strings.TrimPrefix(reason.Error(), "remote: "), self: in.judge}
		if s := (*standingError)(nil); errors.As(reason, &s) {
			v.standing = s.standing
		}
		if _, err := conn.Write(v.append(nil)); err == nil {
			in.linger()
		}
	}
	return reason
}

// welcome accepts the caller.
func (in *inbound) welcome(conn net.Conn) error {
	v := verdict{speaks: in.t.cfg.speaks, maxFrame: uint32(in.t.cfg.MaxFrame), standing: in.standing, self: in.judge}
	if g := in.t.cfg.Guard; g != nil && !v.self.Known() { // nobody was judged
		v.self = g.Self()
	}
	_, err := conn.Write(v.append(nil))
	if err == nil {
		err = in.raw.SetDeadline(time.Time{})
	}
	if err != nil {
		return fmt.Errorf("remote: answering the greeting: %w", err)
	}
	close(in.welcomed)
	return nil
}

// linger lets the other side read our last words, and close first.
func (in *inbound) linger() {
	_ = in.raw.SetDeadline(time.Now().Add(farewell))
	if half, ok := in.raw.(interface{ CloseWrite() error }); ok && half.CloseWrite() == nil {
		_, _ = io.CopyN(io.Discard, in.raw, farewellBytes)
	}
}

func (in *inbound) receive(conn net.Conn, h hello, v Version, p *peer) error {
	t := in.t
	patient := true
	d := deframer{heads: newHeads(t.cfg.kinds, v), r: bufio.NewReaderSize(signReader{conn, &in.signs}, readBuffer), limit: t.cfg.MaxFrame}
	d.patience = func(bytes int) {
		switch {
		case bytes > 0:
			_ = in.raw.SetReadDeadline(time.Now().Add(perMiB(t.cfg.ReadTimeout, bytes)))
			patient = false
		case !patient:
			_ = in.raw.SetReadDeadline(time.Time{})
			patient = true
		}
	}
	line := delayLine{in: in, from: h.from, peer: p}
	defer line.close()
	for {
		batch, size, err := d.next()
		if err != nil {
			return err
		}
		p.recvBytes.Add(uint64(size))
		if len(batch) == 0 { // the answer to a probe
			in.replies.Add(1)
			in.answered.give()
			continue
		}
		if f := t.weather.now.Load(); f == nil && !line.running() {
			p.received.Add(uint64(len(batch)))
			in.deliver(h.from, batch)
		} else {
			line.pass(batch, f)
		}
		clear(batch) // an idle connection keeps no message alive
	}
}

// deliver hands on what this node may listen to.
func (in *inbound) deliver(from raft.NodeID, batch []Envelope) {
	if g := in.t.cfg.Guard; g != nil {
		batch = g.Pass(from, in.start, batch)
	}
	if len(batch) > 0 {
		in.t.deliver(from, batch)
	}
}

// prefixed gives back what was read to look ahead.
type prefixed struct {
	net.Conn
	prefix []byte
}

func (p *prefixed) Read(b []byte) (int, error) {
	if len(p.prefix) > 0 {
		n := copy(b, p.prefix)
		p.prefix = p.prefix[n:]
		return n, nil
	}
	return p.Conn.Read(b)
}
