package remote

import "fmt"

// heads is a decoded head section, reused from frame to frame by the goroutine that reads a connection.
type heads struct {
	kinds *codec
	coder coder // its sizes are those of the payloads of all wants
	batch []Envelope
	wants []want
}

// A want is what a message of the batch still lacks.
type want struct {
	at       int // in batch
	from, to int // in coder.sizes
	bytes    int
	sum      uint32
}

func newHeads(kinds *codec, v Version) heads {
	return heads{kinds: kinds, coder: coder{version: v, reading: true}}
}

// decode fills h from a head section that announces payload bytes in all. It copies what it keeps.
func (h *heads) decode(section []byte, payload int) error {
	clear(h.batch)
	h.batch, h.wants = h.batch[:0], h.wants[:0]
	c := &h.coder
	c.b, c.bad, c.sizes = section, false, c.sizes[:0]
	defer func() { c.b = nil }()
	announced := 0
	for len(c.b) > 0 && announced <= payload {
		if len(h.batch) == maxBatch {
			return fmt.Errorf("remote: %w frame: more than %d messages", errMalformed, maxBatch)
		}
		from := len(c.sizes)
		e, err := h.kinds.read(c)
		if err != nil {
			return err
		}
		if w := (want{at: len(h.batch), from: from, to: len(c.sizes), sum: c.sum}); w.to > from {
			for _, size := range c.sizes[from:] {
				w.bytes += size
			}
			announced += w.bytes
			h.wants = append(h.wants, w)
		}
		h.batch = append(h.batch, e)
	}
	if announced != payload {
		return fmt.Errorf("remote: %w frame: heads announce %d bytes of payload, the frame has %d", errMalformed, announced, payload)
	}
	return nil
}
