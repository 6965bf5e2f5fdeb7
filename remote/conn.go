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
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/troupe-raft/troupe/raft"
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
	met    raft.Incarnation // who answers; set before sessionUp

	probed atomic.Int64 // answers that are due: one for each probe, which are counted

	mu       sync.Mutex
	released bool // the owner does not want to hear of it any more
}

// What a session tells its owner, never after release.
type (
	sessionUp struct{ session *session }
	sought    struct { // sessionUp came before
		session *session
		addr    string // where the node is said to be
		there   bool   // it is
	}
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
	t.mayBelieve(h.to, p)
	s := &session{t: t, owner: owner, peer: p, hello: h, addr: p.places.next()}
	s.queue = newQueue(t.cfg.QueueBytes, h.lane != Control, &p.queued[h.lane])
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
		s.peer.places.failed(s.addr)
		return err
	}
	defer raw.Close()
	// Only closing wakes a goroutine that is stuck in the socket.
	defer context.AfterFunc(s.ctx, func() { _ = raw.Close() })()
	if s.hello.person, err = s.t.cfg.greeting(s.hello.to); err != nil {
		return err
	}
	conn, answer, v, err := s.shake(raw)
	s.judged(answer, err)
	if err != nil {
		if s.elsewhere(answer) {
			s.peer.places.failed(s.addr)
		}
		return s.because(err)
	}
	if s.strange(answer) {
		s.peer.places.failed(s.addr)
		return fmt.Errorf("remote: at %s, where node %d is not said to be, runs another folder than the one it is known by", s.addr, s.hello.to)
	}
	limit := min(int(answer.maxFrame), s.t.cfg.MaxFrame)
	s.met = answer.self
	s.peer.version.Store(uint32(v))
	s.tell(&sessionUp{s})
	s.t.running.Go(func() { s.watch(conn) })
	if s.t.cfg.Guard != nil && s.hello.lane == Control {
		s.t.running.Go(s.seek)
	}
	return s.because(s.write(conn, raw, limit, v))
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
	if s.hello.lane != Control {
		if err := limitUnsent(raw, s.t.cfg.UnsentBytes); err != nil {
			s.t.cfg.Log.Debug("cannot limit the bytes that are not sent", "err", err)
		}
	}
	return raw, nil
}

// judged passes on what the peer makes of this node, if it said.
func (s *session) judged(by verdict, err error) {
	refused := (*RefusedError)(nil)
	if g := s.t.cfg.Guard; g != nil && (err == nil || errors.As(err, &refused) && by.standing != raft.Unmet) {
		g.Judged(s.hello.to, by.self, s.hello.self, by.standing)
	}
}

// elsewhere reports whether whoever refuses may be somebody else than the node that is called.
func (s *session) elsewhere(by verdict) bool {
	g := s.t.cfg.Guard
	return g == nil || !by.self.Known() || g.Known(s.hello.to).Store != by.self.Store
}

// strange reports whether this is not where the node is said to be, and what answers is not the folder that it is known by.
func (s *session) strange(by verdict) bool {
	if g := s.t.cfg.Guard; g != nil && s.addr != s.peer.address() {
		known := g.Known(s.hello.to)
		return known.Known() && by.self.Known() && by.self.Store != known.Store
	}
	return false
}

// seek looks for the node where it is said to be, if it was found elsewhere: it may have been away for a moment, and be reached there again. Where it says itself
// that it is, not everybody may reach it.
func (s *session) seek() {
	said := s.peer.address()
	if said == s.addr || said == "" || !s.met.Known() {
		return
	}
	ctx, cancel := context.WithTimeoutCause(s.ctx, s.t.cfg.ProbeTimeout, errors.New("remote: no answer in time"))
	defer cancel()
	there := s.t.whoIs(ctx, s.hello.to, s.peer, said) == s.met
	if s.ctx.Err() == nil {
		s.tell(&sought{s, said, there})
	}
}

// shake runs TLS, if wanted, and the handshake. It returns the connection to write to, the peer's answer, also when that refuses,
// and the version to speak.
func (s *session) shake(raw net.Conn) (conn net.Conn, answer verdict, version Version, err error) {
	cfg := &s.t.cfg
	if err := raw.SetDeadline(time.Now().Add(cfg.HandshakeTimeout)); err != nil {
		return nil, answer, 0, fmt.Errorf("remote: %w", err)
	}
	conn = raw
	if cfg.TLS != nil {
		secure := tls.Client(raw, cfg.clientTLS(s.addr))
		if err := secure.HandshakeContext(s.ctx); err != nil {
			var plain tls.RecordHeaderError
			if errors.As(err, &plain) {
				return nil, answer, 0, fmt.Errorf("remote: this node requires TLS, the peer does not speak it: %w", err)
			}
			return nil, answer, 0, fmt.Errorf("remote: TLS: %w", err)
		}
		state := secure.ConnectionState()
		if err := cfg.certified(&state, s.hello.to); err != nil {
			return nil, answer, 0, fmt.Errorf("remote: TLS: %w", err)
		}
		conn = secure
	}
	for h := s.hello; ; h.proof = answer.challenge {
		if _, err := conn.Write(h.append(nil)); err != nil {
			return nil, answer, 0, fmt.Errorf("remote: greeting: %w", err)
		}
		if answer, version, err = readVerdict(conn, cfg.speaks); answer.challenge == 0 {
			break
		}
	}
	if err != nil {
		return nil, answer, 0, err
	}
	if err := raw.SetDeadline(time.Time{}); err != nil {
		return nil, answer, 0, fmt.Errorf("remote: %w", err)
	}
	return conn, answer, version, nil
}

// watch learns at once that the peer went away. Nothing comes from there but probes, and what TLS says to itself.
func (s *session) watch(conn net.Conn) {
	var b [1]byte
	n, err := conn.Read(b[:])
	for ; n > 0 && b[0] == probe; n, err = conn.Read(b[:]) {
		s.mu.Lock()
		released := s.released
		s.mu.Unlock()
		if released { // its successor calls
			s.cancel(errReleased)
			return
		}
		s.probed.Add(1)
		s.queue.ring()
	}
	if n > 0 {
		err = errChatter
	} else {
		err = broken(err)
	}
	s.cancel(err)
}

// broken says what ended a connection. A peer that goes away with something unread, or while something is written, resets it: an end as
// any other.
func broken(err error) error {
	switch {
	case errors.Is(err, io.EOF):
		return errHungUp
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return fmt.Errorf("%w (%w)", errHungUp, err)
	}
	return fmt.Errorf("remote: %w", err)
}

// write sends what the queue yields, in frames, until the queue is closed and empty or the connection fails.
func (s *session) write(conn, raw net.Conn, limit int, v Version) error {
	var w io.Writer = conn
	flush := func() error { return nil }
	if conn != raw { // TLS would make a record of each segment
		buffered := bufio.NewWriterSize(conn, 32<<10)
		w, flush = buffered, buffered.Flush
	}
	f := newFramer(s.t.cfg.kinds, v)
	var batch []Envelope
	most := min(frameTarget, limit/2)
	target := most
	for {
		taken, bytes, front, next, over := s.t.weather.take(s.queue, batch[:0], target)
		batch = taken
		if len(batch) == 0 {
			if over {
				return errReleased
			}
			if s.probed.Load() > 0 {
				s.probed.Add(-1)
				if err := s.answer(&f, w, flush, raw); err != nil {
					return err
				}
				continue
			}
			if err := idle(s.ctx, s.queue.wake, front, next); err != nil {
				return err
			}
			continue
		}
		if batch = s.withhold(batch, v); len(batch) == 0 {
			s.queue.release(bytes)
			continue
		}
		begun := time.Now()
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
			target = nextTarget(target, most, time.Since(begun), s.t.cfg.FrameTime)
		}
		f.done()
		clear(batch)
		s.queue.release(bytes)
	}
}

// nextTarget is how large the next frame may be when the last took so long: what is written together takes about limit.
func nextTarget(target, most int, took, limit time.Duration) int {
	switch {
	case took > limit:
		return max(target/2, min(smallFrame, most))
	case took < limit/2:
		return min(2*target, most)
	}
	return target
}

// withhold takes out what a peer that speaks version v does not know.
func (s *session) withhold(batch []Envelope, v Version) []Envelope {
	if v == s.t.cfg.speaks.Max {
		return batch
	}
	known := slices.DeleteFunc(batch, func(e Envelope) bool { return !s.t.cfg.kinds.travels(e.Message, v) })
	s.peer.withheld.Add(uint64(len(batch) - len(known)))
	return known
}

// answer shows that this side lives.
func (s *session) answer(f *framer, w io.Writer, flush func() error, raw net.Conn) error {
	defer f.done()
	size, err := f.frame(nil, frameHeader)
	if err != nil {
		return err
	}
	return s.send(f, w, flush, raw, size)
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
		return broken(err)
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
