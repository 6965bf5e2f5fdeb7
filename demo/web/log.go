package web

import (
	"cmp"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/troupe-raft/troupe/actors"
	"github.com/troupe-raft/troupe/demo/kv"
	"github.com/troupe-raft/troupe/entry"
	"github.com/troupe-raft/troupe/raft"
)

// LogPiece is how much of the log Config.Group.Log should read at a time, or one block if that is more: the log is answered with piece by piece, and a
// client that reads slowly holds one of them.
const LogPiece = 64 << 10 // bytes

const (
	maxLogReaders = 2
	maxLogAnswer  = 32 << 20 // bytes of entries, after which an answer is cut: as JSON they may be seven times as long
	wordsBytes    = 64 << 10 // that putting an entry into words takes
	base64Part    = 3 << 10  // bytes that are encoded at a time
)

// A logAnswer is one answer with entries of the log, under way.
type logAnswer struct {
	s     *Server
	r     *http.Request
	to    raft.Index
	piece actors.LogRange // read last
	held  *account
	size  int64 // of the piece, on account
}

func (s *Server) log(r *http.Request) reply {
	query := r.URL.Query()
	from, err := strconv.ParseUint(cmp.Or(query.Get("from"), "1"), 10, 64)
	if err != nil {
		return s.refusal(malformed("from: %.*q is not an index", maxQuoted, query.Get("from")))
	}
	to, err := strconv.ParseUint(cmp.Or(query.Get("to"), strconv.FormatUint(math.MaxUint64, 10)), 10, 64)
	if err != nil {
		return s.refusal(malformed("to: %.*q is not an index", maxQuoted, query.Get("to")))
	}
	a := &logAnswer{s: s, r: r, to: raft.Index(to), held: &accountsOf(r.Context()).answers}
	if err := a.read(raft.Index(from)); err != nil {
		return s.refusal(err)
	}
	return reply{status: http.StatusOK, stream: a.write}
}

// read takes the next piece, within the time that a request may wait. What there is of it while it is read is not on account, and so only few read at a time.
func (a *logAnswer) read(from raft.Index) error {
	ctx, cancel, err := within(a.r)
	if err != nil {
		return err
	}
	defer cancel()
	select {
	case a.s.logReaders <- struct{}{}:
		defer func() { <-a.s.logReaders }()
	case <-ctx.Done():
		return ctx.Err()
	}
	found, err := a.s.Group.Log(ctx, from, a.to)
	if err != nil {
		return err
	}
	size := 0
	for _, e := range found.Entries {
		size += len(e.Data) + 64
	}
	if size > small {
		if err := a.held.take(int64(size) + wordsBytes); err != nil {
			return err
		}
		a.size = int64(size) + wordsBytes
	}
	a.piece = found
	return nil
}

// drop gives up the piece that was read.
func (a *logAnswer) drop() {
	a.held.give(a.size)
	a.piece, a.size = actors.LogRange{}, 0
}

// write writes the answer while it reads on. Its last comes at the end: where the log goes on elsewhere meanwhile, cannot be read, or is long, the answer
// is cut behind a whole entry, and last says where to go on.
func (a *logAnswer) write(w *steady) error {
	defer a.drop()
	if a.r.Method == http.MethodHead {
		return nil
	}
	last, written := a.piece.Last, 0
	if err := w.text(fmt.Sprintf(`{"first":%d,"entries":[`, a.piece.First)); err != nil {
		return err
	}
	for len(a.piece.Entries) > 0 {
		for i := range a.piece.Entries {
			e := &a.piece.Entries[i]
			if written > 0 {
				if err := w.text(","); err != nil {
					return err
				}
			}
			if err := a.entry(w, e); err != nil {
				return err
			}
			last, written = e.Index, written+len(e.Data)+1
		}
		a.drop()
		if last >= a.to || written >= maxLogAnswer || !a.next(last+1) {
			break
		}
		w.patient()
	}
	return w.text(fmt.Sprintf("],\"last\":%d}\n", last))
}

// next reads the piece from an index on and reports whether there is one.
func (a *logAnswer) next(from raft.Index) bool {
	if err := a.read(from); err != nil {
		a.s.Log.Debug("an answer with the log is cut", "before", uint64(from), "err", err) // whoever asks for the rest is told
		return false
	}
	return a.piece.First == from // else it was compacted
}

// entry writes one entry, a small part at a time.
func (a *logAnswer) entry(w *steady, e *entry.Entry) error {
	kind, describe, text := inWords(e)
	if err := w.text(fmt.Sprintf(`{"index":%d,"term":%d,"kind":"%s","data":"`, e.Index, e.Term, kind)); err != nil {
		return err
	}
	a.s.turns <- struct{}{} // which nobody keeps for long, and so what is begun goes on
	err := describe(&jsonText{w: w, turns: a.s.turns})
	<-a.s.turns
	err = cmp.Or(err, w.text(`"`))
	if err != nil || text {
		return cmp.Or(err, w.text("}"))
	}
	if err := w.text(`,"data_base64":"`); err != nil {
		return err
	}
	for part := range slices.Chunk(e.Data, base64Part) {
		if err := w.text(base64.StdEncoding.EncodeToString(part)); err != nil {
			return err
		}
	}
	return w.text(`"}`)
}

// A jsonText writes text as the inside of a JSON string. Each Write is of whole characters. The turn at large JSON that its user has is given up while the
// client takes what was made.
type jsonText struct {
	w     *steady
	turns chan struct{}
}

func (j *jsonText) Write(p []byte) (int, error) {
	var escaped strings.Builder
	e := json.NewEncoder(&escaped)
	e.SetEscapeHTML(false)
	if err := e.Encode(string(p)); err != nil {
		return 0, err
	}
	<-j.turns
	defer func() { j.turns <- struct{}{} }()
	return len(p), j.w.text(strings.TrimSuffix(escaped.String(), "\"\n")[1:])
}

// inWords tells what an entry is, how to say what it says, and whether that is all text.
func inWords(e *entry.Entry) (kind string, describe func(io.Writer) error, text bool) {
	quoted := func(w io.Writer) error { return kv.Quote(w, e.Data) }
	words := func(s string) func(io.Writer) error {
		return func(w io.Writer) error {
			_, err := io.WriteString(w, s)
			return err
		}
	}
	switch e.Kind {
	case raft.Command:
		c, err := kv.DecodeCommand(e.Data)
		if err != nil {
			return "command", quoted, utf8.Valid(e.Data)
		}
		return "command", c.Describe, utf8.ValidString(c.Key) && utf8.Valid(c.Value) && utf8.Valid(c.Expect)
	case raft.NoOp:
		return "noop", words(""), true
	case raft.Reconfigure:
		m, err := entry.DecodeMembership(e.Data)
		if err != nil {
			return "membership", quoted, utf8.Valid(e.Data)
		}
		return "membership", words(memberWords(m)), true
	case raft.OpenSession:
		return "open-session", words(""), true
	case raft.CloseSession:
		return "close-session", words(strconv.FormatUint(e.Session, 10)), true
	default:
		return fmt.Sprintf("kind-%d", e.Kind), quoted, utf8.Valid(e.Data)
	}
}

func memberWords(m raft.Membership) string {
	var parts []string
	for _, l := range []struct {
		name string
		ids  []raft.NodeID
	}{{"voters", m.Voters}, {"outgoing", m.Outgoing}, {"learners", m.Learners}} {
		if len(l.ids) > 0 {
			parts = append(parts, l.name+" "+strings.Trim(fmt.Sprint(l.ids), "[]"))
		}
	}
	return strings.Join(parts, ", ")
}
