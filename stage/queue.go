package stage

import "sync"

// chunkLen makes a chunk 512 bytes: small enough for a mailbox that holds one message, large enough that a burst costs little.
const chunkLen = 31

// A chunk is a piece of a queue. Chunks are shared by all mailboxes, so one at rest holds no memory for messages and one
// that had a burst gives it back.
type chunk struct {
	next          *chunk
	read, written int32
	messages      [chunkLen]any
}

var chunks = sync.Pool{New: func() any { return new(chunk) }}

// A queue is a chain of chunks, first in, first out. Its zero value is empty. It has no lock.
type queue struct{ head, tail *chunk }

func (q *queue) empty() bool { return q.head == nil }

func (q *queue) push(message any) {
	c := q.tail
	if c == nil || c.written == chunkLen {
		c = chunks.Get().(*chunk)
		if q.tail == nil {
			q.head = c
		} else {
			q.tail.next = c
		}
		q.tail = c
	}
	c.messages[c.written] = message
	c.written++
}

// pop must not be called on an empty queue.
func (q *queue) pop() any {
	c := q.head
	message := c.messages[c.read]
	c.messages[c.read] = nil
	c.read++
	if c.read == c.written {
		q.head = c.next
		if q.head == nil {
			q.tail = nil
		}
		c.next, c.read, c.written = nil, 0, 0
		chunks.Put(c)
	}
	return message
}
