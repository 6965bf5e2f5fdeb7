package applier

import (
	"bytes"
	"math"
	"time"

	"github.com/vmihailenco/msgpack/v5"
)

// SessionLimits say how long a session lasts, and what of it is remembered for a client that repeats itself. They travel in the log with
// every OpenSession entry, so that all replicas decide alike whatever their own configuration says. What is negative counts as 0.
type SessionLimits struct {
	TTL      time.Duration // a session that was not used for longer than this, on the log's clock, has expired
	Sessions int           // above so many the least recently used goes; 0: no limit
	// Table bounds the bytes of all sessions together, for which a session counts 256 and each remembered answer its bytes and 64: above it
	// the least recently used goes, and the next, down to the one in use. The latest opening decides for all. 0: no limit.
	Table int

	Answers int // that a session remembers at most; at least Keep
	Bytes   int // of its remembered answers: above it the oldest is forgotten …
	Keep    int // … but not these latest ones, whatever their size; at least 1
}

// The first numbers of an OpenSession's payload.
const (
	openVersion1 = 1
	openVersion  = 2
)

// firstLimits are those of sessions that version 1 opened. They decide what such a session remembers, so they never change.
var firstLimits = SessionLimits{Answers: 64, Bytes: 1 << 20, Keep: 1}

// What sessions and answers count for SessionLimits.Table beyond the bytes of the answers: about the memory that they take. Replicas that
// counted differently would evict differently, so neither ever changes.
const (
	sessionCost = 256
	answerCost  = 64
)

// open is a decoded OpenSession.
type open struct {
	SessionLimits
	version int
}

// EncodeOpen makes the data of an OpenSession entry, the msgpack value [version, TTL in ms, Sessions, Table, Answers, Bytes, Keep].
func EncodeOpen(l SessionLimits) []byte {
	var b bytes.Buffer
	e := msgpack.NewEncoder(&b)
	e.UseCompactInts(true)
	fields := []int64{openVersion, l.TTL.Milliseconds(), int64(l.Sessions), int64(l.Table), int64(l.Answers), int64(l.Bytes), int64(l.Keep)}
	for i := range fields {
		fields[i] = max(0, fields[i])
	}
	_ = e.EncodeMulti(fields) // neither the buffer nor numbers can fail
	return b.Bytes()
}

// decodeOpen also takes [1, TTL in ms, Sessions], which logs of the first version hold.
func decodeOpen(b []byte) (o open, _ bool) {
	d := newDecoder(b)
	n := d.array(1)
	o.version = int(d.int())
	var more []*int
	switch {
	case n == 3 && o.version == openVersion1:
		o.SessionLimits, more = firstLimits, []*int{&o.Sessions}
	case n == 7 && o.version == openVersion:
		more = []*int{&o.Sessions, &o.Table, &o.Answers, &o.Bytes, &o.Keep}
	default:
		return open{}, false
	}
	const most = 1 << 40
	ttl := d.int()
	fits := ttl >= 0 && ttl <= most
	for _, field := range more {
		v := d.int()
		fits = fits && v >= 0 && v <= most
		*field = int(min(v, math.MaxInt))
	}
	if d.done() != nil || !fits {
		return open{}, false
	}
	o.TTL = time.Duration(ttl) * time.Millisecond
	return o, true
}
