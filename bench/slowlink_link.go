package main

import (
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// What a slowLink holds, like a switch before a slow port: what does not fit waits in its sender's socket.
const (
	linkPiece  = 16 << 10 // bytes moved at a time
	linkPieces = 8        // waiting, of all connections together
	// linkCredit is how much later than due the link may send without losing what it could have carried meanwhile: timers are late.
	linkCredit = 30 * time.Millisecond
)

// A slowLink is the cable into one node: what all connections bring there passes it in the order in which it came, at a rate.
type slowLink struct {
	rate     float64 // bytes a second; 0: no limit
	target   string
	listener net.Listener
	queue    chan linkItem
	carried  atomic.Int64 // bytes
	running  sync.WaitGroup

	mu     sync.Mutex
	conns  map[net.Conn]bool
	closed bool
}

type linkItem struct {
	to   net.Conn
	data []byte
}

func newSlowLink(target string, rate float64) (*slowLink, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	k := &slowLink{rate: rate, target: target, listener: l, queue: make(chan linkItem, linkPieces), conns: map[net.Conn]bool{}}
	k.running.Go(k.accept)
	k.running.Go(k.carry)
	return k, nil
}

func (k *slowLink) addr() string { return k.listener.Addr().String() }

func (k *slowLink) accept() {
	var readers sync.WaitGroup
	defer func() {
		readers.Wait()
		close(k.queue)
	}()
	for {
		from, err := k.listener.Accept()
		if err != nil {
			return
		}
		to, err := net.Dial("tcp", k.target)
		if err != nil {
			_ = from.Close()
			continue
		}
		_ = from.(*net.TCPConn).SetReadBuffer(4 * linkPiece) // the cable has no buffer worth speaking of
		if !k.keep(from) || !k.keep(to) {
			_, _ = from.Close(), to.Close()
			continue
		}
		readers.Go(func() { k.read(from, to) })
		readers.Go(func() { k.back(to, from) })
	}
}

func (k *slowLink) keep(c net.Conn) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if !k.closed {
		k.conns[c] = true
	}
	return !k.closed
}

func (k *slowLink) drop(c net.Conn) {
	_ = c.Close()
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.conns, c)
}

// read brings what a connection sends to the link. An end travels as an item without data.
func (k *slowLink) read(from, to net.Conn) {
	defer k.drop(from)
	for {
		b := make([]byte, linkPiece)
		n, err := from.Read(b)
		if n > 0 {
			k.queue <- linkItem{to, b[:n]}
		}
		if err != nil {
			k.queue <- linkItem{to: to}
			return
		}
	}
}

// back is the other direction, which carries greetings alone and is not slow.
func (k *slowLink) back(from, to net.Conn) {
	b := make([]byte, linkPiece)
	for {
		n, err := from.Read(b)
		if n > 0 {
			if _, err := to.Write(b[:n]); err != nil {
				k.drop(from)
				return
			}
		}
		if err != nil {
			k.drop(to)
			return
		}
	}
}

// carry is the link.
func (k *slowLink) carry() {
	var due time.Time
	for item := range k.queue {
		if k.rate > 0 {
			if now := time.Now(); due.Before(now.Add(-linkCredit)) {
				due = now.Add(-linkCredit)
			}
			due = due.Add(time.Duration(float64(len(item.data)) / k.rate * float64(time.Second)))
			if wait := time.Until(due); wait > 0 {
				time.Sleep(wait)
			}
		}
		k.carried.Add(int64(len(item.data)))
		if len(item.data) == 0 {
			k.drop(item.to)
		} else if _, err := item.to.Write(item.data); err != nil {
			k.drop(item.to)
		}
	}
}

func (k *slowLink) stop() {
	_ = k.listener.Close()
	k.mu.Lock()
	k.closed = true
	for c := range k.conns {
		_ = c.Close()
	}
	k.mu.Unlock()
	k.running.Wait()
}
