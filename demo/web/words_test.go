package web

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/troupe-raft/troupe/actors"
	"github.com/troupe-raft/troupe/demo/api"
	"github.com/troupe-raft/troupe/demo/kv"
	"github.com/troupe-raft/troupe/raft"
	"github.com/troupe-raft/troupe/remote"
)

// TestQueriesAreStrict: what a query says and a route does not know is refused with the field named, and not passed over.
func TestQueriesAreStrict(t *testing.T) {
	leader, _, at, via := pair(t)
	leader.store.Apply(kv.Command{Op: kv.Put, Key: "zebra", Value: []byte("1")}.Encode())
	for _, test := range []struct{ method, path, want string }{
		{"GET", "/v1/kv?prefix=a;b", `query: ";" is not taken here: write %3B`},
		{"GET", "/v1/kv?prefix=%zz", `query: "prefix=%zz" is not escaped as it should be: write %25 for %`},
		{"GET", "/v1/kv?%zz=a", `query: "%zz=a" is not escaped`},
		{"GET", "/v1/kv?prefix=%ff", "prefix: not UTF-8"},
		{"GET", "/v1/kv?after=%ff", "after: not UTF-8"},
		{"GET", "/v1/kv?prefx=a", `query: unknown parameter "prefx": there are after, limit, prefix and read`},
		{"GET", "/v1/kv?prefix=a&prefix=b", "prefix: given 2 times"},
		{"GET", "/v1/kv?limit=0", `limit: "0" is not a whole number from 1 on`},
		{"GET", "/v1/kv?limit=1e3", `limit: "1e3" is not a whole number from 1 on`},
		{"GET", "/v1/kv?limit=-1", `limit: "-1"`},
		{"GET", "/v1/kv?read=stael", `read: "stael" is none of linearizable, lease and stale`},
		{"GET", "/v1/kv/zebra?read=stael", `read: "stael" is none of linearizable, lease and stale`},
		{"GET", "/v1/kv/zebra?raed=stale", `query: unknown parameter "raed": there is read`},
		{"GET", "/v1/kv/zebra?READ=stale", `query: unknown parameter "READ"`},
		{"GET", "/v1/kv/zebra?read=stale;x", `query: ";"`},
		{"PUT", "/v1/kv/zebra?ttl=5", `query: unknown parameter "ttl": there are none here`},
		{"DELETE", "/v1/kv/zebra?force", `query: unknown parameter "force": there are none here`},
		{"POST", "/v1/kv/zebra/append?x=1", `unknown parameter "x"`},
		{"POST", "/v1/kv/zebra/cas?x=1", `unknown parameter "x"`},
		{"POST", "/v1/session?x=1", `unknown parameter "x"`},
		{"GET", "/v1/status?verbose=1", `unknown parameter "verbose"`},
		{"GET", "/v1/log?form=1", `unknown parameter "form": there are from and to`},
		{"GET", "/v1/log?from=x", `from: "x" is not an index`},
		{"GET", "/v1/log?to=1.5", `to: "1.5" is not an index`},
		{"POST", "/v1/transfer?to=2", `unknown parameter "to"`},
		{"POST", "/v1/members?force=true", `unknown parameter "force"`},
		{"POST", "/v1/snapshot?x", `unknown parameter "x"`},
		{"GET", "/healthz?x", `unknown parameter "x"`},
		{"GET", "/readyz?x", `unknown parameter "x"`},
		{"GET", "/kvstore/is_leader?x", `unknown parameter "x"`},
		{"GET", "/kvstore/get/zebra?read=stale", `unknown parameter "read"`},
		{"POST", "/kvstore/put?key=a", `unknown parameter "key"`},
		{"POST", "/kvstore/append?key=a", `unknown parameter "key"`},
	} {
		for _, target := range []string{at, via} {
			got := raw(t, target, test.method, test.path, `{"value":"v"}`)
			if got.status != 400 {
				t.Errorf("%s %s: status %d %s", test.method, test.path, got.status, got.body)
				continue
			}
			checkError(t, test.method+" "+test.path, got, test.want, api.Refused)
		}
	}
	if len(leader.calls) > 0 {
		t.Errorf("the leader saw %v", leader.calls)
	}
	for _, good := range []string{"/v1/kv?prefix=&limit=", "/v1/kv?", "/v1/kv?prefix=a%3Bb&after=%D0%BA&limit=5&read=lease", "/v1/kv?prefix=+"} {
		if got := raw(t, at, "GET", good, ""); got.status != 200 {
			t.Errorf("%s: %d %s", good, got.status, got.body)
		}
	}
}

// raw sends a request whose address nobody touches on the way.
func raw(t *testing.T, at, method, target, body string) answer {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, "http://"+at, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	path, query, _ := strings.Cut(target, "?")
	r.URL = &url.URL{Scheme: "http", Host: at, Opaque: "//" + at + path, RawQuery: query}
	r.Header.Set("Content-Type", typeJSON)
	return send(t, r)
}

// TestEmptyKeys: no route takes an empty key, which none could read, and each says so.
func TestEmptyKeys(t *testing.T) {
	leader, _, at, via := pair(t)
	for _, test := range []struct{ method, path, body string }{
		{"POST", "/kvstore/put", `{"key":"","value":"v"}`},
		{"POST", "/kvstore/append", `{"key":"","value":"v"}`},
		{"GET", "/kvstore/get/", ""},
		{"GET", "/v1/kv/", ""},
		{"PUT", "/v1/kv/", `{"value":"v"}`},
		{"DELETE", "/v1/kv/", ""},
		{"POST", "/v1/kv//append", `{"value":"v"}`},
		{"POST", "/v1/kv//cas", `{"expect":null,"value":"v"}`},
	} {
		for _, target := range []string{at, via} {
			got := raw(t, target, test.method, test.path, test.body)
			if got.status != 400 {
				t.Errorf("%s %s: status %d %s", test.method, test.path, got.status, got.body)
				continue
			}
			checkError(t, test.method+" "+test.path, got, "key: empty", api.Refused)
		}
	}
	if len(leader.calls) > 0 {
		t.Errorf("the leader saw %v", leader.calls)
	}
}

// TestPathsOfDots: a path that a client, or a proxy, might have shortened is refused with what to write instead.
func TestPathsOfDots(t *testing.T) {
	_, _, at, _ := pair(t)
	for _, test := range []struct{ method, path string }{
		{"PUT", "/v1/kv/.."}, {"PUT", "/v1/kv/."}, {"GET", "/v1/kv/.."}, {"DELETE", "/v1/kv/../kv/k"}, {"POST", "/v1/kv/../append"},
		{"GET", "//v1/status"}, {"GET", "/v1//status"}, {"GET", "/kvstore/get/.."}, {"GET", "/v1/./status"}, {"BREW", "/v1/kv/.."},
	} {
		got := raw(t, at, test.method, test.path, `{"value":"v"}`)
		if got.status != 400 {
			t.Errorf("%s %s: status %d %s", test.method, test.path, got.status, got.body)
			continue
		}
		checkError(t, test.method+" "+test.path, got, "path: ", api.Refused)
		if got.header.Get("Location") != "" || !strings.Contains(got.body, "%2E") {
			t.Errorf("%s %s: %v %s", test.method, test.path, got.header, got.body)
		}
	}
}

// TestMethods: whatever the method, the answer is JSON, and says which ones there are.
func TestMethods(t *testing.T) {
	_, _, at, _ := pair(t)
	for _, method := range []string{"OPTIONS", "PATCH", "TRACE", "BREW", "PROPFIND", "put"} {
		for path, allow := range map[string]string{
			"/v1/kv/k": "DELETE, GET, HEAD, PUT", "/v1/kv": "GET, HEAD", "/v1/session": "DELETE, POST", "/healthz": "GET, HEAD", "/kvstore/put": "POST",
		} {
			got := raw(t, at, method, path, "")
			if got.status != 405 || got.header.Get("Allow") != allow {
				t.Errorf("%s %s: %d, Allow %q, want %q", method, path, got.status, got.header.Get("Allow"), allow)
				continue
			}
			checkError(t, method+" "+path, got, method+" is not allowed here: "+allow, api.Refused)
			if !strings.Contains(got.body, allow+` is"`) && !strings.Contains(got.body, allow+` are"`) {
				t.Errorf("%s %s: %s", method, path, got.body)
			}
		}
		got := raw(t, at, method, "/v1/none", "")
		if got.status != 404 {
			t.Errorf("%s /v1/none: %d", method, got.status)
		}
		checkError(t, method+" /v1/none", got, `not found: there is no route "/v1/none"`, api.Refused)
	}
}

// TestJSONInWords: what is wrong with a body is said of its fields, in the words of who wrote it.
func TestJSONInWords(t *testing.T) {
	leader, _, _, _ := pair(t)
	leader.change = func(actors.Change) error { return nil }
	leader.transfer = func(raft.NodeID) error { return nil }
	chaos := serve(t, leader, func(c *Config) { c.Chaos = func(remote.Chaos) {} })
	for _, test := range []struct{ method, path, body, want string }{
		{"PUT", "/v1/kv/k", `{"value":7}`, "value: want text, got a number"},
		{"PUT", "/v1/kv/k", `{"value":true}`, "value: want text, got true or false"},
		{"PUT", "/v1/kv/k", `{"value":["v"]}`, "value: want text, got a list"},
		{"PUT", "/v1/kv/k", `{"value":{"v":1}}`, "value: want text, got an object"},
		{"PUT", "/v1/kv/k", `{"value":null}`, "value: want text, got null"},
		{"PUT", "/v1/kv/k", "{\"value\":\"\xff\"}", "value: not UTF-8"},
		{"PUT", "/v1/kv/k", `{"value":"\ud83d"}`, "value: not UTF-8"},
		{"POST", "/v1/kv/k/cas", "{\"expect\":\"\xfe\",\"value\":\"v\"}", "expect: not UTF-8"},
		{"POST", "/v1/kv/k/cas", `{"expect":3,"value":"x"}`, "expect: want text, got a number"},
		{"POST", "/v1/kv/k/cas", `{"value":"x"}`, `field "expect" is missing`},
		{"PUT", "/v1/kv/k", `{"Value":"x"}`, `unknown field "Value": there is value`},
		{"PUT", "/v1/kv/k", `{"value":"x","ttl":1}`, `unknown field "ttl": there is value`},
		{"PUT", "/v1/kv/k", `{"value":`, "the body is not JSON: it ends too soon"},
		{"PUT", "/v1/kv/k", `{"value":"x"} {}`, "the body is not JSON: byte 15 does not fit"},
		{"PUT", "/v1/kv/k", `{value:"x"}`, "the body is not JSON: byte 2 does not fit"},
		{"PUT", "/v1/kv/k", ``, `the body is empty: want a JSON object with value`},
		{"PUT", "/v1/kv/k", `"x"`, `the body is not a JSON object: want one with value`},
		{"PUT", "/v1/kv/%FF", `{"value":"x"}`, "key: not UTF-8"},
		{"GET", "/kvstore/get/%FF", ``, "key: not UTF-8"},
		{"POST", "/kvstore/put", "{\"key\":\"\xff\",\"value\":\"v\"}", "key: not UTF-8"},
		{"POST", "/kvstore/put", "{\"key\":\"k\",\"value\":\"\xff\"}", "value: not UTF-8"},
		{"POST", "/kvstore/put", "{\"key\":\"k\",\"value\":\"v\",\"more\":\"\xff\"}", "more: not UTF-8"},
		{"POST", "/v1/transfer", `{"to":"2"}`, "to: want a whole number from 0 on, got text"},
		{"POST", "/v1/transfer", `{"to":-1}`, "to: want a whole number from 0 on, got -1"},
		{"POST", "/v1/transfer", `{"to":1.5}`, "to: want a whole number from 0 on, got 1.5"},
		{"POST", "/v1/transfer", `{"to":99999999999999999999}`, "to: want a whole number from 0 on, got 99999999999999999999"},
		{"POST", "/v1/transfer", `{"to":null}`, "to: there is no node 0"},
		{"POST", "/v1/members", `{"add":{"id":"4","raft":"b:1","http":"b:2"}}`, "add.id: want a whole number from 0 on, got text"},
		{"POST", "/v1/members", `{"add":{"id":4,"raft":"b:1","http":"b:2","vote":1}}`, `unknown field "vote"`},
		{"POST", "/v1/members", `{"add":4}`, "add: want an object, got a number"},
		{"POST", "/v1/members", `{"remove":"3"}`, "remove: want a whole number from 0 on, got text"},
		{"POST", "/v1/members", `{"remove":3,"force":"yes"}`, "force: want true or false, got text"},
		{"POST", "/v1/members", `{"change":{"voters":1}}`, "change.voters: want a list, got a number"},
		{"POST", "/v1/members", `{"change":{"voters":["a"]}}`, "change.voters: want a whole number from 0 on, got text"},
		{"POST", "/v1/members", `{"change":{"voters":[{"id":1,"raft":5}]}}`, "change.voters.raft: want text, got a number"},
		{"POST", "/v1/chaos", `{"drop":"1"}`, "drop: want a number, got text"},
		{"POST", "/v1/chaos", `{"block":2}`, "block: want a list, got a number"},
	} {
		got := raw(t, chaos, test.method, test.path, test.body)
		if got.status != 400 {
			t.Errorf("%s %s: status %d %s", test.path, test.body, got.status, got.body)
			continue
		}
		checkError(t, test.path+" "+test.body, got, test.want, api.Refused)
		for _, ours := range []string{"json:", "struct", "Go ", "unmarshal", "uint64", "of type", "*"} {
			if strings.Contains(got.body, ours) {
				t.Errorf("%s %s: %s says %q", test.path, test.body, got.body, ours)
			}
		}
	}
}

// TestMembersAreFound: an address that no other node could reach gets into no membership, forced or not, and all faults are told at once.
func TestMembersAreFound(t *testing.T) {
	f := newFake(1, 1)
	f.change = func(actors.Change) error { t.Error("it was proposed"); return nil }
	at := serve(t, f, nil)
	for text, want := range map[string][]string{
		`{"add":{"id":4,"raft":"0.0.0.0:7004","http":"h:8004"}}`:                                                           {"add: raft: other nodes cannot reach 0.0.0.0: name the address or host at which they do"},
		`{"add":{"id":4,"raft":"h:7004","http":"[::]:8004"},"force":true}`:                                                 {"add: http: other nodes cannot reach [::]"},
		`{"add":{"id":0,"raft":"h:99999","http":"no port"}}`:                                                               {"add: there is no node 0", `add: raft: "h:99999" has no port from 1 to 65535`, `add: http: "no port" is not host:port`},
		`{"add":{"id":4,"raft":":7004","http":"h:0"}}`:                                                                     {`add: raft: ":7004" names no host`, `add: http: "h:0" has no port`},
		`{"add":{"id":4,"raft":"h:1"}}`:                                                                                    {"add: http: no address"},
		`{"add":{"id":4,"raft":"h:1","http":"http://h:2"}}`:                                                                {"add: http: \"http://h:2\" is not host:port: leave out http://"},
		`{"change":{"voters":[1,{"id":2,"raft":"0.0.0.0:1","http":"h:2"}],"learners":[{"id":3,"raft":"h:1","http":"h"}]}}`: {"change: node 2: raft: other nodes cannot reach 0.0.0.0", `change: node 3: http: "h" is not host:port`},
		`{"change":{"voters":[{"id":2,"raft":"h:1"}]}}`:                                                                    {"change: node 2: http: no address"},
		`{"change":{"voters":[0]}}`:                                                                                        {"change: there is no node 0"},
		`{"remove":0}`:                                                                                                     {"remove: there is no node 0"},
		`{"promote":0}`:                                                                                                    {"promote: there is no node 0"},
		`{"readmit":0}`:                                                                                                    {"readmit: there is no node 0"},
	} {
		got := ask(t, "POST", at+"/v1/members", text)
		if got.status != 400 {
			t.Errorf("%s: status %d %s", text, got.status, got.body)
			continue
		}
		for _, part := range want {
			checkError(t, text, got, part, api.Refused)
		}
	}
}

// TestBytesThatAreNoText: what is stored and is not UTF-8 is never given back as something else.
func TestBytesThatAreNoText(t *testing.T) {
	leader, _, at, via := pair(t)
	for key, value := range map[string]string{"a": "text", "b": "\xff\x00", "\xfec": "", "d": ""} {
		leader.store.Apply(kv.Command{Op: kv.Put, Key: key, Value: []byte(value)}.Encode())
	}
	in64 := func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }
	for _, target := range []string{at, via} {
		for _, path := range []string{"/v1/kv/b", "/v1/kv/b?read=lease", "/kvstore/get/b"} {
			got := ask(t, "GET", target+path, "")
			if got.status != 422 {
				t.Errorf("%s: status %d %s", path, got.status, got.body)
				continue
			}
			checkError(t, path, got, "not UTF-8: use RESP", api.Refused)
		}
		want := fmt.Sprintf(`{"items":[{"key":"a","value":"text"},{"key":"b","value_base64":%q},{"key":"d","value":""},{"key_base64":%q,"value":""}],"more":false}`, in64("\xff\x00"), in64("\xfec"))
		if got := ask(t, "GET", target+"/v1/kv", ""); got.body != want+"\n" {
			t.Errorf("list: %s\nwant %s", got.body, want)
		}
		if got := ask(t, "POST", target+"/v1/kv/b/cas", `{"expect":"x","value":"y"}`); !strings.Contains(got.body, `"swapped":false,"value":null,"value_base64":"`+in64("\xff\x00")+`"`) {
			t.Errorf("cas: %d %s", got.status, got.body)
		}
	}
	if got := ask(t, "POST", at+"/v1/kv/b/append", `{"value":"z"}`); got.status != 200 || !strings.Contains(got.body, `"value_base64":"`+in64("\xff\x00z")+`"`) || strings.Contains(got.body, `"value":`) {
		t.Errorf("append: %d %s", got.status, got.body)
	}
	if got := ask(t, "GET", at+"/v1/kv/d", ""); !strings.Contains(got.body, `"key":"d","value":""`) {
		t.Errorf("an empty value: %s", got.body)
	}
	var log api.Log
	got := ask(t, "GET", at+"/v1/log", "")
	if err := json.Unmarshal([]byte(got.body), &log); err != nil || len(log.Entries) != 6 {
		t.Fatalf("%v %s", err, got.body)
	}
	if e := log.Entries[5]; string(e.DataBase64) != "\xff" {
		t.Errorf("in the log: %+v", e)
	}
	for _, e := range log.Entries[:5] {
		if e.DataBase64 != nil {
			t.Errorf("in the log: %+v", e)
		}
	}
	leader.binary = kv.Command{Op: kv.Put, Key: "b", Value: []byte("\xff\x00")}.Encode()
	got = ask(t, "GET", at+"/v1/log?from=7", "")
	if err := json.Unmarshal([]byte(got.body), &log); err != nil || len(log.Entries) != 1 || string(log.Entries[0].DataBase64) != string(leader.binary) || log.Entries[0].Data != `put "b" "\xff\x00"` {
		t.Errorf("in the log: %v %s", err, got.body)
	}
}

// TestServersOwnErrors: what net/http refuses before any handler sees it is JSON as well.
func TestServersOwnErrors(t *testing.T) {
	for _, secure := range []bool{false, true} {
		t.Run(fmt.Sprintf("TLS %t", secure), func(t *testing.T) {
			at := listen(t, newFake(1, 1), secure)
			long := strings.Repeat("a", 2*MaxHeaderBytes)
			for _, test := range []struct {
				name, request, want string
				status              int
			}{
				{"a long header", "GET /v1/status HTTP/1.1\r\nHost: h\r\nX: " + long + "\r\n\r\n", "the request's line and headers have more than 65536 bytes", 431},
				{"a long address", "GET /v1/kv/" + long + " HTTP/1.1\r\nHost: h\r\n\r\n", "the request's line and headers have more than 65536 bytes", 431},
				{"no HTTP", "hello\r\n\r\n", "not HTTP as it should be", 400},
				{"a bad escape", "GET /v1/kv/%zz HTTP/1.1\r\nHost: h\r\n\r\n", "in a path % is written %25", 400},
				{"a space in the path", "GET /v1/kv/a b HTTP/1.1\r\nHost: h\r\n\r\n", "a space %20", 400},
				{"no host", "GET /v1/status HTTP/1.1\r\n\r\n", "missing required Host header", 400},
				{"two hosts", "GET /v1/status HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", "not HTTP as it should be", 400},
				{"a bad header", "GET /v1/status HTTP/1.1\r\nHost: h\r\nA B: c\r\n\r\n", "invalid header name", 400},
				{"HTTP 3", "GET /v1/status HTTP/3.0\r\nHost: h\r\n\r\n", "unsupported protocol version", 505},
				{"an encoding", "PUT /v1/kv/k HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: gzip\r\n\r\n", "unsupported transfer encoding", 501},
				{"an expectation", "PUT /v1/kv/k HTTP/1.1\r\nHost: h\r\nExpect: cake\r\nContent-Length: 2\r\n\r\n{}", "expectation failed", 417},
				{"all options", "OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n", "", 404},
				{"a proxy's request", "CONNECT h:1 HTTP/1.1\r\nHost: h:1\r\n\r\n", "", 404},
			} {
				got := exchange(t, at, secure, test.request)
				if got.status != test.status {
					t.Errorf("%s: status %d %s, want %d", test.name, got.status, got.body, test.status)
				}
				checkError(t, test.name, got, test.want, api.Refused)
			}
			// An answer that looks like one of these errors stays as it is.
			disguise := "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n400 Bad Request"
			value := strings.Repeat(strings.Repeat("x", 4096-len(disguise))+disguise, 40)
			body, _ := json.Marshal(map[string]string{"key": "k", "value": value})
			put := fmt.Sprintf("POST /kvstore/put HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
			if got := exchange(t, at, secure, put); got.status != 200 {
				t.Fatalf("%d %s", got.status, got.body)
			}
			if got := exchange(t, at, secure, "GET /kvstore/get/k HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"); got.body != "k!0!"+value {
				t.Errorf("a value came back changed: %d, %d bytes of %d", got.status, len(got.body), len(value)+4)
			}
		})
	}
	if got := exchange(t, listen(t, newFake(1, 1), true), false, "GET /v1/status HTTP/1.1\r\nHost: h\r\n\r\n"); got.status != 400 {
		t.Errorf("plain HTTP to HTTPS: %d %s", got.status, got.body)
	} else {
		checkError(t, "plain HTTP to HTTPS", got, "this address serves https://", api.Refused)
	}
}

// TestErrorsNameNoPackage: in which of our packages an error came about is nothing to a client.
func TestErrorsNameNoPackage(t *testing.T) {
	f := newFake(1, 1)
	f.transfer = func(raft.NodeID) error { return &raft.InvalidTransferError{To: 9} }
	f.change = func(actors.Change) error { return actors.ErrChangeInProgress }
	at := serve(t, f, nil)
	for path, body := range map[string]string{"/v1/transfer": `{"to":9}`, "/v1/members": `{"remove":9}`} {
		got := ask(t, "POST", at+path, body)
		if strings.Contains(got.body, "raft: ") || strings.Contains(got.body, "actors: ") {
			t.Errorf("%s: %s", path, got.body)
		}
	}
}
