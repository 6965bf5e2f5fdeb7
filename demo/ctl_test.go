package main

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// canned answers like a node whose every word is known.
func canned(t *testing.T, answers map[string]string) string {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		ask := strings.TrimSpace(r.Method + " " + r.RequestURI + " " + string(body))
		switch answer, ok := answers[ask]; {
		case ok && strings.HasPrefix(answer, `{"error"`):
			w.WriteHeader(http.StatusConflict)
			_, _ = io.WriteString(w, answer)
		case ok:
			_, _ = io.WriteString(w, answer)
		case ask == "POST /v1/session":
			_, _ = io.WriteString(w, `{"session":"5"}`)
		case ask == "DELETE /v1/session":
			_, _ = io.WriteString(w, `{}`)
		default:
			w.WriteHeader(http.StatusNotFound)
			_, _ = fmt.Fprintf(w, `{"error":"no such key","outcome":"refused","leader":1}`)
			if r.Method != "GET" {
				t.Errorf("unexpected: %s", ask)
			}
		}
	}))
	t.Cleanup(server.Close)
	return server.URL
}

// TestCtlPrints is what README.md promises of the output, byte for byte.
func TestCtlPrints(t *testing.T) {
	url := canned(t, map[string]string{
		"GET /v1/kv/k?read=linearizable":                                             `{"key":"k","value":"some\nvalue","index":3}`,
		"GET /v1/kv/k?read=stale":                                                    `{"key":"k","value":"old","index":1}`,
		`PUT /v1/kv/k {"value":"v w"}`:                                               `{"index":4}`,
		`POST /v1/kv/k/append {"value":"v"}`:                                         `{"index":5,"value":"vv"}`,
		`POST /v1/kv/k/cas {"expect":"a","value":"b"}`:                               `{"index":6,"swapped":true,"value":"b"}`,
		`POST /v1/kv/k/cas {"expect":"x","value":"b"}`:                               `{"index":7,"swapped":false,"value":"b"}`,
		`POST /v1/kv/none/cas {"expect":"x","value":"b"}`:                            `{"index":8,"swapped":false,"value":null}`,
		`POST /v1/kv/k/cas {"expect":null,"value":"b"}`:                              `{"index":9,"swapped":false,"value":"b"}`,
		"DELETE /v1/kv/k":                                                            `{"index":10,"deleted":true}`,
		"GET /v1/log?from=5&to=9":                                                    `{"first":7,"entries":[{"index":7,"term":2,"kind":"noop","data":""}],"last":7}`,
		"GET /v1/log?from=8&to=9":                                                    `{"first":8,"entries":[],"last":7}`,
		"GET /v1/log?from=2&to=9":                                                    `{"first":2,"last":4,"entries":[{"index":2,"term":1,"kind":"noop","data":""},{"index":3,"term":1,"kind":"command","data":"put \"k\" \"v\""},{"index":4,"term":2,"kind":"membership","data":"voters 1 2 3"}]}`,
		`POST /v1/transfer {"to":2}`:                                                 `{"leader":2}`,
		`POST /v1/members {"add":{"id":4,"raft":"h:1","http":"h:2"},"force":true}`:   `{"members":[{"id":1,"voter":true},{"id":4,"voter":true}]}`,
		`POST /v1/members {"add":{"id":4,"raft":"h:1","http":"h:2","learner":true}}`: `{"members":[{"id":1,"voter":true},{"id":4,"voter":false}]}`,
		`POST /v1/members {"promote":4}`:                                             `{"members":[{"id":1,"voter":true},{"id":4,"voter":true}]}`,
		`POST /v1/members {"readmit":4}`:                                             `{"members":[{"id":1,"voter":true},{"id":4,"voter":false}]}`,
		`POST /v1/members {"promote":4,"force":true}`:                                `{"members":[{"id":1,"voter":true},{"id":4,"voter":true}]}`,
		`POST /v1/members {"remove":3,"force":true}`:                                 `{"members":[{"id":1,"voter":true}]}`,
		`POST /v1/members {"remove":3}`:                                              `{"error":"another change\nruns","outcome":"refused","leader":1}`,
		"POST /v1/snapshot":                                                          `{"index":11}`,
		"GET /v1/status": `{"node":1,"role":"leader","term":3,"leader":1,"commit":10,"applied":9,"first":2,"last":12,"snapshot":1,"members":[` +
			`{"id":1,"raft":"127.0.0.1:7001","http":"127.0.0.1:8001","voter":true,"match":12,"active":true},` +
			`{"id":10,"raft":"127.0.0.1:7010","http":"127.0.0.1:8010","voter":false,"match":3,"active":false,"trouble":"it does not run here"}],"error":"disk full","phase":"restarting"}`,
	})
	for _, test := range []struct {
		line, out, err string
		status         int
	}{
		{"get k", "some\nvalue\n", "", 0},
		{"get --read stale k", "old\n", "", 0},
		{"get none", "", "demo: no such key\n", 1},
		{"put k v_w", "OK\n", "", 0},
		{"append k v", "OK\n", "", 0},
		{"cas k a b", "swapped true\nb\n", "", 0},
		{"cas k x b", "swapped false\nb\n", "", 0},
		{"cas none x b", "swapped false\n", "", 0},
		{"cas --missing k b", "swapped false\nb\n", "", 0},
		{"del k", "deleted true\n", "", 0},
		{"log 2 9", "2 1 noop\n3 1 command put \"k\" \"v\"\n4 2 membership voters 1 2 3\n7 2 noop\n", "", 0},
		{"transfer 2", "leader 2\n", "", 0},
		{"add --force 4 h:1 http://h:2", "voters 1 4\n", "", 0},
		{"add --learner 4 h:1 h:2", "voters 1, learners 4\n", "", 0},
		{"promote 4", "voters 1 4\n", "", 0},
		{"readmit 4", "voters 1, learners 4\n", "", 0},
		{"promote --force 4", "voters 1 4\n", "", 0},
		{"remove --force 3", "voters 1\n", "", 0},
		{"remove 3", "", "demo: another change; runs\n", 1},
		{"snapshot", "snapshot 11\n", "", 0},
		{"status", `node 1: leader in term 3, leader 1
crashed, and starts again by itself: disk full
log 2 to 12, committed 10, applied 9, snapshot 1

MEMBER  KIND     MATCH  ACTIVE  HTTP            RAFT
1       voter    12     true    127.0.0.1:8001  127.0.0.1:7001
10      learner  3      false   127.0.0.1:8010  127.0.0.1:7010
member 10: it does not run here
`, "", 0},
	} {
		words := append([]string{"ctl", "--addr", "http://127.0.0.1:1," + url}, strings.Fields(test.line)...)
		for i := range words {
			words[i] = strings.ReplaceAll(words[i], "v_w", "v w")
		}
		var out, err bytes.Buffer
		if status := run(words, &out, &err); status != test.status || out.String() != test.out || err.String() != test.err {
			t.Errorf("%s: status %d\n%s%s\nwant status %d\n%s%s", test.line, status, &out, &err, test.status, test.out, test.err)
		}
	}
}

// TestUsage wants status 2 and words for every wrong command line and configuration.
func TestUsage(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	good := write("good.toml", "[[node]]\nid = 1\nraft = \"127.0.0.1:7001\"\nhttp = \"127.0.0.1:8001\"\n")
	bad := write("bad.toml", "colour = 1\nchaos = \"no\"\n[[node]]\nid = 1\nhttp = \"x\"\n")
	used := filepath.Join(dir, "used")
	if err := os.MkdirAll(filepath.Join(used, "1"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct{ line, want string }{
		{"fly", `demo: unknown command "fly": there are cluster, ctl, node, version`},
		{"get k", `unknown command "get": did you mean ctl get?`},
		{"clutser", `unknown command "clutser": did you mean cluster?`},
		{"--wings 2", "unknown flag: --wings"},
		{"cluster --nodes 0", "--nodes 0 is not from 1 to 9"},
		{"cluster --nodes ten", `--nodes: "ten" is not a whole number`},
		{"cluster --nodes 10", "--nodes 10"},
		{"cluster now", `"now"`},
		{"cluster --http 8001 --raft x:y", `--http: "8001" is not host:port, like 127.0.0.1:7001` + "\n" + `demo: --raft: "x:y" has no port from 1 to 65535`},
		{"cluster --http 127.0.0.1:65535", "--http: node 2"},
		{"cluster --http 127.0.0.1:7001 --raft 127.0.0.1:7002", "address 127.0.0.1:7002 is also that of"},
		{"cluster --config " + good + " --nodes 2", "lists the nodes"},
		{"cluster --http 127.0.0.1:0 --data " + used, "holds data already"},
		{"cluster --config " + filepath.Join(dir, "absent.toml"), "absent.toml"},
		{"node", "wants --config FILE and --id N"},
		{"node --config " + good, "--id N"},
		{"node --config " + good + " --id 2", "lists no node 2: there is 1"},
		{"node --config " + good + " --id one", `--id: "one" is not a whole number`},
		{"node --config " + filepath.Join(dir, "absent.toml") + " --id 1", "absent.toml"},
		{"node --config " + bad + " --id 1", "demo: " + bad + ": line 1: unknown key colour: there are cluster, data, election_timeout, heartbeat_interval, snapshot_every, log, token, token_file, max_connections, max_answer_bytes, chaos, follow_addresses, [tls], [[node]]\n" +
			"demo: " + bad + ": chaos: \"no\" is neither true nor false\n" +
			"demo: " + bad + ": node 1: raft: no address: write one like 127.0.0.1:7001\n" +
			"demo: " + bad + `: node 1: http: "x" is not host:port, like 127.0.0.1:7001` + "\n"},
		{"ctl", "wants a command"},
		{"ctl fly", `unknown command of ctl "fly"`},
		{"ctl get", "demo: ctl get wants K, got 0 arguments"},
		{"ctl put k", "demo: ctl put wants K V, got 1 argument"},
		{"ctl cas k v", "wants K OLD NEW"},
		{"ctl cas --missing k v w", "--missing K NEW"},
		{"ctl log one two", "FROM: \"one\" is not a whole number from 0 on\ndemo: TO: \"two\""},
		{"ctl transfer x", "N: "},
		{"ctl --addr ftp://x get k", "is not an address"},
		{"ctl --ca /nowhere.pem get k", "/nowhere.pem"},
		{"ctl --timeout -1s get k", "not positive"},
		{"version 1", `"1"`},
	} {
		var out, err bytes.Buffer
		if status := run(strings.Fields(test.line), &out, &err); status != 2 || !strings.Contains(err.String(), test.want) || out.Len() > 0 {
			t.Errorf("%s: status %d\n%s%s\nwant %s", test.line, status, &out, &err, test.want)
		}
	}
	t.Setenv("TROUPE_LOG", "loud")
	var out, err bytes.Buffer
	if status := run([]string{"cluster"}, &out, &err); status != 2 || !strings.Contains(err.String(), `TROUPE_LOG: "loud" is no level`) {
		t.Errorf("TROUPE_LOG=loud: status %d, %s", status, &err)
	}
}

func TestVersionAndHelp(t *testing.T) {
	var out, err bytes.Buffer
	if status := run([]string{"version"}, &out, &err); status != 0 || !strings.HasPrefix(out.String(), "troupe demo ") || !strings.HasSuffix(out.String(), runtime.Version()+"\n") {
		t.Errorf("status %d, %s%s", status, &out, &err)
	}
	out.Reset()
	t.Setenv("TROUPE_TOKEN", "hush-hush")
	if status := run([]string{"ctl", "--help"}, &out, &err); status != 0 || !strings.Contains(out.String(), "transfer") || strings.Contains(out.String(), "hush-hush") {
		t.Errorf("status %d, %s", status, &out)
	}
}

// TestNobodyThere wants one line and status 1, in time.
func TestNobodyThere(t *testing.T) {
	var out, err bytes.Buffer
	status := run([]string{"ctl", "--addr", "http://127.0.0.1:1", "--timeout", "50ms", "put", "k", "v"}, &out, &err)
	if status != 1 || strings.Count(err.String(), "\n") != 1 || out.Len() > 0 {
		t.Errorf("status %d, %q, %q", status, &out, &err)
	}
}
