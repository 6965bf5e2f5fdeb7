package config

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"log/slog"
	"math/big"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/troupe-raft/troupe/election"
	"github.com/troupe-raft/troupe/raft"
)

const three = `
[[node]]
id = 1
raft = "127.0.0.1:7001"
http = "127.0.0.1:8001"
resp = "127.0.0.1:6381"
[[node]]
id = 2
raft = "127.0.0.1:7002"
http = "127.0.0.1:8002"
[[node]]
id = 3
raft = "127.0.0.1:7003"
http = "127.0.0.1:8003"
join = true
`

func TestDefaults(t *testing.T) {
	c, err := Parse([]byte(three), "")
	if err != nil {
		t.Fatal(err)
	}
	want := Default()
	want.Log = c.Log
	want.Nodes = []Node{
		{ID: 1, Raft: "127.0.0.1:7001", HTTP: "127.0.0.1:8001", RESP: "127.0.0.1:6381"},
		{ID: 2, Raft: "127.0.0.1:7002", HTTP: "127.0.0.1:8002"},
		{ID: 3, Raft: "127.0.0.1:7003", HTTP: "127.0.0.1:8003", Join: true},
	}
	if !reflect.DeepEqual(c, want) {
		t.Errorf("got  %+v\nwant %+v", c, want)
	}
	if got := c.Founders(); !reflect.DeepEqual(got, []raft.NodeID{1, 2}) {
		t.Errorf("founders %v", got)
	}
	if c.Log.Of("election") != slog.LevelInfo {
		t.Errorf("log level %v", c.Log.Of("election"))
	}
}

func TestEveryKey(t *testing.T) {
	c, err := Parse([]byte(`
cluster = "prod"
data = "/var/lib/demo"
election_timeout = ["1s", "2s"]
heartbeat_interval = "100ms"
snapshot_every = 0
log = "warn,election=debug, remote=off"
token = "secret"
chaos = true
follow_addresses = false
[tls]
ca = ""
`+three), "")
	if err != nil {
		t.Fatal(err)
	}
	if c.ClusterName() != "prod" || c.Data != "/var/lib/demo" || c.Heartbeat != 100*time.Millisecond || c.SnapshotEvery != 0 ||
		c.Token != "secret" || !c.Chaos || c.FollowAddresses || c.ElectionTimeout != (election.Timeout{Min: time.Second, Max: 2 * time.Second}) {
		t.Errorf("got %+v", c)
	}
	if c.Log.Of("raft") != slog.LevelWarn || c.Log.Of("election") != slog.LevelDebug || c.Log.Of("remote") <= slog.LevelError ||
		c.Log.Min() != slog.LevelDebug {
		t.Errorf("levels %+v", c.Log)
	}
	if c, err = Parse([]byte("log = \"warn\"\n"+three), "error,applier=info"); err != nil || c.Log.Of("raft") != slog.LevelError || c.Log.Of("applier") != slog.LevelInfo {
		t.Errorf("TROUPE_LOG does not win: %+v, %v", c.Log, err)
	}
}

// TestFaults gives one file many faults and wants every one of them named.
func TestFaults(t *testing.T) {
	_, err := Parse([]byte(`colour = "red"
data = ""
election_timeout = ["300ms", "150ms"]
heartbeat_interval = "200ms"
snapshot_every = -1
log = "loud,cinema=debug"
token = 7
chaos = "yes"
[tls]
cert = "node.pem"
http_key = "key.pem"
sni = true
[[node]]
raft = "127.0.0.1:7001"
http = "127.0.0.1"
[[node]]
id = 2
raft = "127.0.0.1:7001"
http = "127.0.0.1:0"
join = 1
[[node]]
id = 2
raft = ":7003"
http = "127.0.0.1:99999"
port = 3
`), "")
	want := []string{
		"line 1: unknown key colour: there are cluster, data, election_timeout, heartbeat_interval, snapshot_every, log, token, token_file, max_connections, max_answer_bytes, chaos, follow_addresses, [tls], [[node]]",
		"line 12: unknown key tls.sni: there are ca, cert, key, http_cert, http_key",
		"line 25: unknown key node.port: there are id, raft, http, resp, join",
		"data is empty",
		"election_timeout: 150ms is not above 300ms",
		"heartbeat_interval 200ms is more than a third of the shortest election timeout 300ms",
		"snapshot_every: -1 is not a whole number from 0 on",
		`log: "loud" is no level`,
		`log: "cinema" is no module`,
		"token: 7 is not a string",
		`chaos: "yes" is neither true nor false`,
		"tls: ca, cert and key go together",
		"tls: http_cert and http_key go together",
		"node 1 of the file has no id",
		`node 1 of the file: http: "127.0.0.1" is not host:port`,
		"node 2 raft: address 127.0.0.1:7001 is also that of node 1 of the file raft",
		`node 2: http: "127.0.0.1:0" has no port from 1 to 65535`,
		"node 2 of the file: join: 1 is neither true nor false",
		"node 2 is listed twice",
		`node 2: raft: ":7003" names no host`,
		`node 2: http: "127.0.0.1:99999" has no port`,
	}
	got := Faults(err)
	for _, w := range want {
		found := false
		for _, e := range got {
			found = found || strings.HasPrefix(e.Error(), w)
		}
		if !found {
			t.Errorf("not reported: %s", w)
		}
	}
	if len(got) != len(want) {
		t.Errorf("%d faults, want %d:\n%v", len(got), len(want), err)
	}
}

func TestMoreFaults(t *testing.T) {
	for _, test := range []struct{ name, text, want string }{
		{"syntax", "data = \n", "line 1, column"},
		{"a table where a value is", "[tls\n", "line 1, column"},
		{"no founder", "[[node]]\nid = 1\nraft = \"h:1\"\nhttp = \"h:2\"\njoin = true\n", "nobody founds the cluster"},
		{"one election timeout", `election_timeout = ["1s"]`, "is not two durations"},
		{"election timeout of numbers", `election_timeout = [150, 300]`, "150 is not a positive duration"},
		{"missing certificate file", "[tls]\nhttp_cert = \"/nowhere.pem\"\nhttp_key = \"/nowhere.key\"\n", "/nowhere.pem"},
		{"long cluster name", `cluster = "` + strings.Repeat("x", 256) + `"`, "cluster has 256 bytes"},
	} {
		if _, err := Parse([]byte(test.text), ""); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got %v, want %s", test.name, err, test.want)
		}
	}
	if _, err := Parse([]byte(three), "demo=shout"); err == nil || !strings.Contains(err.Error(), "TROUPE_LOG") {
		t.Errorf("bad TROUPE_LOG: %v", err)
	}
	if _, err := Load(filepath.Join(t.TempDir(), "absent.toml"), ""); err == nil || !strings.Contains(err.Error(), "absent.toml") {
		t.Errorf("missing file: %v", err)
	}
}

// TestClusterName wants one name for one cluster, however its file is written, and others for other clusters.
func TestClusterName(t *testing.T) {
	parse := func(text string) string {
		c, err := Parse([]byte(text), "")
		if err != nil {
			t.Fatal(err)
		}
		return c.ClusterName()
	}
	name := parse(three)
	parts := strings.SplitAfter(three, "http = \"127.0.0.1:8002\"\n")
	if len(parts) != 2 {
		t.Fatal("the fixture changed")
	}
	if got := parse("token = \"x\"\n" + strings.ReplaceAll(three, "127.0.0.1:8003", "127.0.0.1:9003")); got != name {
		t.Errorf("token and a joiner's address changed the name: %s, %s", name, got)
	}
	if got := parse(strings.ReplaceAll(three, "127.0.0.1:7002", "127.0.0.1:7009")); got == name {
		t.Error("another founder's address gives the same name")
	}
}

func TestTLS(t *testing.T) {
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	writePair(t, cert, key)
	c, err := Parse([]byte("[tls]\nca = \""+cert+"\"\ncert = \""+cert+"\"\nkey = \""+key+"\"\nhttp_cert = \""+cert+"\"\nhttp_key = \""+key+"\"\n"+three), "")
	if err != nil {
		t.Fatal(err)
	}
	peer, err := c.TLS.Peer()
	if err != nil || peer.ClientCAs == nil || peer.RootCAs == nil || len(peer.Certificates) != 1 || peer.ClientAuth == 0 {
		t.Errorf("peer: %+v, %v", peer, err)
	}
	if server, err := c.TLS.Server(); err != nil || len(server.Certificates) != 1 {
		t.Errorf("server: %+v, %v", server, err)
	}
	if client, err := c.TLS.Client(); err != nil || client.RootCAs == nil {
		t.Errorf("client: %+v, %v", client, err)
	}
	if _, err := Trust(key); err == nil {
		t.Error("a key passed for a certificate")
	}
}

func writePair(t *testing.T, cert, key string) {
	t.Helper()
	writeCert(t, cert, key, time.Now().Add(time.Hour))
}

// writeCert writes a self-signed certificate that lasts until a time.
func writeCert(t *testing.T, cert, key string, until time.Time) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: until, DNSNames: []string{"localhost"}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	for file, block := range map[string]*pem.Block{cert: {Type: "CERTIFICATE", Bytes: der}, key: {Type: "PRIVATE KEY", Bytes: secret}} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
