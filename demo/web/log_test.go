package web

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-raft/troupe/actors"
	"github.com/troupe-raft/troupe/demo/api"
	"github.com/troupe-raft/troupe/demo/kv"
	"github.com/troupe-raft/troupe/entry"
	"github.com/troupe-raft/troupe/raft"
)

const logEntry = 128 << 10 // bytes of a value in a long log

// A longLog is a log of large entries, which it hands out piece by piece: as many at a time. It counts the bytes.
type longLog struct {
	first, last raft.Index
	piece       int
	value       string // repeated
	handed      atomic.Int64
	fails       raft.Index // from which on it cannot be read; 0: it can
}

func (l *longLog) log(from, to raft.Index) (actors.LogRange, error) {
	from = max(from, l.first)
	out := actors.LogRange{First: from, Last: from - 1}
	if l.fails > 0 && from >= l.fails {
		return out, errors.New("a corrupt block")
	}
	for i := from; i <= min(to, l.last) && len(out.Entries) < l.piece; i++ {
		c := kv.Command{Op: kv.Put, Key: fmt.Sprint("k", i), Value: bytes.Repeat([]byte(l.value), logEntry/len(l.value))}
		e := entry.Entry{Index: i, Term: 1, Kind: raft.Command, Data: c.Encode()}
		out.Entries, out.Last = append(out.Entries, e), i
		l.handed.Add(int64(len(e.Data)))
	}
	return out, nil
}

// Sixteen clients that ask for a log of 24 large entries, and read nothing, hold one piece of it each; once they read on they get all of it.
func TestUnreadLogsHoldOnePieceEach(t *testing.T) {
	for name, value := range map[string]string{"text": "v", "six times as long in JSON": "\x01", "no text": "\xff"} {
		t.Run(name, func(t *testing.T) { synctest.Test(t, func(t *testing.T) { unreadLogs(t, value) }) })
	}
}

func unreadLogs(t *testing.T, value string) {
	const readers, each = 16, logEntry + 2*wordsBytes
	f := newFake(1, 1)
	l := &longLog{first: 1, last: 24, piece: 1, value: value}
	f.log = l.log
	d := direct{}
	d.add(f)
	p := piped(t, d["1"], nil)
	var conns []net.Conn
	for range readers {
		conns = append(conns, p.dial(t, rawRequest("GET", "/v1/log")))
	}
	synctest.Wait()
	if n := d["1"].answers.held.Load(); n > readers*each || n < readers*logEntry {
		t.Errorf("%d bytes are held for %d readers", n, readers)
	}
	if n := l.handed.Load(); n > readers*each {
		t.Errorf("%d bytes were read for %d readers that read nothing", n, readers)
	}
	var first string
	for i, c := range conns {
		body := read(t, c).body
		if i > 0 {
			if body != first {
				t.Fatalf("reader %d has %d bytes, the first one %d", i, len(body), len(first))
			}
			continue
		}
		first = body
		got := logOf(t, body)
		if got.First != 1 || got.Last != 24 || len(got.Entries) != 24 {
			t.Fatalf("%d to %d, %d entries", got.First, got.Last, len(got.Entries))
		}
		want := kv.Command{Op: kv.Put, Key: "k24", Value: bytes.Repeat([]byte(value), logEntry)}
		if e := got.Entries[23]; e.Data != want.String() || (value == "\xff") != bytes.Equal(e.DataBase64, want.Encode()) {
			t.Errorf("entry 24 is %.40q, %d bytes, and in base64 %d", e.Data, len(e.Data), len(e.DataBase64))
		}
	}
	if n := d["1"].answers.held.Load(); n != 0 {
		t.Errorf("%d bytes are held in the end", n)
	}
}

func logOf(t *testing.T, text string) (out api.Log) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), &out); err != nil {
		t.Fatalf("%v: %.80s … %s", err, text, text[max(0, len(text)-80):])
	}
	return out
}

// An answer that is cut is whole as far as it goes, and says how far.
func TestCutLogsSayTheirLast(t *testing.T) {
	for _, c := range []struct {
		name string
		log  *longLog
		at   raft.Index // before which something happens
		now  func(*longLog)
		last uint64
	}{
		{"the end of the log", &longLog{last: 7, piece: 2}, 0, nil, 7},
		{"the limit of an answer", &longLog{last: 300, piece: 2}, 0, nil, 256},
		{"compacted meanwhile", &longLog{last: 24, piece: 2}, 5, func(l *longLog) { l.first = 9 }, 4},
		{"cannot be read", &longLog{last: 24, piece: 2, fails: 7}, 0, nil, 6},
		{"truncated meanwhile", &longLog{last: 24, piece: 2}, 5, func(l *longLog) { l.last = 3 }, 4},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := c.log
			l.first, l.value = 1, "v"
			f := newFake(1, 1)
			f.log = func(from, to raft.Index) (actors.LogRange, error) {
				if c.now != nil && from >= c.at {
					c.now(l)
				}
				return l.log(from, to)
			}
			d := direct{}
			d.add(f)
			got := d.ask(t, "1", "GET", "/v1/log", "")
			out := logOf(t, got.body)
			if got.status != http.StatusOK || out.First != 1 || out.Last != c.last || uint64(len(out.Entries)) != c.last {
				t.Errorf("%d: %d to %d, %d entries; want 1 to %d", got.status, out.First, out.Last, len(out.Entries), c.last)
			}
			got = d.ask(t, "1", "GET", fmt.Sprint("/v1/log?from=", c.last+1, "&to=", c.last+1), "")
			if l.fails > 0 {
				if got.status != http.StatusServiceUnavailable || !strings.Contains(got.body, "a corrupt block") {
					t.Errorf("the rest: %d %s", got.status, got.body)
				}
			} else if out := logOf(t, got.body); out.First != max(c.last+1, uint64(l.first)) || out.Last < c.last {
				t.Errorf("the rest: %d to %d", out.First, out.Last)
			}
		})
	}
}

// A reader that is cut off does not take what it has for the whole.
func TestLogThatBreaksOffIsNoAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(1, 1)
		f.log = (&longLog{first: 1, last: 24, piece: 1, value: "v"}).log
		d := direct{}
		d.add(f)
		c := piped(t, d["1"], nil).dial(t, rawRequest("GET", "/v1/log"))
		time.Sleep(writeStall + time.Second)
		synctest.Wait()
		text, _ := io.ReadAll(c)
		if bytes.HasSuffix(text, []byte("0\r\n\r\n")) || d["1"].answers.held.Load() != 0 {
			t.Errorf("%d bytes came, %d are held", len(text), d["1"].answers.held.Load())
		}
	})
}

// HEAD has nothing of the log read beyond one piece.
func TestHeadOfTheLog(t *testing.T) {
	f := newFake(1, 1)
	l := &longLog{first: 1, last: 24, piece: 1, value: "v"}
	f.log = l.log
	d := direct{}
	d.add(f)
	w := httptest.NewRecorder()
	d["1"].ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), "HEAD", "/v1/log", nil))
	if w.Code != http.StatusOK || w.Body.Len() != 0 || l.handed.Load() > logEntry+wordsBytes {
		t.Errorf("%d, %d bytes, %d read", w.Code, w.Body.Len(), l.handed.Load())
	}
}
