package remote

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime/debug"
	"strings"
	"time"

	"github.com/troupe-raft/troupe/raft"
)

// farewell bounds how long a refused connection is listened to, so that the refusal is read before a reset
// overtakes it.
const (
	farewell      = 500 * time.Millisecond
	farewellBytes = 64 << 10
)

// slot names an incoming connection: a newer one in the same slot replaces the older.
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
}

var (
	errReplaced = errors.New("remote: replaced by a newer connection")
	errStopping = errors.New("remote: stopping")
)

// accept runs until the listener is closed.
func (t *TCP) accept(l net.Listener) {
	defer t.running.Done()
	for pause := time.Duration(0); ; {
		raw, err := l.Accept()
		if t.ctx.Err() != nil || errors.Is(err, net.ErrClosed) {
			if err == nil {
				_ = raw.Close()
			}
			return
		}
		if err != nil { // out of descriptors, perhaps: that may pass
			t.cfg.Log.Error("accept failed", "err", err)
			pause = min(max(2*pause, 5*time.Millisecond), time.Second)
			select {
			case <-time.After(pause):
			case <-t.ctx.Done():
			}
			continue
		}
		pause = 0
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
	in := &inbound{t: t, raw: raw, done: make(chan struct{})}
	in.ctx, in.cancel = context.WithCancelCause(t.ctx)
	t.running.Add(1)
	go in.run()
}

// refused counts and, now and then, logs.
func (t *TCP) refused(addr net.Addr, err error) {
	t.refusals.Add(1)
	text := fmt.Sprintf("%v: %v", addr, err)
	t.lastRefusal.Store(&text)
	if suppressed, ok := t.complaints.allow(time.Now()); ok {
		t.cfg.Log.Warn("connection refused", "addr", addr, "err", err, "suppressed", suppressed)
	}
}

func (in *inbound) run() {
	t := in.t
	defer t.running.Done()
	defer t.conns.Add(-1)
	defer close(in.done)
	defer in.raw.Close()
	defer in.cancel(nil)
	// Only closing wakes a goroutine that is stuck in the socket.
	defer context.AfterFunc(in.ctx, func() { _ = in.raw.Close() })()
	defer in.survive()
	conn, h, err := in.greeted()
	if err != nil {
		return
	}
	// The slot changes hands before the verdict, so that of two connections the one dialled later stays.
	p, mine := t.known(h.from), slot{h.from, h.lane}
	older := t.occupy(mine, in)
	defer t.vacate(mine, in)
	if older != nil { // order within the lane outlives the change
		older.cancel(errReplaced)
		<-older.done
	}
	t.learn(h, in.raw.RemoteAddr())
	t.revive(h.from)
	t.cfg.Log.Debug("accepted", "peer", h.from, "lane", h.lane, "addr", in.raw.RemoteAddr())
	if err = in.welcome(conn); err == nil {
		err = in.receive(conn, h, p)
	}
	if cause := context.Cause(in.ctx); cause != nil {
		err = cause
	}
	switch {
	case t.ctx.Err() != nil || errors.Is(err, io.EOF) || errors.Is(err, errReplaced) || errors.Is(err, errStopping):
		t.cfg.Log.Debug("connection ended", "peer", h.from, "lane", h.lane, "err", err)
	default:
		p.fail(err)
		if suppressed, ok := t.complaints.allow(time.Now()); ok {
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
func (in *inbound) greeted() (conn net.Conn, h hello, err error) {
	cfg := &in.t.cfg
	if err := in.raw.SetDeadline(time.Now().Add(cfg.HandshakeTimeout)); err != nil {
		return nil, h, in.refuse(nil, err)
	}
	var first [1]byte
	if _, err := io.ReadFull(in.raw, first[:]); err != nil {
		return nil, h, in.refuse(nil, fmt.Errorf("no greeting: %w", err))
	}
	conn = &prefixed{Conn: in.raw, prefix: first[:]}
	var certificate tls.ConnectionState
	switch speaksTLS := first[0] == tlsRecord; {
	case speaksTLS && cfg.TLS == nil:
		return nil, h, in.refuse(in.raw, errors.New("this node does not speak TLS, the caller does"))
	case !speaksTLS && cfg.TLS != nil:
		return nil, h, in.refuse(in.raw, errors.New("this node requires TLS, the caller does not speak it"))
	case speaksTLS:
		secure := tls.Server(conn, cfg.TLS)
		if err := secure.HandshakeContext(in.ctx); err != nil {
			defer in.linger() // so that the alert is read
			return nil, h, in.refuse(nil, fmt.Errorf("TLS: %w", err))
		}
		conn, certificate = secure, secure.ConnectionState()
	}
	if h, err = readHello(conn); err != nil {
		return nil, h, in.refuse(conn, err)
	}
	if err = h.judge(cfg); err == nil {
		err = certified(&certificate, h.from)
	}
	if err != nil {
		return nil, h, in.refuse(conn, err)
	}
	return conn, h, nil
}

// refuse counts and logs, and tells the reason to the other side if there is a way to.
func (in *inbound) refuse(conn net.Conn, reason error) error {
	if in.t.ctx.Err() == nil {
		in.t.refused(in.raw.RemoteAddr(), reason)
	}
	if conn != nil {
		if _, err := conn.Write(verdict{reason: strings.TrimPrefix(reason.Error(), "remote: ")}.append(nil)); err == nil {
			in.linger()
		}
	}
	return reason
}

// welcome accepts the caller.
func (in *inbound) welcome(conn net.Conn) error {
	_, err := conn.Write(verdict{maxFrame: in.t.cfg.MaxFrame}.append(nil))
	if err == nil {
		err = in.raw.SetDeadline(time.Time{})
	}
	if err != nil {
		return fmt.Errorf("remote: answering the greeting: %w", err)
	}
	return nil
}

// linger lets the other side read our last words, and close first.
func (in *inbound) linger() {
	_ = in.raw.SetDeadline(time.Now().Add(farewell))
	if half, ok := in.raw.(interface{ CloseWrite() error }); ok && half.CloseWrite() == nil {
		_, _ = io.CopyN(io.Discard, in.raw, farewellBytes)
	}
}

func (in *inbound) receive(conn net.Conn, h hello, p *peer) error {
	t := in.t
	patient := true
	d := deframer{r: bufio.NewReaderSize(conn, readBuffer), limit: t.cfg.MaxFrame, patience: func(bytes int) {
		switch {
		case bytes > 0:
			_ = in.raw.SetReadDeadline(time.Now().Add(perMiB(t.cfg.ReadTimeout, bytes)))
			patient = false
		case !patient:
			_ = in.raw.SetReadDeadline(time.Time{})
			patient = true
		}
	}}
	line := delayLine{in: in, from: h.from, peer: p}
	defer line.close()
	for {
		batch, size, err := d.next()
		if err != nil {
			return err
		}
		p.recvBytes.Add(uint64(size))
		if f := t.weather.now.Load(); f == nil && !line.running() {
			p.received.Add(uint64(len(batch)))
			t.deliver(h.from, batch)
		} else {
			line.pass(batch, f)
		}
		clear(batch) // an idle connection keeps no message alive
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
