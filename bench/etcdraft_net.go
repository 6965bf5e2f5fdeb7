package main

import (
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"slices"
	"time"

	"go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"
)

const (
	etcdFrameHead = 4        // bytes: the length of the message that follows, little endian
	etcdMaxFrame  = 1 << 30  // bytes of one message, which may be a snapshot
	etcdKeptBuf   = 16 << 20 // bytes of a buffer that is kept: more was for a snapshot
	etcdReadChunk = 256 << 10
	etcdRedial    = 20 * time.Millisecond
)

// etcdLink sends to one voter over one connection. All messages that came while one write ran go into the next.
// What is put while there is no connection is lost with it: raft repairs that.
type etcdLink struct {
	*etcdThread[*raftpb.Message]
	address string
}

func newEtcdLink(address string) *etcdLink {
	return &etcdLink{etcdThread: newEtcdThread[*raftpb.Message](), address: address}
}

// run keeps the connection until the context ends.
func (l *etcdLink) run(ctx context.Context) {
	for ctx.Err() == nil {
		conn, err := new(net.Dialer).DialContext(ctx, "tcp", l.address)
		if err != nil {
			_ = pause(ctx, etcdRedial) // the loop looks at the context
			continue
		}
		l.stream(ctx, conn)
	}
}

// stream sends until the connection or the context ends.
func (l *etcdLink) stream(ctx context.Context, conn net.Conn) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	closed := make(chan struct{})
	context.AfterFunc(ctx, func() { _ = conn.Close(); close(closed) }) // interrupts a write
	var buf []byte
	l.each(ctx, func(batch []*raftpb.Message) {
		var err error
		if buf, err = appendFrames(buf[:0], batch); err == nil {
			_, err = conn.Write(buf)
		}
		if err != nil {
			cancel()
		}
		if cap(buf) > etcdKeptBuf {
			buf = nil
		}
	})
	<-closed
}

// appendFrames encodes messages behind buf.
func appendFrames(buf []byte, messages []*raftpb.Message) (_ []byte, err error) {
	for _, m := range messages {
		head := len(buf)
		buf = append(buf, make([]byte, etcdFrameHead)...)
		if buf, err = (proto.MarshalOptions{}).MarshalAppend(buf, m); err != nil {
			return buf, err
		}
		binary.LittleEndian.PutUint32(buf[head:], uint32(len(buf)-head-etcdFrameHead))
	}
	return buf, nil
}

// cutFrames decodes the whole messages at the beginning of buf and returns what is left of it.
func cutFrames(messages []*raftpb.Message, buf []byte) (_ []*raftpb.Message, rest []byte, err error) {
	for len(buf) >= etcdFrameHead {
		size := int(binary.LittleEndian.Uint32(buf))
		if size > etcdMaxFrame {
			return messages, buf, fmt.Errorf("receive: frame of %d bytes is above %d", size, etcdMaxFrame)
		}
		if len(buf) < etcdFrameHead+size {
			break
		}
		m := &raftpb.Message{}
		if err := proto.Unmarshal(buf[etcdFrameHead:etcdFrameHead+size], m); err != nil {
			return messages, buf, fmt.Errorf("receive: %w", err)
		}
		messages = append(messages, m)
		buf = buf[etcdFrameHead+size:]
	}
	return messages, buf, nil
}

// accept serves the other voters' connections until the voter ends.
func (n *etcdNode) accept() {
	for {
		conn, err := n.listener.Accept()
		if n.ctx.Err() != nil {
			if err == nil {
				_ = conn.Close() // nothing was read from it
			}
			return
		}
		if err != nil {
			n.fail(fmt.Errorf("accept: %w", err))
			return
		}
		n.threads.Go(func() {
			stop := context.AfterFunc(n.ctx, func() { _ = conn.Close() }) // interrupts a read
			n.fail(n.receive(conn))
			stop()
			_ = conn.Close() // only read from
		})
	}
}

// receive puts messages into the inbox, those of one read at once, until the connection ends. Its error is
// a message that cannot be read.
func (n *etcdNode) receive(conn net.Conn) error {
	buf := make([]byte, 0, etcdReadChunk)
	var messages []*raftpb.Message
	for {
		switch {
		case len(buf) == 0 && cap(buf) > etcdKeptBuf:
			buf = make([]byte, 0, etcdReadChunk)
		case len(buf) == cap(buf):
			buf = slices.Grow(buf, max(etcdFrameHead+int(binary.LittleEndian.Uint32(buf))-len(buf), 1)) // cutFrames has seen that it is not too much
		}
		k, err := conn.Read(buf[len(buf):cap(buf)])
		if err != nil {
			return nil // the sender dials again
		}
		var rest []byte
		if messages, rest, err = cutFrames(messages[:0], buf[:len(buf)+k]); err != nil {
			return err
		}
		buf = buf[:copy(buf[:cap(buf)], rest)]
		if len(messages) > 0 {
			n.inbox.put(messages...)
			clear(messages)
		}
	}
}
