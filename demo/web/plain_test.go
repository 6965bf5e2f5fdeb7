package web

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/troupe-raft/troupe/actors"
	"github.com/troupe-raft/troupe/demo/api"
	"github.com/troupe-raft/troupe/raft"
)

// jargon is what nobody who does not program sees.
var jargon = regexp.MustCompile(`\b(actors|raft|remote|persister|net/http|http|tls|x509): |\b[a-z]+\.[A-Z]|(Host|Group)Config|Host\.SetPeer|\b(dial|read|write) tcp|context (deadline|canceled)|\bEOF\b|HTTP/1\.x|connect:`)

// TestAPINamesAreNotShown: what the library says to programmers the demo says in ctl's words.
func TestAPINamesAreNotShown(t *testing.T) {
	for _, trouble := range []error{
		&actors.IdentityError{Peer: 2, By: 1, Standing: raft.Wiped}, &actors.IdentityError{Peer: 2, By: 1, Standing: raft.Cloned}, &actors.IdentityError{Peer: 2, By: 1, Standing: raft.Older},
		&actors.LocationError{Peer: 2, Named: raft.Member{ID: 2, Addr: "a:1"}, Found: raft.Member{ID: 2, Addr: "b:1"}},
		&actors.LocationError{Peer: 2, Named: raft.Member{ID: 2, Addr: "a:1", Tag: "a:2"}, Found: raft.Member{ID: 2, Addr: "a:1", Tag: "b:2"}}, &actors.NoAddressError{Peer: 2}, &actors.FoundersError{Peer: 2},
		fmt.Errorf("raft: %w", &actors.FoundersError{Peer: 2}),
	} {
		f := newFake(1, 1)
		f.status.Trouble = trouble
		f.status.Members = []actors.MemberStatus{{Member: raft.Member{ID: 2}, Trouble: trouble}}
		f.change = func(actors.Change) error { return trouble }
		at := serve(t, f, nil)
		for _, got := range []answer{ask(t, "GET", at+"/v1/status", ""), ask(t, "GET", at+"/readyz", ""), ask(t, "POST", at+"/v1/members", `{"remove":2}`)} {
			if found := jargon.FindString(got.body); found != "" || !strings.Contains(got.body, "node 2") {
				t.Errorf("%T: %q in %s", trouble, found, got.body)
			}
		}
	}
}

// TestBrokenConnectionsInWords: of a leader that cannot be asked it is said why, without the words of Go's libraries.
func TestBrokenConnectionsInWords(t *testing.T) {
	s := New(Config{Node: 1, Group: newFake(1, 1), Log: quiet()})
	at := &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1}
	op := func(name string, number error) error {
		return &net.OpError{Op: name, Net: "tcp", Source: at, Addr: at, Err: os.NewSyscallError(map[string]string{"dial": "connect"}[name], number)}
	}
	for want, err := range map[string]error{
		"connection refused":                      op("dial", syscall.ECONNREFUSED),
		"connection reset by peer":                op("read", syscall.ECONNRESET),
		"no answer in time":                       context.DeadlineExceeded,
		"no answer in time ":                      fmt.Errorf("x: %w", os.ErrDeadlineExceeded),
		"the connection was closed":               io.EOF,
		"the connection was closed ":              fmt.Errorf("net/http: HTTP/1.x transport connection broken: %w", io.ErrUnexpectedEOF),
		"the connection was closed  ":             errors.New("http: server closed idle connection"),
		"another node leads meanwhile":            context.Canceled,
		"there is no host h":                      &net.OpError{Op: "dial", Net: "tcp", Err: &net.DNSError{Name: "h", Err: "no such host", IsNotFound: true}},
		"what answers there speaks no HTTP":       errors.New(`net/http: HTTP/1.x transport connection broken: malformed HTTP status code "other"`),
		"it serves http://, not https://":         errors.New("http: server gave HTTP response to HTTPS client"),
		"is of an authority that is not trusted":  &tls.CertificateVerificationError{Err: x509.UnknownAuthorityError{}},
		"its certificate is not for this address": &tls.CertificateVerificationError{Err: x509.HostnameError{Certificate: &x509.Certificate{}, Host: "h"}},
		"has run out, or is not valid yet":        &tls.CertificateVerificationError{Err: x509.CertificateInvalidError{Reason: x509.Expired}},
	} {
		for _, unknown := range []bool{false, true} {
			out, _ := s.broken(err, unknown, true, actors.Status{Leader: 3}, "h:1")
			if read, _ := s.broken(err, unknown, false, actors.Status{Leader: 3}, "h:1"); strings.Contains(string(read.body), "h:1") {
				t.Errorf("who reads, without a token, is told %s", read.body)
			}
			var said api.Error
			if dialed := (*net.OpError)(nil); !unknown && errors.As(err, &dialed) && dialed.Op == "dial" && !strings.Contains(string(out.body), "node 3, cannot be reached at http://h:1: ") {
				t.Errorf("%v became %s: where was it asked?", err, out.body)
			}
			if json.Unmarshal(out.body, &said) != nil || !strings.Contains(said.Error, strings.TrimSpace(want)) || jargon.MatchString(said.Error) {
				t.Errorf("%v became %s, want %s", err, out.body, want)
			}
		}
	}
}

// TestServersOwnErrorsByKind: the remedy for a path is for those whose path it is.
func TestServersOwnErrorsByKind(t *testing.T) {
	for _, secure := range []bool{false, true} {
		at := listen(t, newFake(1, 1), secure)
		for _, test := range []struct {
			request, want string
			path          bool
		}{
			{"GET /v1/kv/%zz HTTP/1.1\r\nHost: h\r\n\r\n", "in a path % is written %25", true},
			{"GET /v1/kv/a b HTTP/1.1\r\nHost: h\r\n\r\n", "a space %20", true},
			{"hello\r\n\r\n", "the first line is not one of HTTP", false},
			{"GET /healthz HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", "Content-Length is given twice", false},
			{"PUT /v1/kv/k HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n", "Content-Length is not a whole number from 0 on", false},
			{"PUT /v1/kv/k HTTP/1.1\r\nHost: a\r\nContent-Length: 1x\r\n\r\n", "Content-Length is not a whole number from 0 on", false},
			{"GET /healthz HTTP/1.1\r\nHost: a\r\n: x\r\n\r\n", "the request is not HTTP as it should be", false},
			{"GET /healthz HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", "the request is not HTTP as it should be", false},
		} {
			got := exchange(t, at, secure, test.request)
			checkError(t, test.request, got, test.want, api.Refused)
			if got.status != 400 || strings.Contains(got.body, "%25") != test.path {
				t.Errorf("%q: %d %s", test.request, got.status, got.body)
			}
		}
		if secure {
			continue
		}
		got := exchange(t, at, false, "\x16\x03\x01\x00\xa5\x01\x00\r\n\r\n")
		checkError(t, "TLS", got, "this address serves http://, and this was TLS", api.Refused)
	}
}

// TestDeclaredBodies: a body that says itself that it is too long is refused before it is sent.
func TestDeclaredBodies(t *testing.T) {
	at := listen(t, newFake(1, 1), false)
	for path, want := range map[string]string{"PUT /v1/kv/k": "8388608 bytes", "POST /v1/members": "65536 bytes", "POST /kvstore/put": "8388608 bytes"} {
		got := exchange(t, at, false, path+" HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\nContent-Length: 999999999999\r\n\r\n")
		if checkError(t, path, got, want, api.Refused); got.status != 413 {
			t.Errorf("%s: %d %s", path, got.status, got.body)
		}
	}
}

// TestTokenInWords: a token that is wrong is not one that is missing.
func TestTokenInWords(t *testing.T) {
	at := serve(t, newFake(1, 1), func(c *Config) { c.Token = "secret" })
	for header, want := range map[string]string{
		"X: ":                           "this needs the token: the header Authorization: Bearer TOKEN",
		"Authorization: Basic secret":   "this needs the token: the header Authorization: Bearer TOKEN",
		"Authorization: Bearer":         "this needs the token: the header Authorization: Bearer TOKEN",
		"Authorization: Bearer another": "the token is wrong: it is not this cluster's",
	} {
		got := ask(t, "GET", at+"/v1/status", "", header)
		if checkError(t, header, got, want, api.Refused); got.status != 401 {
			t.Errorf("%s: %d", header, got.status)
		}
	}
}

// TestHeadsInWords: what net/http has no words for, by what was read of it.
func TestHeadsInWords(t *testing.T) {
	long := "GET /v1/kv/" + strings.Repeat("a", maxSeen)
	for head, want := range map[string]string{
		"GET /healthz HTTP/1.1\r\nHost: h\r\n": "its head did not arrive in time, or not all of it", // as where it comes a byte at a time
		"":                                     "its head did not arrive in time, or not all of it",
		"\x16\x03\x01\x00\xa5":                 "this address serves http://, and this was TLS",
		long[:maxSeen]:                         "the request is not HTTP as it should be",
		"GET / HTTP/1.1\r\ncontent-length: 7\r\nCONTENT-LENGTH : 8\r\n\r\n": "the request is not HTTP as it should be",
	} {
		if got := misheard([]byte(head)); !strings.HasSuffix(got, want) || strings.Contains(got, "%25") {
			t.Errorf("%.60q: %s", head, got)
		}
	}
}

// TestBrokenBodiesInWords: a body that breaks off, or is no chunks, is told so without Go's words.
func TestBrokenBodiesInWords(t *testing.T) {
	at := listen(t, newFake(1, 1), false)
	for request, want := range map[string]string{
		"PUT /v1/kv/k HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n\r\n": "the body cannot be read: invalid byte in chunk length",
	} {
		got := exchange(t, at, false, request)
		if checkError(t, request, got, want, api.Refused); got.status != 400 || jargon.MatchString(got.body) {
			t.Errorf("%q: %d %s", request, got.status, got.body)
		}
	}
}
