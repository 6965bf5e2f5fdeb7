package remote

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"errors"
	"math/big"
	"net"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/troupe-raft/troupe/raft"
)

var somebody = person{
	self: raft.Incarnation{Store: 3, Start: 4, Nonce: 5}, counted: true, founders: 6,
	known: raft.Acquaintance{Incarnation: raft.Incarnation{Store: 7, Start: 8, Nonce: 9}, Forked: true},
}

func TestGoldenHandshake(t *testing.T) {
	for _, c := range []struct {
		name, want string
		got        []byte
	}{
		{"hello of version 1", "54524f55" + "01" + "01" + "000d" + "95" + "a7636c7573746572" + "01" + "02" + "02" + "a0",
			hello{speaks: Versions{1, 1}, cluster: "cluster", from: 1, to: 2, lane: Snapshots, person: somebody}.append(nil)},
		{"hello", "54524f55" + "01" + "03" + "0017" + "9f" + "a7636c7573746572" + "01" + "02" + "02" + "a0" + "030405" + "c3" + "06" + "070809" + "c3" + "0a",
			hello{speaks: Speaks(), cluster: "cluster", from: 1, to: 2, lane: Snapshots, person: somebody, proof: 10}.append(nil)},
		{"accepted", "54524f55" + "01" + "03" + "000c" + "97" + "a0" + "ce04000000" + "030405" + "02" + "00", verdict{
			speaks: Speaks(), maxFrame: 64 << 20, self: somebody.self, standing: raft.Next}.append(nil)},
		{"refused", "54524f55" + "01" + "03" + "000a" + "97" + "a26e6f" + "00" + "000000" + "04" + "0b",
			verdict{speaks: Speaks(), reason: "no", standing: raft.Older, challenge: 11}.append(nil)},
	} {
		if got := hex.EncodeToString(c.got); got != c.want {
			t.Errorf("%s\n got %s\nwant %s", c.name, got, c.want)
		}
	}
}

func TestHandshakeRoundTrip(t *testing.T) {
	h := hello{speaks: Speaks(), cluster: strings.Repeat("x", maxCluster), from: 1 << 63, to: 1<<64 - 1, lane: Snapshots, person: somebody}
	got, _, err := readHello(bytes.NewReader(append(h.append(nil), "more"...)), Speaks())
	if err != nil || got != h {
		t.Errorf("%+v, %v", got, err)
	}
	reason := strings.Repeat("r", maxReason+100)
	var refused *RefusedError
	if _, _, err := readVerdict(bytes.NewReader(verdict{speaks: Speaks(), reason: reason}.append(nil)), Speaks()); !errors.As(err, &refused) || refused.Reason != reason[:maxReason] {
		t.Errorf("%v", err)
	}
	if v, _, err := readVerdict(bytes.NewReader(verdict{speaks: Speaks(), maxFrame: minFrame}.append(nil)), Speaks()); err != nil || v.maxFrame != minFrame {
		t.Errorf("%+v, %v", v, err)
	}
	if _, _, err := readVerdict(bytes.NewReader(verdict{speaks: Speaks(), maxFrame: minFrame - 1}.append(nil)), Speaks()); err == nil {
		t.Error("took a frame limit below all reason")
	}
}

// Whoever is refused learns why, and so does the log of the one who refuses.
func TestRefusals(t *testing.T) {
	pki := newPKI(t)
	mutual := func(names ...string) func(*Config) { return func(c *Config) { c.TLS = pki.mutual(t, names...) } }
	b := func(change func(*Config)) func(*testing.T) *node {
		return func(t *testing.T) *node { return start(t, 2, change) }
	}
	for _, c := range []struct {
		name         string
		caller       func(*Config)
		callee       func(*testing.T) *node
		as           raft.NodeID // the node that the caller thinks it dials
		hears, notes string
	}{
		{"cluster", func(c *Config) { c.Cluster = "other" }, b(nil), 2, `this is cluster "test", not "other"`, "cluster"},
		{"wrong node", nil, b(nil), 3, "this is node 2, not node 3", "not node 3"},
		{"TLS required", nil, b(mutual("node-2")), 2, "this node requires TLS", "requires TLS"},
		{"TLS not spoken", mutual("node-1"), b(nil), 2, "the peer does not speak it", "does not speak TLS"},
		{"certificate of another node", mutual("node-1", "node-7"), b(mutual("node-3")), 2, "for nodes [3], not for node 2", ""},
		{"certificate for another caller", mutual("node-9"), b(mutual("node-2")), 2, "for nodes [9], not for node 1", "not for node 1"},
		{"no certificate", func(c *Config) {
			c.TLS = pki.mutual(t, "node-1")
			c.TLS.Certificates = nil
			c.TLS.GetCertificate = func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return nil, errors.New("none") }
		}, b(mutual("node-2")), 2, "certificate required", "didn't provide a certificate"},
		{"foreign authority", func(c *Config) { c.TLS = newPKI(t).mutual(t, "node-1") }, b(mutual("node-2")), 2, "certificate", "certificate"},
	} {
		t.Run(c.name, func(t *testing.T) {
			callee := c.callee(t)
			caller := start(t, 1, c.caller)
			caller.SetPeer(c.as, callee.Addr())
			caller.send(c.as, vote(1))
			caller.logged("WARN no connection", c.hears)
			if s := caller.Stats().Peers[c.as]; s.LastError == "" || s.Connected[Control] || s.Dropped == 0 && s.Sent != 0 {
				t.Errorf("stats %+v", s)
			}
			if c.notes != "" {
				callee.logged("WARN connection refused", c.notes)
				if s := callee.Stats(); s.Refused == 0 || s.LastRefusal == "" {
					t.Errorf("stats %+v", s)
				}
			}
			if callee.inbox.count() != 0 {
				t.Error("delivered nevertheless")
			}
		})
	}
}

// talk writes b to a node that only knows the protocol, and returns what it answers until it hangs up.
func talk(t *testing.T, n *node, b []byte) []byte {
	t.Helper()
	conn, err := net.Dial("tcp", n.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Write(b); err != nil {
		t.Fatal(err)
	}
	_ = conn.SetReadDeadline(time.Now().Add(patience))
	var answer bytes.Buffer
	if _, err := answer.ReadFrom(conn); isTimeout(err) {
		t.Fatal("no end of the connection")
	}
	return answer.Bytes()
}

func TestStrangersAreRefused(t *testing.T) {
	b := start(t, 2, nil)
	newer := hello{speaks: Versions{newest + 1, newest + 2}, cluster: "test", from: 1, to: 2}.append(nil)
	none := hello{speaks: Versions{2, 1}, cluster: "test", from: 1, to: 2}.append(nil)
	longer := hello{speaks: Speaks(), cluster: "test", from: 1, to: 2}.append(nil)
	longer[len(magic)+2] = 0xff
	for _, c := range []struct {
		name   string
		say    []byte
		reason string
	}{
		{"HTTP", []byte("GET / HTTP/1.1\r\n\r\n"), "does not speak this protocol"},
		{"newer version", newer, "this node speaks versions 1 to 3, the other versions 4 to 5: upgrade this node to a release that speaks version 4"},
		{"no version", none, "malformed greeting"},
		{"too long", longer, "malformed greeting"},
		{"garbage in the hello", appendGreeting(nil, Speaks(), func(c *coder) { c.out = append(c.out, 0xc1, 0xc1) }), "malformed greeting"},
		{"unknown lane", hello{speaks: Speaks(), cluster: "test", from: 1, to: 2, lane: lanes}.append(nil), "this node has no lane 3"},
		{"node zero", hello{speaks: Speaks(), cluster: "test", from: 0, to: 2}.append(nil), "node zero"},
		{"shared ID", hello{speaks: Speaks(), cluster: "test", from: 2, to: 2}.append(nil), "two nodes share an ID"},
	} {
		answer := talk(t, b, c.say)
		var refused *RefusedError
		if _, _, err := readVerdict(bytes.NewReader(answer), Speaks()); !errors.As(err, &refused) || !strings.Contains(refused.Reason, c.reason) {
			t.Errorf("%s: answered %q: %v", c.name, answer, err)
		}
		if s := b.Stats(); !strings.Contains(s.LastRefusal, c.reason) {
			t.Errorf("%s: stats %+v", c.name, s)
		}
	}
	b.logged("WARN connection refused", "does not speak this protocol")
	if s := b.Stats(); s.Refused != 8 || len(s.Peers) != 0 {
		t.Errorf("stats %+v", s)
	}
}

func TestSilentCallerIsHungUpOn(t *testing.T) {
	b := start(t, 2, func(c *Config) { c.HandshakeTimeout = 20 * time.Millisecond })
	for _, say := range []string{"", "TRP"} {
		if answer := talk(t, b, []byte(say)); len(answer) > 0 && say == "" {
			t.Errorf("answered %q to nothing", answer)
		}
		b.logged("WARN connection refused", "i/o timeout")
	}
}

// A peer that accepts but never answers is as good as unreachable.
func TestSilentCalleeIsGivenUp(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0") // the backlog accepts, nobody else
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	a := start(t, 1, func(c *Config) { c.HandshakeTimeout = 20 * time.Millisecond })
	a.SetPeer(2, l.Addr().String())
	a.send(2, vote(1))
	a.logged("WARN no connection", "reading the greeting", "i/o timeout")
}

func TestTooManyConnections(t *testing.T) {
	b := start(t, 2, func(c *Config) { c.MaxConns = 2 })
	for range 2 {
		conn, err := net.Dial("tcp", b.Addr())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
	}
	a := start(t, 1, nil).knows(b)
	a.send(2, vote(1))
	a.logged("WARN no connection")
	b.logged("WARN connection refused", "more than 2 connections")
	if s := b.Stats(); s.Conns != 2 {
		t.Errorf("%d connections", s.Conns)
	}
}

// Connections that say nothing take no more than MaxGreeting places, and keep nobody out.
func TestSilentConnectionsMakeRoom(t *testing.T) {
	b := start(t, 2, func(c *Config) { c.MaxConns, c.MaxGreeting, c.HandshakeTimeout = 8, 3, time.Hour })
	for range 20 {
		conn, err := net.Dial("tcp", b.Addr())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
	}
	a := start(t, 1, nil).knows(b)
	// Those that made room take part in MaxConns until their goroutines have ended: the first call may come too early.
	a.sendUntil(2, vote(1), b.inbox.found(isVote(1)))
	b.logged("WARN connection refused", "more connections that have not greeted")
	deadline := time.Now().Add(patience)
	for b.Stats().Conns > 3 { // the vote's, and of the silent ones those that it left room for
		if time.Now().After(deadline) {
			t.Fatalf("%d connections", b.Stats().Conns)
		}
		runtime.Gosched()
	}
}

func TestMutualTLS(t *testing.T) {
	pki := newPKI(t)
	a := start(t, 1, func(c *Config) { c.TLS = pki.mutual(t, "node-1") })
	b := start(t, 2, func(c *Config) { c.TLS = pki.mutual(t, "node-2", "node-3") })
	a.knows(b)
	b.knows(a)
	for _, c := range golden {
		a.send(2, c.envelope)
		sameBatch(t, []Envelope{b.inbox.next(t, c.name, nil).Envelope}, received([]Envelope{c.envelope}))
		b.send(1, c.envelope)
		sameBatch(t, []Envelope{a.inbox.next(t, c.name, nil).Envelope}, received([]Envelope{c.envelope}))
	}
	big := Envelope{1, &SnapshotChunk{Data: bytes.Repeat([]byte("big"), 1<<20)}}
	a.send(2, big)
	sameBatch(t, []Envelope{b.inbox.next(t, "the chunk", nil).Envelope}, []Envelope{big})
}

// A pki is a certificate authority for one test.
type pki struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pool *x509.CertPool
}

func newPKI(t *testing.T) *pki {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	p := &pki{key: key, pool: x509.NewCertPool()}
	if p.cert, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	p.pool.AddCert(p.cert)
	return p
}

// mutual is the configuration of a node on 127.0.0.1 with these DNS names, which asks the other side for a certificate.
func (p *pki) mutual(t *testing.T, names ...string) *tls.Config {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(2), NotAfter: time.Now().Add(time.Hour), DNSNames: names,
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}}
	der, err := x509.CreateCertificate(rand.Reader, template, p.cert, key.Public(), p.key)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}},
		RootCAs: p.pool, ClientCAs: p.pool, ClientAuth: tls.RequireAndVerifyClientCert}
}
