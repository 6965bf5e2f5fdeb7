package web

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/troupe-raft/troupe/actors"
	"github.com/troupe-raft/troupe/demo/api"
	"github.com/troupe-raft/troupe/internal/allocs"
	"github.com/troupe-raft/troupe/raft"
	"github.com/troupe-raft/troupe/remote"
)

// FuzzRequests sends any request to a leader. It must answer with a status that the API knows, in JSON where it says so, within a
// budget of memory; and a value that it took it must give back as it was.
func FuzzRequests(f *testing.F) {
	for _, seed := range []struct{ method, target, body string }{
		{"PUT", "/v1/kv/k", `{"value":"v\u0000\ud83d\ude00"}`},
		{"PUT", "/v1/kv/k", `{"value":"\ud83d"}`},
		{"PUT", "/v1/kv/%ff", `{"value":""}`},
		{"GET", "/v1/kv/a%2Fb?read=lease", ""},
		{"GET", "/v1/kv?prefix=k&after=%00&limit=3&read=stale", ""},
		{"DELETE", "/v1/kv/k", ""},
		{"POST", "/v1/kv/k/append", `{"value":"\\u"}`},
		{"POST", "/v1/kv/k/cas", `{"expect":null,"value":"v"}`},
		{"POST", "/v1/session", ""},
		{"DELETE", "/v1/session", ""},
		{"POST", "/v1/transfer", `{"to":2}`},
		{"POST", "/v1/members", `{"add":{"id":4,"raft":"h:1","http":"h:2","learner":true}}`},
		{"POST", "/v1/members", `{"change":{"voters":[1,{"id":2,"raft":"h:1","http":"h:2"}],"learners":[3]}}`},
		{"POST", "/v1/members", `{"change":{"voters":[` + strings.Repeat("1,", 500) + `1]}}`},
		{"POST", "/v1/members", `{"promote":4,"remove":5}`},
		{"POST", "/v1/chaos", `{"drop":0.5,"delay":"10ms","block":[1,2]}`},
		{"POST", "/v1/chaos", `{"drop":1e999,"delay":"-1ns"}`},
		{"POST", "/v1/snapshot", ""},
		{"GET", "/v1/status", ""},
		{"GET", "/v1/log?from=2&to=18446744073709551615", ""},
		{"GET", "/readyz", ""},
		{"GET", "/kvstore/is_leader", ""},
		{"GET", "/kvstore/get/..", ""},
		{"POST", "/kvstore/put", `{"key":"k","value":"v","more":[[[[]]]]}`},
		{"POST", "/kvstore/append", `[1]`},
		{"BREW", "/v1//kv/../k", strings.Repeat(`{"a":`, 50)},
	} {
		f.Add(seed.method, seed.target, seed.body, "", "", "")
	}
	f.Add("PUT", "/v1/kv/k", `{"value":"v"}`, "1", "1", "5s")
	f.Add("PUT", "/v1/kv/k", `{"value":"v"}`, "18446744073709551616", "", "-1h")
	f.Fuzz(func(t *testing.T, method, target, body, session, seq, timeout string) {
		if answer, ok := request(t, method, target, body, session, seq, timeout); ok {
			known(t, answer)
		}
	})
}

// fuzzed is a leader that knows session 1.
func fuzzed() *Server {
	g := newFake(1, 1)
	g.change = func(actors.Change) error { return nil }
	g.transfer = func(raft.NodeID) error { return nil }
	g.sessions[1] = map[uint64]actors.Result{}
	return New(Config{Node: 1, Group: g, Store: g.store, Log: quiet(), Chaos: func(remote.Chaos) {}, Transport: direct{}})
}

func request(t *testing.T, method, target, body, session, seq, timeout string) (*httptest.ResponseRecorder, bool) {
	s := fuzzed()
	prepare := func(method, body string) *http.Request {
		r, err := http.NewRequest(method, "http://node"+target, strings.NewReader(body))
		if err != nil || r.URL.Host != "node" {
			return nil
		}
		r.Header.Set("Content-Type", typeJSON)
		for name, value := range map[string]string{api.HeaderSession: session, api.HeaderSeq: seq, headerTimeout: timeout} {
			if value != "" {
				r.Header.Set(name, value)
			}
		}
		return r
	}
	if prepare(method, body) == nil {
		return nil, false // nothing that net/http would hand over
	}
	var w *httptest.ResponseRecorder
	// A redirect escapes the address, as a header and as a page, so that one strange byte becomes a hundred for a moment.
	allocs.AtMost(t, 512*len(body)+128*len(target)+32*(len(session)+len(seq)+len(timeout))+64<<10, func() {
		w = httptest.NewRecorder()
		s.ServeHTTP(w, prepare(method, body))
	})
	var put api.Write
	if method != http.MethodPut || w.Code != http.StatusOK || json.Unmarshal([]byte(body), &put) != nil {
		return w, true
	}
	read := httptest.NewRecorder()
	s.ServeHTTP(read, prepare(http.MethodGet, ""))
	var got api.Value
	if err := json.Unmarshal(read.Body.Bytes(), &got); read.Code != http.StatusOK || err != nil || got.Value != put.Value {
		t.Fatalf("%q was put as %q and came back as %d %q", put.Value, body, read.Code, read.Body)
	}
	return w, true
}

// known checks the form of an answer.
func known(t *testing.T, w *httptest.ResponseRecorder) {
	t.Helper()
	switch w.Code {
	case 200, 400, 403, 404, 405, 409, 413, 415, 422:
	default:
		t.Fatalf("status %d %q", w.Code, w.Body)
	}
	if w.Header().Get("Content-Type") == typeJSON && !json.Valid(w.Body.Bytes()) {
		t.Fatalf("answered %q, which is not JSON", w.Body)
	}
	if w.Code >= 400 {
		var e api.Error
		if err := json.Unmarshal(w.Body.Bytes(), &e); err != nil || e.Error == "" || e.Outcome != api.Refused {
			t.Fatalf("refused with %d %q: %v", w.Code, w.Body, err)
		}
	}
}
