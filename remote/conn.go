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
	"sync"
	"time"

	"github.com/asynkron/protoactor-go/actor"
)

// lastWords is how long a connection that is no longer wanted may still write what was posted before.
const lastWords = 250 * time.Millisecond

// A session is one attempt of a sender actor at one lane: dial, greet, and write from the queue until
// something fails. Its goroutine lives exactly as long.
type session struct {
	t      *TCP
	peer   *peer
	hello  hello
	addr   string
	queue  *queue
	ctx    context.Context
	cancel context.CancelCauseFunc
	owner  *actor.PID

	mu       sync.Mutex
	released bool // the owner does not want to hear of it any more
}

// What a session tells its owner. It sends both on its own goroutine, never after release.
type (
	sessionUp   struct{ session *session }
	sessionDown struct {
		session *session
		err     error
	}
)

var (
	errReleased = errors.New("remote: connection no longer wanted")
	errHungUp   = errors.New("remote: the peer closed the connection")
	errChatter  = errors.New("remote: the peer speaks on a connection that it should only read")
)

// open starts a session. Owner must count in t.running meanwhile.
func open(t *TCP, owner *actor.PID, p *peer, h hello) *session {
	s := &session{t: t, owner: owner, peer: p, hello: h, addr: p.address()}
	s.queue = newQueue(t.cfg.QueueBytes, &p.queued[h.lane])
	s.ctx, s.cancel = context.WithCancelCause(t.ctx)
	p.dials.Add(1)
	t.running.Add(1)
	go s.run()
	return s
}

// release lets the session end by itself, soon: what it has queued may still leave.
func (s *session) release() {
	s.mu.Lock()
	s.released = true
	s.mu.Unlock()
	s.queue.close()
	stop := time.AfterFunc(lastWords, func() { s.cancel(errReleased) })
	context.AfterFunc(s.ctx, func() { stop.Stop() })
}

func (s *session) tell(message any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.released {
		s.t.cfg.System.Root.Send(s.owner, message)
	}
}

func (s *session) run() {
	defer s.t.running.Done()
	err := s.serve()
	s.cancel(err)
	if err != nil && !errors.Is(err, errReleased) && s.t.ctx.Err() == nil {
		s.peer.fail(err)
	}
	s.peer.dropped.Add(uint64(s.queue.drop()))
	s.tell(&sessionDown{s, err})
}

func (s *session) serve() (err error) {
	defer func() { // a message that cannot be encoded costs a connection, not the process
		if fault := recover(); fault != nil {
			s.t.cfg.Log.Error("panic while sending", "peer", s.hello.to, "panic", fault, "stack", string(debug.Stack()))
			err = fmt.Errorf("remote: panic: %v", fault)
			s.cancel(err)
		}
	}()
	raw, err := s.dial()
	if err != nil {
		return err
	}
	defer raw.Close()
	// Only closing wakes a goroutine that is stuck in the socket.
	defer context.AfterFunc(s.ctx, func() { _ = raw.Close() })()
	conn, limit, err := s.greet(raw)
	if err != nil {
		return s.because(err)
	}
	s.tell(&sessionUp{s})
	s.t.running.Go(func() { s.watch(conn) })
	return s.because(s.write(conn, raw, limit))
}

// because prefers the reason for which the connection was closed under err, if it was.
func (s *session) because(err error) error {
	if cause := context.Cause(s.ctx); cause != nil {
		return cause
	}
	return err
}

func (s *session) dial() (net.Conn, error) {
	dialer := net.Dialer{Timeout: s.t.cfg.DialTimeout, KeepAliveConfig: s.t.keepAlive()}
	raw, err := dialer.DialContext(s.ctx, "tcp", s.addr)
	if err != nil {
		return nil, s.because(fmt.Errorf("remote: %w", err))
	}
	if err := limitUnacknowledged(raw, s.t.cfg.WriteTimeout); err != nil {
		s.t.cfg.Log.Debug("cannot limit the time to acknowledge", "err", err)
	}
	return raw, nil
}

// greet runs TLS, if wanted, and the handshake. It returns the connection to write to and the largest frame.
func (s *session) greet(raw net.Conn) (conn net.Conn, limit int, err error) {
	cfg := &s.t.cfg
	if err := raw.SetDeadline(time.Now().Add(cfg.HandshakeTimeout)); err != nil {
		return nil, 0, fmt.Errorf("remote: %w", err)
	}
	conn = raw
	if cfg.TLS != nil {
		secure := tls.Client(raw, clientTLS(cfg.TLS, s.addr))
		if err := secure.HandshakeContext(s.ctx); err != nil {
			var plain tls.RecordHeaderError
			if errors.As(err, &plain) {
				return nil, 0, fmt.Errorf("remote: this node requires TLS, the peer does not speak it: %w", err)
			}
			return nil, 0, fmt.Errorf("remote: TLS: %w", err)
		}
		state := secure.ConnectionState()
		if err := certified(&state, s.hello.to); err != nil {
			return nil, 0, fmt.Errorf("remote: TLS: %w", err)
		}
		conn = secure
	}
	if _, err := conn.Write(s.hello.append(nil)); err != nil {
		return nil, 0, fmt.Errorf("remote: greeting: %w", err)
	}
	v, err := readVerdict(conn)
	if err != nil {
		return nil, 0, err
	}
	if err := raw.SetDeadline(time.Time{}); err != nil {
		return nil, 0, fmt.Errorf("remote: %w", err)
	}
	return conn, min(v.maxFrame, cfg.MaxFrame), nil
}

func clientTLS(cfg *tls.Config, addr string) *tls.Config {
	cfg = cfg.Clone()
	if host, _, err := net.SplitHostPort(addr); err == nil && cfg.ServerName == "" {
		cfg.ServerName = host
	}
	return cfg
}

// watch learns at once that the peer went away. Nothing ever comes from there, but for what TLS says to itself.
func (s *session) watch(conn net.Conn) {
	var b [1]byte
	n, err := conn.Read(b[:])
	switch {
	case n > 0:
		s.cancel(errChatter)
	case errors.Is(err, io.EOF):
		s.cancel(errHungUp)
	default:
		s.cancel(fmt.Errorf("remote: %w", err))
	}
}

// write sends what the queue yields, in frames, until the queue is closed and empty or the connection fails.
func (s *session) write(conn, raw net.Conn, limit int) error {
	var w io.Writer = conn
	flush := func() error { return nil }
	if conn != raw { // TLS would make a record of each segment
		buffered := bufio.NewWriterSize(conn, 32<<10)
		w, flush = buffered, buffered.Flush
	}
	var f framer
	var batch []Envelope
	target := min(frameTarget, limit/2)
	for {
		taken, bytes, front, next, over := s.t.weather.take(s.queue, batch[:0], target)
		batch = taken
		if len(batch) == 0 {
			if over {
				return errReleased
			}
			if err := idle(s.ctx, s.queue.wake, front, next); err != nil {
				return err
			}
			continue
		}
		size, err := f.frame(batch, limit)
		if err != nil { // only a message that is alone in its frame can be too large
			s.peer.dropped.Add(uint64(len(batch)))
			s.t.cfg.Log.Warn("message does not travel", "peer", s.hello.to, "bytes", size, "limit", limit, "err", err)
		} else if err := s.send(&f, w, flush, raw, size); err != nil {
			s.peer.dropped.Add(uint64(len(batch)))
			return err
		} else {
			s.peer.sent.Add(uint64(len(batch)))
			s.peer.sentBytes.Add(uint64(size))
		}
		f.done()
		clear(batch)
		s.queue.release(bytes)
	}
}

func (s *session) send(f *framer, w io.Writer, flush func() error, raw net.Conn, size int) error {
	err := raw.SetWriteDeadline(time.Now().Add(perMiB(s.t.cfg.WriteTimeout, size)))
	if err == nil {
		err = f.writeTo(w)
	}
	if err == nil {
		err = flush()
	}
	if err != nil {
		return fmt.Errorf("remote: %w", err)
	}
	return nil
}

// idle waits until there may be something to take: a push, or, under Chaos, the moment that something delayed is due.
func idle(ctx context.Context, wake <-chan struct{}, f *front, next time.Time) error {
	if next.IsZero() {
		select {
		case <-wake:
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	due := time.NewTimer(time.Until(next))
	defer due.Stop()
	select {
	case <-due.C:
	case <-f.over:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	return nil
}
