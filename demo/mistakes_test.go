package main

import (
	"bytes"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// recorded answers like a leader, and notes what it was asked.
func recorded(t *testing.T) (url string, asked *[]string) {
	asked = new([]string)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if !strings.HasSuffix(r.URL.Path, "/session") {
			*asked = append(*asked, strings.TrimSpace(r.Method+" "+r.RequestURI+" "+string(body)))
		}
		_, _ = io.WriteString(w, `{"session":"5"}`)
	}))
	t.Cleanup(server.Close)
	return server.URL, asked
}

// TestValuesThatLookLikeFlags: what begins with a dash is a value where a value is wanted, with -- before it or, where no flag is called so, without.
func TestValuesThatLookLikeFlags(t *testing.T) {
	url, asked := recorded(t)
	for _, test := range []struct {
		words []string
		want  string
	}{
		{[]string{"put", "k", "-5"}, `PUT /v1/kv/k {"value":"-5"}`},
		{[]string{"put", "k", "--", "-5"}, `PUT /v1/kv/k {"value":"-5"}`},
		{[]string{"put", "--", "k", "-5"}, `PUT /v1/kv/k {"value":"-5"}`},
		{[]string{"put", "k", "--force"}, `PUT /v1/kv/k {"value":"--force"}`},
		{[]string{"put", "k", "--token"}, `PUT /v1/kv/k {"value":"--token"}`},
		{[]string{"put", "k", "-"}, `PUT /v1/kv/k {"value":"-"}`},
		{[]string{"put", "k", "--", "--"}, `PUT /v1/kv/k {"value":"--"}`},
		{[]string{"put", "-1", "-2"}, `PUT /v1/kv/-1 {"value":"-2"}`},
		{[]string{"put", "--", "--addr", "--"}, `PUT /v1/kv/--addr {"value":"--"}`},
		{[]string{"put", "k", "-h"}, `PUT /v1/kv/k {"value":"-h"}`},
		{[]string{"put", "k", ""}, `PUT /v1/kv/k {"value":""}`},
		{[]string{"append", "k", "-5"}, `POST /v1/kv/k/append {"value":"-5"}`},
		{[]string{"cas", "k", "-1", "-2"}, `POST /v1/kv/k/cas {"expect":"-1","value":"-2"}`},
		{[]string{"cas", "k", "--", "-1", "-2"}, `POST /v1/kv/k/cas {"expect":"-1","value":"-2"}`},
		{[]string{"cas", "--", "-k", "-1", "-2"}, `POST /v1/kv/-k/cas {"expect":"-1","value":"-2"}`},
		{[]string{"cas", "--missing", "k", "-2"}, `POST /v1/kv/k/cas {"expect":null,"value":"-2"}`},
		{[]string{"cas", "--missing", "--", "k", "-2"}, `POST /v1/kv/k/cas {"expect":null,"value":"-2"}`},
		{[]string{"cas", "--", "k", "--missing", "v"}, `POST /v1/kv/k/cas {"expect":"--missing","value":"v"}`},
		{[]string{"get", "-5"}, `GET /v1/kv/-5?read=linearizable`},
		{[]string{"get", "-k"}, `GET /v1/kv/-k?read=linearizable`},
		{[]string{"get", "--", "--k"}, `GET /v1/kv/--k?read=linearizable`},
		{[]string{"get", "--read", "stale", "-k"}, `GET /v1/kv/-k?read=stale`},
		{[]string{"get", "--read=stale", "--", "-k"}, `GET /v1/kv/-k?read=stale`},
		{[]string{"get", "k", "--read", "stale"}, `GET /v1/kv/k?read=stale`},
		{[]string{"del", "-k"}, `DELETE /v1/kv/-k`},
		{[]string{"del", "--", "-k"}, `DELETE /v1/kv/-k`},
		{[]string{"remove", "3", "--force"}, `POST /v1/members {"remove":3,"force":true}`},
		{[]string{"remove", "--force", "--", "3"}, `POST /v1/members {"remove":3,"force":true}`},
		{[]string{"put", "k", "-5", "--timeout", "9s"}, `PUT /v1/kv/k {"value":"-5"}`},
	} {
		*asked = nil
		var out, err bytes.Buffer
		status := run(append([]string{"ctl", "--addr", url}, test.words...), &out, &err)
		if status != 0 || strings.Join(*asked, "; ") != test.want {
			t.Errorf("%q: status %d, asked %q, %s\nwant %s", test.words, status, *asked, &err, test.want)
		}
	}
}

// TestHelpChangesNothing: who asks for help after the arguments has not meant the command yet.
func TestHelpChangesNothing(t *testing.T) {
	url, asked := recorded(t)
	for _, line := range []string{"put --help", "put k --help", "put k v --help", "del k --help", "del -h", "remove 3 --help", "put k v -h"} {
		var out, err bytes.Buffer
		if status := run(append([]string{"ctl", "--addr", url}, strings.Fields(line)...), &out, &err); status != 0 || len(*asked) > 0 || !strings.Contains(out.String(), "Usage:") {
			t.Errorf("%s: status %d, asked %q, %s%s", line, status, *asked, &out, &err)
		}
	}
}

// TestCtlRefuses: what a node would take for something else, or refuse in its own words, is refused before it is sent, with what to write instead.
func TestCtlRefuses(t *testing.T) {
	url, asked := recorded(t)
	for _, test := range []struct {
		words []string
		want  string
	}{
		{[]string{"put", "k", "\xff\xfeA"}, "V: not UTF-8"},
		{[]string{"put", "\xffk", "v"}, "K: not UTF-8"},
		{[]string{"append", "k", "\xff"}, "V: not UTF-8"},
		{[]string{"cas", "k", "\xff\xfdA", "new"}, "OLD: not UTF-8"},
		{[]string{"cas", "k", "old", "\xff"}, "NEW: not UTF-8"},
		{[]string{"cas", "--missing", "k", "\xff"}, "NEW: not UTF-8"},
		{[]string{"get", "\xff"}, "K: not UTF-8"},
		{[]string{"del", "\xff"}, "K: not UTF-8"},
		{[]string{"put", "", "v"}, "K: empty"},
		{[]string{"get", ""}, "K: empty"},
		{[]string{"del", ""}, "K: empty"},
		{[]string{"append", "", "v"}, "K: empty"},
		{[]string{"cas", "", "a", "b"}, "K: empty"},
		{[]string{"get", "--read", "stael", "k"}, `--read: "stael" is none of linearizable, lease and stale`},
		{[]string{"get", "--raed", "stale", "k"}, "demo: ctl get: unknown flag: --raed: there are --help, --read, --addr, --ca, --timeout, --token; write -- before a key that begins so"},
		{[]string{"put", "--tokn", "x"}, "unknown flag: --tokn"},
		{[]string{"cas", "k", "--missing", "v"}, "--missing goes before K; to mean the value --missing, write -- before K"},
		{[]string{"cas", "k", "v", "--missing"}, "--missing goes before K"},
		{[]string{"put", "k", "v", "--tokn", "x"}, "unknown flag: --tokn"},
		{[]string{"put", "k", "v", "w"}, "demo: ctl put wants K V (a value with spaces in quotes), got 3 arguments"},
		{[]string{"get"}, "demo: ctl get wants K, got 0 arguments"},
		{[]string{"transfer", "-1"}, `N: "-1" is not a node's number, from 1 on`},
		{[]string{"transfer", "0"}, `N: "0" is not a node's number, from 1 on`},
		{[]string{"transfer", "two"}, `N: "two" is not a node's number, from 1 on`},
		{[]string{"remove", "1.5"}, `N: "1.5" is not a node's number, from 1 on`},
		{[]string{"promote", "99999999999999999999"}, "is not a node's number, from 1 on"},
		{[]string{"readmit", ""}, `N: "" is not a node's number`},
		{[]string{"log", "9", "2"}, "FROM 9 is after TO 2"},
		{[]string{"add", "0", "0.0.0.0:7004", "127.0.0.1"}, "demo: N: \"0\" is not a node's number, from 1 on\n" +
			"demo: RAFT_ADDR: other nodes cannot reach 0.0.0.0: name the address or host at which they do\n" +
			"demo: HTTP_ADDR: \"127.0.0.1\" is not host:port"},
		{[]string{"add", "4", "h:99999", "h:8004"}, `RAFT_ADDR: "h:99999" has no port from 1 to 65535`},
		{[]string{"add", "4", "h:0", "https://[::]:1"}, `HTTP_ADDR: other nodes cannot reach [::]`},
		{[]string{"add", "4", "h:1", "h:1"}, `RAFT_ADDR and HTTP_ADDR are both h:1`},
		{[]string{"remove", "3", "--forc"}, "demo: ctl remove: unknown flag: --forc: there are --force, --help, --addr, --ca, --timeout, --token\n"},
		{[]string{"put", "k"}, "demo: ctl put wants K V, got 1 argument\n"},
		{[]string{"--timeout", "5", "get", "k"}, `demo: ctl get: --timeout: "5" is not a duration like 10s or 500ms`},
		{[]string{"get", "--read"}, "demo: ctl get: --read wants a value after it"},
		{[]string{"--addr", "", "get", "k"}, `demo: --addr: "" is not an address like http://127.0.0.1:8001`},
		{[]string{"--addr", "127.0.0.1:99999,h:1", "get", "k"}, `demo: --addr: "127.0.0.1:99999" is not an address like http://127.0.0.1:8001: its port is not from 1 to 65535`},
		{[]string{"--addr", "127.0.0.1:8001/v1", "get", "k"}, `demo: --addr: "127.0.0.1:8001/v1" is not an address like http://127.0.0.1:8001`},
		{[]string{"--ca", "/nowhere.pem", "get", "k"}, "demo: --ca: open /nowhere.pem"},
		{[]string{"--token", "a\nb", "get", "k"}, "--token: it cannot be sent in a header"},
		{[]string{"pu", "k", "v"}, `demo: unknown command of ctl "pu": did you mean put?`},
		{[]string{"delete", "k"}, `unknown command of ctl "delete": did you mean del?`},
		{[]string{"watc"}, `unknown command of ctl "watc": there are add, append, cas, del, get, log, promote, put, readmit, remove, set-addr, snapshot, status, transfer`},
		{[]string{"status", "now"}, "demo: ctl status wants no arguments, got 1"},
	} {
		*asked = nil
		var out, err bytes.Buffer
		status := run(append([]string{"ctl", "--addr", url}, test.words...), &out, &err)
		if status != 2 || len(*asked) > 0 || !strings.Contains(err.String(), test.want) {
			t.Errorf("%q: status %d, asked %q\n%swant %s", test.words, status, *asked, &err, test.want)
		}
	}
}

// TestAddressFlags names what is wrong with a flag, once, by its name.
func TestAddressFlags(t *testing.T) {
	for line, want := range map[string]string{
		"cluster --http 0.0.0.0:8001":    "demo: --http: other nodes cannot reach 0.0.0.0: name the address or host at which they do\n",
		"cluster --raft [::]:7001":       "demo: --raft: other nodes cannot reach [::]: name the address or host at which they do\n",
		"cluster --resp :6381":           "demo: --resp: \":6381\" names no host: name the address or host at which other nodes reach it\n",
		"cluster --http 127.0.0.1:99999": "demo: --http: \"127.0.0.1:99999\" has no port from 1 to 65535\n",
		"cluster --raft 127.0.0.1 --http 0.0.0.0:1 --resp h:port": "demo: --http: other nodes cannot reach 0.0.0.0: name the address or host at which they do\n" +
			"demo: --resp: \"h:port\" has no port from 1 to 65535\ndemo: --raft: \"127.0.0.1\" is not host:port, like 127.0.0.1:7001\n",
		"cluster --http 127.0.0.1:65535": "demo: --http: node 2 of 3 would have port 65536, which is above 65535: begin lower\n",
		"cluster --raft x":               "demo: --raft: \"x\" is not host:port, like 127.0.0.1:7001\n",
	} {
		var out, err bytes.Buffer
		if status := run(strings.Fields(line), &out, &err); status != 2 || err.String() != want {
			t.Errorf("%s: status %d\n%swant %s", line, status, &err, want)
		}
	}
}

// TestFlagsInWords: what is wrong with a flag's value is said in its user's words.
func TestFlagsInWords(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "c.toml")
	overwrite(t, file, "[[node]]\nid = 1\nraft = \"127.0.0.1:7001\"\nhttp = \"127.0.0.1:8001\"\n[[node]]\nid = 2\nraft = \"127.0.0.1:7002\"\nhttp = \"127.0.0.1:8002\"\n")
	for line, want := range map[string]string{
		"cluster --nodes x":                     "demo: cluster: --nodes: \"x\" is not a whole number\n",
		"--nodes":                               "demo: --nodes wants a value after it\n",
		"cluster --chaos=maybe":                 "demo: cluster: --chaos: \"maybe\" is not true or false\n",
		"cluster --node 3":                      "demo: cluster: unknown flag: --node: there are --chaos, --config, --data, --help, --http, --nodes, --raft, --resp\n",
		"cluster --config " + dir + "/none":     "demo: --config: open " + dir + "/none: no such file or directory\n",
		"node":                                  "demo: node wants --config FILE and --id N\n",
		"node --config " + file:                 "demo: node wants --id N: " + file + " lists the nodes 1, 2\n",
		"node --config " + file + " --id 3":     "demo: --id: " + file + " lists no node 3: there are 1, 2\n",
		"node --config " + file + " --id -1":    "demo: node: --id: \"-1\" is not a whole number\n",
		"node --id 1":                           "demo: node wants --config FILE and --id N\n",
		"node --config " + dir + "/none --id 1": "demo: --config: open " + dir + "/none: no such file or directory\n",
	} {
		var out, err bytes.Buffer
		if status := run(strings.Fields(line), &out, &err); status != 2 || err.String() != want {
			t.Errorf("%s: status %d\n%swant %s", line, status, &err, want)
		}
	}
}

// TestTokenAdvice: who lacks the token, or has one that cannot be sent, is told where it is given.
func TestTokenAdvice(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusUnauthorized)
		_, _ = io.WriteString(w, `{"error":"a token is needed","outcome":"refused","leader":1}`)
	}))
	t.Cleanup(server.Close)
	for token, want := range map[string]string{"": "demo: a token is needed: give --token, or set TROUPE_TOKEN\n", "a\nb": "demo: TROUPE_TOKEN: it cannot be sent in a header"} {
		t.Setenv("TROUPE_TOKEN", token)
		var out, err bytes.Buffer
		if status := run([]string{"ctl", "--addr", server.URL, "put", "k", "v"}, &out, &err); status == 0 || !strings.HasPrefix(err.String(), want) {
			t.Errorf("%q: status %d, %s want %s", token, status, &err, want)
		}
	}
}

// TestUsedPort: who starts a second cluster beside the first is told what is in the way.
func TestUsedPort(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for _, flag := range []string{"--http", "--raft"} {
		flags := map[string]string{"--http": "127.0.0.1:0", "--raft": "127.0.0.1:0", "--resp": "", "--nodes": "1", "--data": t.TempDir()}
		flags[flag] = l.Addr().String()
		words := []string{"cluster"}
		for name, value := range flags {
			words = append(words, name+"="+value)
		}
		var out, said bytes.Buffer
		status := run(words, &out, &said)
		if status != 1 || !strings.Contains(said.String(), l.Addr().String()) || !strings.Contains(said.String(), "address already in use: another process listens there: stop it, or name another address\n") {
			t.Errorf("%s: status %d %s%s", flag, status, &out, &said)
		}
	}
}

// TestAddressesOfOthers: where a node cannot listen it says for which key of which node, and what to do.
func TestAddressesOfOthers(t *testing.T) {
	lookup := &net.OpError{Op: "listen", Net: "tcp", Err: &net.DNSError{Err: "no such host", Name: "nosuch.invalid", Server: "10.0.0.2:53", IsNotFound: true}}
	for err, want := range map[error]string{
		lookup: `node 7: http = "nosuch.invalid:80": there is no host nosuch.invalid: name an address of this machine`,
		&net.OpError{Op: "listen", Net: "tcp", Err: os.NewSyscallError("bind", syscall.EACCES)}: `node 7: http = "nosuch.invalid:80": this process may not listen there: name a port from 1024 on`,
	} {
		if said := cannotListen(7, "http", "nosuch.invalid:80", err); said.Error() != want {
			t.Errorf("%v, want %s", said, want)
		}
	}
	for addr, want := range map[string]string{
		"192.0.2.1:8001": `"192.0.2.1:8001" is no address of this machine: name one that is`, // of those for documentation
	} {
		for _, key := range []string{"http", "raft"} {
			at := map[string]string{"http": "127.0.0.1:" + port(t), "raft": "127.0.0.1:" + port(t)}
			at[key] = addr
			file := filepath.Join(t.TempDir(), "c.toml")
			text := fmt.Sprintf("data = %q\n[[node]]\nid = 7\nraft = %q\nhttp = %q\n", t.TempDir(), at["raft"], at["http"])
			if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			var out, said bytes.Buffer
			if status := run([]string{"node", "--config", file, "--id", "7"}, &out, &said); status != 1 || said.String() != "demo: node 7: "+key+" = "+want+"\n" {
				t.Errorf("%s %s: status %d, %s", key, addr, status, &said)
			}
		}
	}
}

func port(t *testing.T) string {
	t.Helper()
	_, port, _ := net.SplitHostPort(ports(t, 1)[0])
	return port
}

// TestUntrusted: without --ca the remedy is named, and what was never sent may not have taken effect.
func TestUntrusted(t *testing.T) {
	server := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("it was asked") }))
	defer server.Close()
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	for _, words := range [][]string{{"status"}, {"put", "k", "v"}, {"remove", "2"}} {
		var out, said bytes.Buffer
		status := run(append([]string{"ctl", "--addr", server.URL, "--timeout", "1s"}, words...), &out, &said)
		want := "demo: no node answers: " + server.URL + ": its certificate is of an authority that is not trusted here: name the PEM file of its certificate, or of who signed it, with --ca FILE\n"
		if status != 1 || said.String() != want {
			t.Errorf("%s: status %d, %s want %s", words, status, &said, want)
		}
	}
}
