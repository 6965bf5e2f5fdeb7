package config

import (
	"reflect"
	"strings"
	"testing"

	"github.com/pelletier/go-toml/v2"

	"github.com/troupe-raft/troupe/internal/allocs"
)

// FuzzParse takes any text for a configuration. What is accepted is valid and says the same when it is written out again, key by key;
// what is refused names its faults, the same ones every time. Memory stays in proportion to the text.
func FuzzParse(f *testing.F) {
	for _, text := range []string{
		three, "", "[[node]]", "node = 3", "[node]\nid = 1", "log = \"warn,election=debug, remote=off\"", "log = \"loud,cinema=debug\"",
		"cluster = \"prod\"\ndata = \"d\"\nelection_timeout = [\"1s\", \"2s\"]\nheartbeat_interval = \"100ms\"\nsnapshot_every = 0\ntoken = \"x\"\nchaos = true\n" + three,
		"election_timeout = [\"300ms\", 7]\nheartbeat_interval = \"-1h\"\nsnapshot_every = -1\nchaos = 1979-05-27",
		"snapshot_every = 9223372036854775807\nheartbeat_interval = \"1ns\"", "snapshot_every = 1e999\ntoken = nan", "[tls]\ncert = \"a\"\nhttp_key = \"b\"",
		"data = \"\\uD800\"", "data = '''\n'''", "a.b.c = { d = [[[{}]]] }", "data = \"a\"\ndata = \"b\"", strings.Repeat("[", 300), "\xff", "data=\x00",
		"[[node]]\nid = 1\nraft = \"[::1]:7001\"\nhttp = \"h:08001\"\nresp = \"\"\njoin = true",
	} {
		f.Add(text, "")
		f.Add(text, "debug,raft=off")
	}
	f.Fuzz(func(t *testing.T, text, levels string) {
		if strings.Contains(text, "/dev") || strings.Contains(text, "/proc") {
			return // a file of TLS that may have no end
		}
		var c Config
		var err error
		allocs.AtMost(t, 512*(len(text)+len(levels))+128<<10, func() { c, err = Parse([]byte(text), levels) })
		if err != nil {
			refused(t, text, levels, err)
			return
		}
		if err := c.Validate(); err != nil {
			t.Fatalf("accepted, and not valid: %v", err)
		}
		again, err := Parse(written(t, c, text), levels)
		if err != nil || !reflect.DeepEqual(again, c) {
			t.Fatalf("%+v became %+v: %v", c, again, err)
		}
	})
}

// refused holds a refusal to what it says.
func refused(t *testing.T, text, levels string, err error) {
	t.Helper()
	if _, again := Parse([]byte(text), levels); again == nil || again.Error() != err.Error() {
		t.Fatalf("refused for\n%v\nand then for\n%v", err, again)
	}
	for _, fault := range Faults(err) {
		if strings.TrimSpace(fault.Error()) == "" {
			t.Fatalf("a fault without a word in %q", err)
		}
	}
	if len(Faults(err)) == 0 {
		t.Fatal("refused for no reason")
	}
}

// written is a file with every key of a configuration. Its levels, which have no form but the file's, come from the first file.
func written(t *testing.T, c Config, text string) []byte {
	t.Helper()
	var first document
	if err := toml.Unmarshal([]byte(text), &first); err != nil {
		t.Fatalf("accepted by Parse only: %v", err)
	}
	if first.Log == nil {
		first.Log = ""
	}
	d := document{
		Cluster: c.Cluster, Data: c.Data, Election: []string{c.ElectionTimeout.Min.String(), c.ElectionTimeout.Max.String()},
		Heartbeat: c.Heartbeat.String(), Snapshot: int64(c.SnapshotEvery), Log: first.Log, Token: c.Token, Chaos: c.Chaos,
		TLS: tlsTable{CA: c.TLS.CA, Cert: c.TLS.Cert, Key: c.TLS.Key, HTTPCert: c.TLS.HTTPCert, HTTPKey: c.TLS.HTTPKey},
	}
	for _, n := range c.Nodes {
		d.Nodes = append(d.Nodes, nodeTables{ID: int64(n.ID), Raft: n.Raft, HTTP: n.HTTP, RESP: n.RESP, Join: n.Join})
	}
	out, err := toml.Marshal(d)
	if err != nil {
		t.Fatal(err)
	}
	return out
}
