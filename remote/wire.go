package remote

import (
	"bufio"
	"bytes"
	"io"
	"slices"
)

// A Wire encodes batches as they travel and decodes them as they arrive, for transports that bring bytes over
// in another way than TCP does: tests and simulators. It is not safe for concurrent use. The zero Wire is ready.
type Wire struct {
	Version Version // that both ends speak; set it before the first use; default the newest

	out framer
	in  deframer
	src bytes.Reader
}

// Encode returns the batch as one frame, appended to b. It keeps nothing of the batch. Errors: a message that does
// not travel in this version, or a frame above 1 GiB.
func (w *Wire) Encode(b []byte, batch []Envelope) ([]byte, error) {
	defer w.out.done()
	w.begin()
	if _, err := w.out.frame(batch, maxFrame); err != nil {
		return b, err
	}
	for _, segment := range w.out.segments {
		b = append(b, segment...)
	}
	return b, nil
}

// Decode returns the batch that a frame holds. The messages own all their memory. It refuses whatever TCP would.
func (w *Wire) Decode(frame []byte) ([]Envelope, error) {
	w.begin()
	w.src.Reset(frame)
	w.in.r.Reset(&w.src)
	batch, size, err := w.in.next()
	if err == nil && size != len(frame) {
		err = io.ErrUnexpectedEOF
	}
	return slices.Clone(batch), err
}

func (w *Wire) begin() {
	if w.in.r == nil {
		defaulted(&w.Version, newest)
		w.out = newFramer(kinds, w.Version)
		w.in = deframer{heads: newHeads(kinds, w.Version), r: bufio.NewReaderSize(&w.src, readBuffer), limit: maxFrame,
			patience: func(int) {}}
	}
}
