package remote

import (
	"crypto/tls"
	"fmt"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/troupe-raft/troupe/raft"
)

// A TLS that would let anybody take part is refused, with the way to mean it.
func TestTLSMustVerify(t *testing.T) {
	pki := newPKI(t)
	for _, c := range []struct {
		name   string
		spoil  func(*tls.Config)
		faults []string
	}{
		{"mutual", func(*tls.Config) {}, nil},
		{"no word on clients", func(c *tls.Config) { c.ClientAuth = tls.NoClientCert }, []string{"ClientAuth is NoClientCert"}},
		{"asks clients", func(c *tls.Config) { c.ClientAuth = tls.RequestClientCert }, []string{"ClientAuth is RequestClientCert"}},
		{"any certificate", func(c *tls.Config) { c.ClientAuth = tls.RequireAnyClientCert }, []string{"ClientAuth is RequireAnyClientCert"}},
		{"if given", func(c *tls.Config) { c.ClientAuth = tls.VerifyClientCertIfGiven }, []string{"ClientAuth is VerifyClientCertIfGiven"}},
		{"public authorities", func(c *tls.Config) { c.ClientCAs = nil }, []string{"ClientCAs is missing"}},
		{"any callee", func(c *tls.Config) { c.InsecureSkipVerify = true }, []string{"InsecureSkipVerify"}},
		{"all", func(c *tls.Config) {
			c.ClientAuth, c.ClientCAs, c.InsecureSkipVerify, c.Certificates = 0, nil, true, nil
		},
			[]string{"no certificate", "ClientAuth", "ClientCAs", "InsecureSkipVerify"}},
		{"of its own for each", func(c *tls.Config) {
			c.ClientAuth, c.ClientCAs = 0, nil
			c.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) { return nil, nil }
		}, nil},
	} {
		cfg := Config{System: system, Stage: live, Node: 2, Listen: "127.0.0.1:0", TLS: pki.mutual(t, "node-2")}
		c.spoil(cfg.TLS)
		err := cfg.Validate()
		if (err == nil) != (len(c.faults) == 0) {
			t.Errorf("%s: %v", c.name, err)
		}
		for _, fault := range c.faults {
			if err == nil || !strings.Contains(err.Error(), fault) {
				t.Errorf("%s: no word of %q in %v", c.name, fault, err)
			}
		}
		cfg.TLSAllowUnverified = true
		if err := cfg.Validate(); (err == nil) != (len(cfg.TLS.Certificates) > 0) {
			t.Errorf("%s, allowed: %v", c.name, err)
		}
	}
}

// callAs has a caller with this certificate say that it is node 1.
func callAs(t *testing.T, n *node, cfg *tls.Config) error {
	t.Helper()
	raw, err := net.Dial("tcp", n.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	cfg.InsecureSkipVerify = true
	conn := tls.Client(raw, cfg)
	_ = conn.SetDeadline(time.Now().Add(patience))
	if _, err := conn.Write(hello{speaks: Speaks(), cluster: "test", from: 1, to: 2}.append(nil)); err != nil {
		return err
	}
	_, _, err = readVerdict(conn, Speaks())
	return err
}

// Who may speak for node 1, by the certificate that it shows and by what the callee allows.
func TestWhoMayCall(t *testing.T) {
	pki := newPKI(t)
	none := func(c *tls.Config) { c.ClientAuth = tls.RequestClientCert }
	lax := func(c *tls.Config) { // the base demands nothing, and what is used instead neither
		other := c.Clone()
		other.ClientAuth = tls.RequireAnyClientCert
		c.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) { return other, nil }
	}
	for _, c := range []struct {
		name                string
		callee              func(*tls.Config)
		unverified, anyName bool
		caller              *tls.Config
		refusal             string
	}{
		{"named", nil, false, false, pki.mutual(t, "node-1"), ""},
		{"named among others", nil, false, false, pki.mutual(t, "x.example", "node-7", "node-1"), ""},
		{"another's", nil, false, false, pki.mutual(t, "node-7"), "for nodes [7], not for node 1"},
		{"another's, any name", nil, false, true, pki.mutual(t, "node-7"), "for nodes [7], not for node 1"},
		{"nameless", nil, false, false, pki.mutual(t, "x.example"), "names no node: give it the DNS name node-1"},
		{"nameless, any name", nil, false, true, pki.mutual(t, "x.example"), ""},
		{"no certificate", nil, false, true, &tls.Config{}, "certificate"},
		{"no certificate, allowed", none, true, false, &tls.Config{}, ""},
		{"foreign", nil, false, true, newPKI(t).mutual(t, "node-1"), "certificate"},
		{"foreign, not verified by a config for this client", lax, false, true, newPKI(t).mutual(t, "node-1"), "no certificate that was verified"},
		{"foreign, allowed", lax, true, false, newPKI(t).mutual(t, "node-1"), ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := start(t, 2, func(cfg *Config) {
				cfg.TLS = pki.mutual(t, "node-2")
				if c.callee != nil {
					c.callee(cfg.TLS)
				}
				cfg.TLSAllowUnverified, cfg.TLSAnyName = c.unverified, c.anyName
			})
			err := callAs(t, b, c.caller)
			if (err == nil) != (c.refusal == "") || err != nil && !strings.Contains(err.Error(), c.refusal) {
				t.Errorf("%v, want %q", err, c.refusal)
			}
		})
	}
}

// The caller judges the callee by the same rules.
func TestWhoMayBeCalled(t *testing.T) {
	pki := newPKI(t)
	b := start(t, 2, func(c *Config) { c.TLS, c.TLSAnyName = pki.mutual(t, "x.example"), true })
	a := start(t, 1, func(c *Config) { c.TLS = pki.mutual(t, "node-1") }).knows(b)
	a.send(2, vote(1))
	a.logged("WARN no connection", "the certificate names no node: give it the DNS name node-2")
	other := start(t, 3, func(c *Config) { c.TLS, c.TLSAnyName = pki.mutual(t, "node-3"), true }).knows(b)
	other.send(2, vote(3))
	b.inbox.next(t, "a vote", isVote(3))
}

// Certificates and authorities are those that TLSNow gives, for whoever calls and whoever is called, without a restart.
func TestTLSIsRenewed(t *testing.T) {
	before, after := newPKI(t), newPKI(t)
	var now [3]atomic.Pointer[tls.Config]
	renewable := func(id raft.NodeID) *node {
		return start(t, id, func(c *Config) {
			c.TLS = before.mutual(t, fmt.Sprintf("node-%d", id))
			c.TLSNow = func() *tls.Config { return now[id].Load() } // nil at first: TLS
		})
	}
	b := renewable(2)
	a := renewable(1).knows(b)
	a.send(2, vote(1))
	b.inbox.next(t, "a vote", isVote(1))
	for id := range raft.NodeID(3) {
		now[id].Store(after.mutual(t, fmt.Sprintf("node-%d", id)))
	}
	// Who is there since before speaks as a stranger would; newcomers know of nothing else.
	if err := callAs(t, b, before.mutual(t, "node-1")); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("the former authority still counts: %v", err)
	}
	c := start(t, 3, func(c *Config) { c.TLS = after.mutual(t, "node-3") }).knows(b)
	c.send(2, vote(3))
	b.inbox.next(t, "a vote", isVote(3))
	a.SetPeer(3, c.Addr())
	a.send(3, vote(1))
	c.inbox.next(t, "a vote", isVote(1))
	if err := (Config{TLSNow: func() *tls.Config { return nil }}).ValidateTLS(); err == nil {
		t.Error("TLSNow without TLS is taken")
	}
}
