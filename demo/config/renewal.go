package config

import (
	"bytes"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Certificates are read again while a node runs. No library does all of it: controller-runtime's certwatcher knows a pair and no authorities, says nothing of
// when certificates run out, and brings fsnotify, Prometheus and its own logging; gRPC's pemfile provider likewise, with gRPC. What they do beside that is a
// dozen lines.

const (
	renewEvery = 10 * time.Second // looks at the files
	renewSoon  = time.Second      // between looks for the sake of handshakes
	expiryWarn = 30 * 24 * time.Hour
	warnEvery  = 24 * time.Hour
)

// A Clock is what a Renewal goes by.
type Clock interface {
	Now() time.Time
	// AfterFunc calls f after d, on a goroutine of its own.
	AfterFunc(d time.Duration, f func()) (stop func() bool)
}

// SystemClock is the machine's.
type SystemClock struct{}

// Now implements Clock.
func (SystemClock) Now() time.Time { return time.Now() }

// AfterFunc implements Clock.
func (SystemClock) AfterFunc(d time.Duration, f func()) func() bool { return time.AfterFunc(d, f).Stop }

// A Renewal is what a TLS's files hold by now. It looks at them every ten seconds, and soon after each handshake, since one that fails may do so for want of
// what they hold: the next one has it. Handshakes themselves never wait for a disk. What cannot be read changes nothing. Its methods are safe for concurrent use.
type Renewal struct {
	files TLS
	clock Clock
	log   *slog.Logger
	now   atomic.Pointer[secrets]
	asked atomic.Bool // a look for the sake of a handshake is on its way

	mu      sync.Mutex           // held while the files are read
	looks   []os.FileInfo        // of the files when they were read last, nil where there is none; empty: to be read again whatever they look like
	said    string               // of the last look that failed
	warned  map[string]time.Time // by what is running out
	stop    func() bool
	stopped bool
}

// secrets are what the files held at one time.
type secrets struct {
	peer, client *tls.Config
	server       *tls.Certificate
	contents     []byte // checksums of all of it
	dated        []dated
}

// A dated certificate is one of a file's.
type dated struct {
	file string
	cert *x509.Certificate
}

// Renew reads the files and goes on looking at them until Stop.
func (t TLS) Renew(clock Clock, log *slog.Logger) (*Renewal, error) {
	r := &Renewal{files: t, clock: clock, log: log, warned: map[string]time.Time{}}
	first, err := t.read()
	if err != nil {
		return nil, err
	}
	r.take(first)
	r.look(wholly)
	if len(first.dated) > 0 {
		r.tick()
	}
	return r, nil
}

// Stop ends the looks.
func (r *Renewal) Stop() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stopped = true
	if r.stop != nil {
		r.stop()
	}
}

// Peer is TLS.Peer by now, for one handshake.
func (r *Renewal) Peer() *tls.Config {
	r.ask()
	return r.now.Load().peer
}

// Client is TLS.Client by now, for one handshake.
func (r *Renewal) Client() *tls.Config {
	r.ask()
	return r.now.Load().client
}

// Server is TLS.Server, whose certificate is what it is by the time of each handshake.
func (r *Renewal) Server() *tls.Config {
	if r.now.Load().server == nil {
		return nil
	}
	return &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
		r.ask()
		return r.now.Load().server, nil
	}}
}

// ask has the files looked at soon.
func (r *Renewal) ask() {
	if r.asked.CompareAndSwap(false, true) {
		r.clock.AfterFunc(renewSoon, func() {
			r.asked.Store(false)
			r.look(wholly)
		})
	}
}

// tick looks and comes again.
func (r *Renewal) tick() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.stopped {
		r.stop = r.clock.AfterFunc(renewEvery, func() { r.look(briefly); r.tick() })
	}
}

// A thoroughness is how a file is looked at.
type thoroughness bool

const (
	briefly thoroughness = false // by its size and times, which nearly always tell that it has changed
	wholly  thoroughness = true  // by what it holds
)

// look takes what the files hold, if that is something new, and says what is running out.
func (r *Renewal) look(how thoroughness) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.stopped {
		return
	}
	defer r.warn()
	looks := r.files.stat() // before they are read: what changes meanwhile is seen the next time
	if how == briefly && slices.EqualFunc(looks, r.looks, sameFile) {
		return
	}
	r.looks = nil
	found, err := r.files.read()
	switch {
	case err == nil:
		r.said, r.looks = "", looks
		if !bytes.Equal(found.contents, r.now.Load().contents) {
			r.log.Info("certificates have changed and were read again")
			r.take(found)
		}
	case err.Error() != r.said: // also while one of two files is written
		r.said = err.Error()
		r.log.Warn("certificates cannot be read again: what was read before stays in force", "err", err)
	}
}

func (t TLS) stat() (looks []os.FileInfo) {
	for _, file := range []string{t.CA, t.Cert, t.Key, t.HTTPCert, t.HTTPKey} {
		info, err := os.Stat(file)
		if err != nil {
			info = nil // reading it tells why
		}
		looks = append(looks, info)
	}
	return looks
}

func sameFile(a, b os.FileInfo) bool {
	if a == nil || b == nil {
		return a == nil && b == nil
	}
	return os.SameFile(a, b) && a.Size() == b.Size() && a.ModTime().Equal(b.ModTime())
}

func (r *Renewal) take(s *secrets) {
	r.now.Store(s)
	for _, d := range s.dated {
		r.log.Info("certificate", "file", d.file, "subject", d.cert.Subject.String(), "expires", d.cert.NotAfter)
	}
}

// warn tells once a day of each certificate that has run out or will before long.
func (r *Renewal) warn() {
	now := r.clock.Now()
	for _, d := range r.now.Load().dated {
		left := d.cert.NotAfter.Sub(now)
		key := fmt.Sprintf("%s %x", d.file, sha256.Sum256(d.cert.Raw))
		if last, ok := r.warned[key]; left > expiryWarn || ok && now.Sub(last) < warnEvery {
			continue
		}
		r.warned[key] = now
		words := "certificate runs out soon: put a new one into the file, which is read again by itself"
		if left <= 0 {
			words = "certificate has run out: put a new one into the file, which is read again by itself"
		}
		r.log.Warn(words, "file", d.file, "subject", d.cert.Subject.String(), "expires", d.cert.NotAfter, "days", int(left/(24*time.Hour)))
	}
}

// read reads all that the files hold, each of them once.
func (t TLS) read() (s *secrets, err error) {
	s = &secrets{}
	texts := map[string][]byte{}
	once := func(file string) ([]byte, error) {
		if text, ok := texts[file]; ok {
			return text, nil
		}
		text, err := os.ReadFile(file)
		if err == nil {
			texts[file] = text
			s.contents = fmt.Appendf(s.contents, "%s %x\n", file, sha256.Sum256(text))
		}
		return text, err
	}
	if s.peer, err = t.peer(once); err != nil {
		return nil, err
	}
	if s.client, err = t.client(once); err != nil {
		return nil, err
	}
	server, err := t.server(once)
	if err != nil {
		return nil, err
	}
	if server != nil {
		s.server = &server.Certificates[0]
	}
	for _, file := range slices.Compact([]string{t.CA, t.Cert, t.HTTPCert}) {
		for block, rest := pem.Decode(texts[file]); block != nil; block, rest = pem.Decode(rest) {
			if cert, err := x509.ParseCertificate(block.Bytes); err == nil && block.Type == "CERTIFICATE" { // what counts was parsed already
				s.dated = append(s.dated, dated{file, cert})
			}
		}
	}
	return s, nil
}
