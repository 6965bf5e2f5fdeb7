package web

import (
	"container/list"
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// spareConns are taken beyond the limit, to be told so.
	spareConns = 8
	// complainEvery is between two lines of the log about connections that were cut off or refused.
	complainEvery = 10 * time.Second
)

// Conns bounds the connections of a node's clients. When there are as many as there may be, the one that has waited longest for its client to send a whole
// request makes room for the next: idle connections keep nobody out. Only when every one has a request under way is the next one refused.
//
// Its methods are safe for concurrent use.
type Conns struct {
	limit int
	log   *slog.Logger

	mu       sync.Mutex
	open     int
	waiting  list.List // of *conn, for their clients; the longest waiting first
	complain time.Time // when the log may be told again
}

// NewConns bounds connections to limit, and a few that are told that there are too many.
func NewConns(limit int, log *slog.Logger) *Conns { return &Conns{limit: limit, log: log} }

// Listen has a listener's connections counted.
func (c *Conns) Listen(l net.Listener) net.Listener { return &limited{l, c} }

// Context is http.Server.ConnContext: requests have to know the connection that they came by.
func (c *Conns) Context(ctx context.Context, over net.Conn) context.Context {
	if secure, ok := over.(interface{ NetConn() net.Conn }); ok {
		over = secure.NetConn()
	}
	return context.WithValue(ctx, connKey{}, over)
}

type connKey struct{}

type limited struct {
	net.Listener
	conns *Conns
}

func (l *limited) Accept() (net.Conn, error) {
	for {
		raw, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if c := l.conns.admit(raw); c != nil {
			return c, nil
		}
		_ = raw.Close()
	}
}

// admit counts a connection; nil: there are too many.
func (c *Conns) admit(raw net.Conn) net.Conn {
	if idlest := c.idlest(); idlest != nil {
		_ = idlest.Close()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.open >= c.limit+spareConns {
		return nil
	}
	in := &conn{Conn: raw, conns: c, excess: c.open >= c.limit}
	c.open++
	in.place = c.waiting.PushBack(in)
	return in
}

// idlest is the connection that makes room, if one has to and can.
func (c *Conns) idlest() *conn {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.open < c.limit {
		return nil
	}
	if now := time.Now(); now.After(c.complain) {
		c.complain = now.Add(complainEvery)
		c.log.Warn("as many connections as there may be (max_connections): idle ones are closed for new ones", "connections", c.open, "idle", c.waiting.Len())
	}
	front := c.waiting.Front()
	if front == nil {
		return nil
	}
	out := front.Value.(*conn)
	out.leave()
	out.closed = true
	return out
}

// A conn is a connection that counts.
type conn struct {
	net.Conn
	conns  *Conns
	excess bool // one of the spare ones
	once   sync.Once

	answering atomic.Int32 // handlers that are at work

	// Under conns.mu.
	requests int           // whole ones under way
	place    *list.Element // among those that wait; nil: it does not
	closed   bool
}

// leave ends the waiting. The caller holds conns.mu.
func (in *conn) leave() {
	if in.place != nil {
		in.conns.waiting.Remove(in.place)
		in.place = nil
	}
}

// Close implements net.Conn. The connection counts until its descriptor is free.
func (in *conn) Close() (err error) {
	in.once.Do(func() {
		err = in.Conn.Close()
		in.conns.mu.Lock()
		defer in.conns.mu.Unlock()
		in.leave()
		in.closed = true
		in.conns.open--
	})
	return err
}

// begin says that a whole request is there. False: it came too late, the connection has made room for another.
func (in *conn) begin() bool {
	in.conns.mu.Lock()
	defer in.conns.mu.Unlock()
	if in.closed {
		return false
	}
	in.leave()
	in.requests++
	return true
}

// end says that a request was answered.
func (in *conn) end() {
	in.conns.mu.Lock()
	defer in.conns.mu.Unlock()
	if in.requests--; in.requests == 0 && !in.closed {
		in.place = in.conns.waiting.PushBack(in)
	}
}

// A visit is one request's stay on its connection. It begins when the request's body has arrived.
type visit struct {
	conn  *conn
	begun bool
}

func (v *visit) begin() bool {
	if !v.begun {
		v.begun = v.conn.begin()
	}
	return v.begun
}

func (v *visit) end() {
	if v.begun {
		v.conn.end()
	}
}

// An arriving body tells the visit when it has been read to its end.
type arriving struct {
	io.ReadCloser
	visit *visit
}

func (a *arriving) Read(p []byte) (int, error) {
	n, err := a.ReadCloser.Read(p)
	if err == io.EOF && !a.visit.begin() {
		return n, io.ErrUnexpectedEOF
	}
	return n, err
}

// arrive notes that a request's head is there. The visit is nil where connections are not counted.
func arrive(r *http.Request) (v *visit, excess, ok bool) {
	c, counted := r.Context().Value(connKey{}).(*conn)
	if !counted {
		return nil, false, true
	}
	v = &visit{conn: c}
	if r.Body == nil || r.Body == http.NoBody {
		return v, c.excess, v.begin()
	}
	r.Body = &arriving{r.Body, v}
	return v, c.excess, true
}
