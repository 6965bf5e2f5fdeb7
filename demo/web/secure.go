package web

import (
	"bytes"
	"cmp"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"

	"github.com/troupe-raft/troupe/demo/api"
)

// MaxHeaderBytes is how long a request's first line and headers may be together.
const MaxHeaderBytes = 64 << 10

// Serve serves connections of a listener that came from Listen until it fails or the server is closed, over TLS if the server has a configuration of
// it. It sets what of the server belongs to connections and their errors. What net/http refuses by itself, in plain text, becomes JSON: that is seen
// where it is written, above TLS, and so HTTPS is HTTP/1.1 here.
func (c *Conns) Serve(s *http.Server, l net.Listener) error {
	s.ConnContext, s.MaxHeaderBytes, s.DisableGeneralOptionsHandler = c.Context, MaxHeaderBytes, true
	var secure *tls.Config
	if s.TLSConfig != nil {
		secure = s.TLSConfig.Clone()
		secure.NextProtos = []string{"http/1.1"}
	}
	return s.Serve(&speaking{l, c, secure})
}

// speaking is a listener whose connections tell net/http's own errors in JSON.
type speaking struct {
	net.Listener
	conns  *Conns
	secure *tls.Config
}

func (l *speaking) Accept() (net.Conn, error) {
	over, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	counted, ok := over.(*conn)
	switch {
	case !ok:
		return over, nil
	case l.secure == nil:
		return &speaker{Conn: over, counted: counted}, nil
	default:
		return &secureSpeaker{speaker{Conn: tls.Server(over, l.secure), counted: counted}, l.conns}, nil
	}
}

// A speaker is a connection on which only whole answers are sent: a handler's as it is, and what the server itself answers in JSON.
type speaker struct {
	net.Conn
	counted *conn

	mu       sync.Mutex // the server reads ahead in a goroutine of its own
	answered bool       // since the head began
	head     []byte     // what was read of the request at hand, up to maxSeen bytes
}

// maxSeen is how much of a request's head is kept, to say what is wrong with it.
const maxSeen = 512 // bytes

// Read implements io.Reader.
func (s *speaker) Read(p []byte) (int, error) {
	n, err := s.Conn.Read(p)
	s.see(p[:n])
	return n, err
}

func (s *speaker) see(p []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(p) > 0 && s.answered {
		s.head, s.answered = nil, false // an answer may be in the making of the one before
	}
	if room := maxSeen - len(s.head); room > 0 {
		s.head = append(s.head, p[:min(len(p), room)]...)
	}
}

// NetConn is the connection that counts.
func (s *speaker) NetConn() net.Conn { return s.counted }

// CloseWrite tells the client that there is no more. An answer that comes while the client still sends is read so.
func (s *speaker) CloseWrite() error {
	under := s.Conn
	if under == net.Conn(s.counted) {
		under = s.counted.Conn
	}
	if half, ok := under.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}

// answer ends the request at hand: what is read from now on is another one's, and what was read of this one stays as it is.
func (s *speaker) answer() (head []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answered = true
	return s.head
}

// Write implements io.Writer. While no handler is at work what is written is the server's own, and one write is the whole of it.
func (s *speaker) Write(p []byte) (int, error) {
	head := s.answer()
	if s.counted.answering.Load() > 0 || !bytes.HasPrefix(p, []byte("HTTP/1.")) {
		return s.Conn.Write(p)
	}
	if _, err := s.Conn.Write(inJSON(p, head)); err != nil {
		return 0, err
	}
	return len(p), nil
}

// A secureSpeaker is a speaker over TLS.
type secureSpeaker struct {
	speaker
	conns *Conns
}

// ConnectionState is how the server knows that a request came over TLS.
func (s *secureSpeaker) ConnectionState() tls.ConnectionState {
	return s.Conn.(*tls.Conn).ConnectionState()
}

// Read implements io.Reader. The first one shakes hands, within the time that a request's head has. Who does not speak TLS is told so.
func (s *secureSpeaker) Read(p []byte) (int, error) {
	n, err := s.speaker.Read(p)
	var head tls.RecordHeaderError
	if errors.As(err, &head) && head.Conn != nil {
		if plainHTTP(head.RecordHeader) {
			_, _ = head.Conn.Write(answerOf(http.StatusBadRequest, "this address serves https://, and this was plain HTTP"))
		}
		s.conns.log.Debug("TLS handshake failed", "from", s.RemoteAddr().String(), "err", err)
		return n, io.EOF
	}
	return n, err
}

// plainHTTP reports whether what should have been TLS begins like a request.
func plainHTTP(head [5]byte) bool {
	for _, method := range []string{"GET /", "HEAD ", "POST ", "PUT /", "OPTIO", "DELET", "PATCH"} {
		if string(head[:]) == method {
			return true
		}
	}
	return false
}

// inJSON is an answer of net/http itself in the form that all others have. Its first line says what it is, or else the head that it answers.
func inJSON(plain, head []byte) []byte {
	line, _, _ := bytes.Cut(plain, []byte("\r\n"))
	fields := strings.SplitN(string(line), " ", 3) // version, status and words
	status, err := strconv.Atoi(fields[min(1, len(fields)-1)])
	if err != nil || status < http.StatusBadRequest {
		return plain
	}
	words := strings.ToLower(http.StatusText(status))
	if _, more, ok := strings.Cut(string(line), ": "); ok {
		words = more
	}
	switch {
	case status == http.StatusRequestHeaderFieldsTooLarge:
		words = fmt.Sprintf("the request's line and headers have more than %d bytes", MaxHeaderBytes)
	case status == http.StatusNotImplemented:
		words = "unsupported transfer encoding: chunked is the one there is"
	case status == http.StatusBadRequest && !strings.Contains(string(line), ": "):
		words = misheard(head)
	}
	return answerOf(status, words)
}

// misheard says what is wrong with a request that net/http calls bad and no more, by what was read of it.
func misheard(head []byte) string {
	const general = "the request is not HTTP as it should be"
	whole := bytes.Contains(head, []byte("\r\n\r\n"))
	line, fields, _ := bytes.Cut(head, []byte("\r\n"))
	words := strings.Split(string(line), " ")
	switch {
	case len(head) > 1 && head[0] == 0x16 && head[1] == 3: // the record of TLS that begins a handshake, and its version
		return "this address serves http://, and this was TLS"
	case !whole && len(head) < maxSeen:
		return general + ": its head did not arrive in time, or not all of it"
	case len(words) < 3 || !strings.HasPrefix(words[len(words)-1], "HTTP/"):
		if len(line) == maxSeen {
			return general
		}
		return general + ": the first line is not one of HTTP, like GET /healthz HTTP/1.1"
	}
	if _, err := url.ParseRequestURI(words[1]); err != nil || len(words) > 3 {
		return general + ": in a path % is written %25 and a space %20"
	}
	lengths := 0
	for field := range bytes.SplitSeq(fields, []byte("\r\n")) {
		name, value, _ := strings.Cut(string(field), ":")
		if !strings.EqualFold(name, "Content-Length") {
			continue
		}
		if _, err := strconv.ParseUint(strings.TrimSpace(value), 10, 63); err != nil {
			return general + ": Content-Length is not a whole number from 0 on"
		}
		if lengths++; lengths > 1 {
			return general + ": Content-Length is given twice"
		}
	}
	return general
}

// answerOf is a whole refusal, after which the connection ends.
func answerOf(status int, words string) []byte {
	body, _ := json.Marshal(api.Error{Error: words, Outcome: api.Refused}) // of which everything has JSON
	return fmt.Appendf(nil, "HTTP/1.1 %d %s\r\nContent-Type: %s\r\nCache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s\n",
		status, cmp.Or(http.StatusText(status), "Refused"), typeJSON, len(body)+1, body)
}
