package config

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// A clock of a test's own stands still until it is advanced.
type clock struct {
	now    time.Time
	timers []*timer
}

type timer struct {
	at time.Time
	f  func()
}

func (c *clock) Now() time.Time { return c.now }

func (c *clock) AfterFunc(d time.Duration, f func()) func() bool {
	t := &timer{c.now.Add(d), f}
	c.timers = append(c.timers, t)
	return func() bool {
		i := slices.Index(c.timers, t)
		if i >= 0 {
			c.timers = slices.Delete(c.timers, i, i+1)
		}
		return i >= 0
	}
}

// advance lets time pass, and what is due happen in its order.
func (c *clock) advance(d time.Duration) {
	for end := c.now.Add(d); ; {
		slices.SortStableFunc(c.timers, func(a, b *timer) int { return a.at.Compare(b.at) })
		if len(c.timers) == 0 || c.timers[0].at.After(end) {
			c.now = end
			return
		}
		next := c.timers[0]
		c.timers = c.timers[1:]
		c.now = next.at
		next.f()
	}
}

// A renewing is a Renewal under test.
type renewing struct {
	*Renewal
	clock     *clock
	cert, key string
	log       bytes.Buffer
}

// renew has one self-signed certificate for everything.
func renew(t *testing.T) *renewing {
	t.Helper()
	dir := t.TempDir()
	r := &renewing{clock: &clock{now: time.Now()}, cert: filepath.Join(dir, "cert.pem"), key: filepath.Join(dir, "key.pem")}
	writePair(t, r.cert, r.key)
	files := TLS{CA: r.cert, Cert: r.cert, Key: r.key, HTTPCert: r.cert, HTTPKey: r.key}
	var err error
	if r.Renewal, err = files.Renew(r.clock, slog.New(slog.NewTextHandler(&r.log, nil))); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Stop)
	return r
}

// onDisk is the certificate that is in the file.
func (r *renewing) onDisk(t *testing.T) *x509.Certificate {
	t.Helper()
	pair, err := tls.LoadX509KeyPair(r.cert, r.key)
	if err != nil {
		t.Fatal(err)
	}
	return pair.Leaf
}

// shows demands that a certificate is what is presented to all others, and trusted of them.
func (r *renewing) shows(t *testing.T, when string, want *x509.Certificate) {
	t.Helper()
	trusted := x509.NewCertPool()
	trusted.AddCert(want)
	if peer := r.now.Load().peer; !peer.Certificates[0].Leaf.Equal(want) || !peer.RootCAs.Equal(trusted) || !peer.ClientCAs.Equal(trusted) {
		t.Errorf("%s: nodes are shown, or trusted by, another certificate", when)
	}
	if got, err := r.Server().GetCertificate(nil); err != nil || !got.Leaf.Equal(want) {
		t.Errorf("%s: clients are shown another certificate, %v", when, err)
	}
	if _, err := want.Verify(x509.VerifyOptions{Roots: r.now.Load().client.RootCAs, DNSName: "localhost"}); err != nil {
		t.Errorf("%s: other nodes' HTTPS: %v", when, err)
	}
}

// said counts the lines of the log with these words, and forgets them.
func (r *renewing) said(words string) (n int) {
	for line := range strings.Lines(r.log.String()) {
		if strings.Contains(line, words) {
			n++
		}
	}
	r.log.Reset()
	return n
}

// What the files hold is in force ten seconds after they changed at the latest, and what cannot be read changes nothing.
func TestCertificatesAreReadAgain(t *testing.T) {
	r := renew(t)
	first := r.onDisk(t)
	r.shows(t, "at first", first)
	writePair(t, r.cert, r.key)
	second := r.onDisk(t)
	r.clock.advance(renewEvery)
	r.shows(t, "after a change", second)
	if n := r.said("were read again"); n != 1 {
		t.Errorf("a change is told %d times", n)
	}

	kept, err := os.ReadFile(r.key)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(r.key, []byte("half a k"), 0o600); err != nil {
		t.Fatal(err)
	}
	r.clock.advance(10 * renewEvery)
	r.shows(t, "with half a file", second)
	if n := r.said("cannot be read again"); n != 1 {
		t.Errorf("what cannot be read is told %d times", n)
	}
	if err := os.WriteFile(r.key, kept, 0o600); err != nil {
		t.Fatal(err)
	}
	r.clock.advance(renewEvery)
	r.shows(t, "mended", second)

	r.Stop()
	writePair(t, r.cert, r.key)
	r.clock.advance(time.Hour)
	r.shows(t, "stopped", second)
}

// A handshake that fails for want of a new certificate has it read before the next one.
func TestHandshakesHaveCertificatesReadAgain(t *testing.T) {
	for name, handshake := range map[string]func(*renewing){
		"with a node":               func(r *renewing) { r.Peer() },
		"with a client":             func(r *renewing) { _, _ = r.Server().GetCertificate(nil) },
		"with another node's HTTPS": func(r *renewing) { r.Client() },
	} {
		r := renew(t)
		writePair(t, r.cert, r.key)
		for range 100 {
			handshake(r)
		}
		if n := len(r.clock.timers); n != 2 {
			t.Errorf("%s: a hundred handshakes wait for %d looks", name, n-1)
		}
		r.clock.advance(renewSoon)
		r.shows(t, name, r.onDisk(t))
	}
}

// When each certificate runs out is told at the start and, from thirty days before on, once a day.
func TestExpiryIsTold(t *testing.T) {
	r := renew(t) // for an hour
	at := r.onDisk(t).NotAfter
	text := r.log.String()
	if want := fmt.Sprintf("expires=%s", at.Format("2006-01-02T15:04:05")); strings.Count(text, "level=INFO") != 1 || strings.Count(text, "level=WARN") != 1 || strings.Count(text, want) != 2 {
		t.Errorf("at the start:\n%s", text)
	}
	r.said("")
	r.clock.advance(24*time.Hour - 2*renewEvery)
	if n := r.said("WARN"); n != 0 {
		t.Errorf("%d warnings within a day", n)
	}
	r.clock.advance(3 * renewEvery)
	if n := r.said("has run out"); n != 1 {
		t.Errorf("%d warnings after a day", n)
	}
	writeCert(t, r.cert, r.key, r.clock.now.Add(expiryWarn+time.Hour))
	r.clock.advance(renewEvery)
	if n := r.said("WARN"); n != 0 {
		t.Error("a new one is warned of")
	}
	r.clock.advance(time.Hour)
	if n := r.said("runs out soon"); n != 1 {
		t.Errorf("%d warnings thirty days before", n)
	}
	r.clock.advance(10 * 24 * time.Hour)
	if n := r.said("runs out soon"); n != 10 {
		t.Errorf("%d warnings in ten days", n)
	}
}

// Without TLS there is nothing to look at.
func TestNoTLSNoRenewal(t *testing.T) {
	c := &clock{}
	r, err := TLS{}.Renew(c, slog.New(slog.DiscardHandler))
	if err != nil || r.Server() != nil || r.Peer() != nil || r.Client() != nil {
		t.Fatalf("%+v, %v", r, err)
	}
	r.Stop()
}
