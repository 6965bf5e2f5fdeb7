package remote

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"net"
	"time"
)

const (
	frameHeader = 12        // length, sum, heads
	frameTarget = 1 << 20   // bytes of waiting messages that make a frame full
	smallFrame  = 32 << 10  // likewise, on the slowest connection
	readBuffer  = 64 << 10  // bytes, for each connection
	smallEnough = 4 << 10   // bytes of payload that are cheaper to copy than to give a segment of their own
	keepScratch = 1 << 20   // bytes of scratch that outlive an unusually large frame
	firstGrowth = 256 << 10 // bytes allocated on the mere announcement of more
	growth      = 8         // then this many times what has arrived
)

// errTooLarge refuses a frame that the other side would refuse.
var errTooLarge = errors.New("remote: message exceeds the frame limit")

// A framer turns batches into frames. It belongs to one writing goroutine.
type framer struct {
	kinds    *codec
	coder    coder // its out is the header, the heads and small payloads
	cuts     []cut
	segments net.Buffers
	spent    net.Buffers // what WriteTo consumes
}

func newFramer(kinds *codec, v Version) framer { return framer{kinds: kinds, coder: coder{version: v}} }

// A cut says that after out[:at] a payload is written from where it lies.
type cut struct {
	at      int
	payload []byte
}

// frame encodes batch. The result shares memory with f and the messages, and is valid until done.
func (f *framer) frame(batch []Envelope, limit int) (size int, err error) {
	f.done()
	c := &f.coder
	c.out = append(c.out, make([]byte, frameHeader)...)
	for _, e := range batch {
		if err = f.kinds.append(c, e); err != nil {
			return 0, err
		}
	}
	headed := len(c.out)
	outside := 0
	each := func(payload []byte) {
		if len(payload) < smallEnough {
			c.out = append(c.out, payload...)
			return
		}
		f.cuts = append(f.cuts, cut{len(c.out), payload})
		outside += len(payload)
	}
	for _, e := range batch {
		payloads(e.Message, each)
	}
	if size = len(c.out) + outside; size > limit {
		return size, errTooLarge
	}
	binary.BigEndian.PutUint32(c.out, uint32(size-8))
	binary.BigEndian.PutUint32(c.out[8:], uint32(headed-frameHeader))
	binary.BigEndian.PutUint32(c.out[4:], frameSum(c.out[:frameHeader], c.out[frameHeader:headed]))
	from := 0
	for _, cut := range f.cuts {
		if cut.at > from {
			f.segments = append(f.segments, c.out[from:cut.at])
		}
		f.segments = append(f.segments, cut.payload)
		from = cut.at
	}
	if from < len(c.out) {
		f.segments = append(f.segments, c.out[from:])
	}
	return size, nil
}

// writeTo writes the frame: in one system call where w is a TCP connection.
func (f *framer) writeTo(w io.Writer) error {
	if len(f.segments) == 1 {
		_, err := w.Write(f.segments[0])
		return err
	}
	f.spent = append(f.spent[:0], f.segments...)
	rest := f.spent
	_, err := rest.WriteTo(w)
	return err
}

// done lets go of the messages.
func (f *framer) done() {
	clear(f.cuts)
	clear(f.segments)
	clear(f.spent)
	f.cuts, f.segments, f.coder.out = f.cuts[:0], f.segments[:0], f.coder.out[:0]
	if cap(f.coder.out) > keepScratch {
		f.coder.out = nil
	}
}

// frameSum covers the header but for the sum itself, and the heads.
func frameSum(header, section []byte) uint32 {
	sum := crc32.Update(0, castagnoli, header[:4])
	sum = crc32.Update(sum, castagnoli, header[8:frameHeader])
	return crc32.Update(sum, castagnoli, section)
}

// A deframer reads frames. It belongs to one reading goroutine.
type deframer struct {
	r     *bufio.Reader
	limit int // bytes of a frame
	// patience is told before reading waits for more of a frame that has begun, with the bytes to come, and
	// with 0 when all of it is here.
	patience func(bytes int)
	heads    heads
	scratch  []byte
}

// next waits for a frame and returns its envelopes, which are valid until the call after, and its size in bytes.
// io.EOF means that the connection ended between frames.
func (d *deframer) next() (batch []Envelope, size int, err error) {
	header, err := d.r.Peek(frameHeader)
	if err != nil {
		if len(header) > 0 && errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return nil, 0, err
	}
	length := int64(binary.BigEndian.Uint32(header))
	section := int64(binary.BigEndian.Uint32(header[8:]))
	if length+8 > int64(d.limit) || section+4 > length {
		return nil, 0, fmt.Errorf("remote: %w frame: %d bytes, of them %d heads; the limit is %d", errMalformed, length+8, section, d.limit)
	}
	size = int(length) + 8
	if d.r.Buffered() < size {
		d.patience(size)
		defer d.patience(0)
	}
	if err = d.readHeads(int(section), size-frameHeader-int(section)); err == nil {
		err = d.readPayloads()
	}
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return d.heads.batch, size, err
}

func (d *deframer) readHeads(section, payload int) error {
	whole := frameHeader + section
	if whole <= d.r.Size() {
		b, err := d.r.Peek(whole)
		if err != nil {
			return err
		}
		if err := d.decode(b[:frameHeader], b[frameHeader:], payload); err != nil {
			return err
		}
		_, err = d.r.Discard(whole)
		return err
	}
	b, err := readGrowing(d.r, d.scratch[:0], whole)
	if err != nil {
		return err
	}
	if cap(b) <= keepScratch {
		d.scratch = b
	}
	return d.decode(b[:frameHeader], b[frameHeader:], payload)
}

func (d *deframer) decode(header, section []byte, payload int) error {
	if frameSum(header, section) != binary.BigEndian.Uint32(header[4:]) {
		return fmt.Errorf("remote: %w frame: checksum mismatch", errMalformed)
	}
	return d.heads.decode(section, payload)
}

func (d *deframer) readPayloads() error {
	for _, w := range d.heads.wants {
		payload, err := readGrowing(d.r, nil, w.bytes)
		if err != nil {
			return err
		}
		if err := complete(d.heads.batch[w.at].Message, payload, d.heads.coder.sizes[w.from:w.to], w.sum); err != nil {
			return err
		}
	}
	return nil
}

// readGrowing reads n bytes into b, or into new memory when they do not fit. Much memory is only taken once
// much has arrived: an announcement alone costs its sender nothing.
func readGrowing(r io.Reader, b []byte, n int) ([]byte, error) {
	if cap(b) < min(n, firstGrowth) {
		b = make([]byte, 0, min(n, firstGrowth))
	}
	for {
		have, reach := len(b), min(n, cap(b))
		b = b[:reach]
		if _, err := io.ReadFull(r, b[have:]); err != nil || reach == n {
			return b, err
		}
		b = append(make([]byte, 0, min(n, growth*cap(b))), b...)
	}
}

// perMiB stretches a timeout for more than a MiB, in proportion.
func perMiB(timeout time.Duration, bytes int) time.Duration {
	return timeout + time.Duration(int64(timeout)/(1<<10)*int64(bytes>>10))
}
