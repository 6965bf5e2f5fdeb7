package web

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/troupe-raft/troupe/actors"
	"github.com/troupe-raft/troupe/demo/api"
	"github.com/troupe-raft/troupe/demo/kv"
	"github.com/troupe-raft/troupe/raft"
	"github.com/troupe-raft/troupe/remote"
)

const isJSON = "Content-Type: application/json"

// A step is one request with its answer.
type step struct {
	method, path, body string
	status             int
	want               string // of a success; part of the error else
}

var (
	long = strings.Repeat("k", kv.MaxKey)
	big  = `{"value":"` + strings.Repeat("v", kv.MaxValue) + `"}`
)

// steps go through every route; each builds on those before it.
var steps = []step{
	{"PUT", "/v1/kv/k", `{"value":"v"}`, 200, `{"index":1}`},
	{"GET", "/v1/kv/k", "", 200, `{"key":"k","value":"v","index":1}`},
	{"GET", "/v1/kv/k?read=linearizable", "", 200, `{"key":"k","value":"v","index":1}`},
	{"GET", "/v1/kv/k?read=lease", "", 200, `{"key":"k","value":"v","index":1}`},
	{"GET", "/v1/kv/k?read=hopeful", "", 400, "hopeful"},
	{"GET", "/v1/kv/none", "", 404, "no such key"},
	{"POST", "/v1/kv/k/append", `{"value":"<w>"}`, 200, `{"index":2,"value":"v<w>"}`},
	{"POST", "/v1/kv/k/cas", `{"expect":"v","value":"x"}`, 200, `{"index":3,"swapped":false,"value":"v<w>"}`},
	{"POST", "/v1/kv/k/cas", `{"expect":"v<w>","value":"x"}`, 200, `{"index":4,"swapped":true,"value":"x"}`},
	{"POST", "/v1/kv/new/cas", `{"expect":"","value":"x"}`, 200, `{"index":5,"swapped":false,"value":null}`},
	{"POST", "/v1/kv/new/cas", `{"expect":null,"value":"y"}`, 200, `{"index":6,"swapped":true,"value":"y"}`},
	{"GET", "/v1/kv", "", 200, `{"items":[{"key":"k","value":"x"},{"key":"new","value":"y"}],"more":false}`},
	{"GET", "/v1/kv?limit=1", "", 200, `{"items":[{"key":"k","value":"x"}],"more":true}`},
	{"GET", "/v1/kv?prefix=n&limit=1", "", 200, `{"items":[{"key":"new","value":"y"}],"more":false}`},
	{"GET", "/v1/kv?after=k", "", 200, `{"items":[{"key":"new","value":"y"}],"more":false}`},
	{"GET", "/v1/kv?prefix=zzz", "", 200, `{"items":[],"more":false}`},
	{"GET", "/v1/kv?limit=0", "", 400, "limit"},
	{"GET", "/v1/kv?limit=all", "", 400, "limit"},
	{"DELETE", "/v1/kv/k", "", 200, `{"index":7,"deleted":true}`},
	{"DELETE", "/v1/kv/k", "", 200, `{"index":8,"deleted":false}`},
	{"PUT", "/v1/kv/%D0%BA%D0%BB%D1%8E%D1%87%2F1%25", `{"value":"\u0437\ud83d\ude00\u0000"}`, 200, `{"index":9}`},
	{"GET", "/v1/kv/%D0%BA%D0%BB%D1%8E%D1%87%2F1%25", "", 200, `{"key":"ключ/1%","value":"з😀\u0000","index":9}`},
	{"PUT", "/v1/kv/%2E%2E", `{"value":"dots"}`, 200, `{"index":10}`},
	{"GET", "/v1/kv/%2E%2E", "", 200, `{"key":"..","value":"dots","index":10}`},
	{"PUT", "/v1/kv/" + long, big, 200, `{"index":11}`},
	{"POST", "/v1/kv/" + long + "/append", `{"value":"x"}`, 413, "at most"},
	{"DELETE", "/v1/kv/" + long, "", 200, `{"index":13,"deleted":true}`},
	{"PUT", "/v1/kv/" + long + "k", `{"value":"x"}`, 413, "at most"},
	{"GET", "/v1/kv/" + long + "k", "", 413, "at most"},
	{"PUT", "/v1/kv/k", big[:len(big)-2] + `v"}`, 413, "at most"},
	{"PUT", "/v1/kv/k", `{"value":"` + strings.Repeat("v", maxBody) + `"}`, 413, "at most"},
	{"POST", "/v1/members", `{"change":{"voters":[` + strings.Repeat("1,", maxOrder/2) + `1]}}`, 413, "more than 65536 bytes"},
	{"POST", "/v1/transfer", strings.Repeat(" ", maxOrder) + `{"to":2}`, 413, "more than 65536 bytes"},
	{"PUT", "/v1/kv/%FF", `{"value":"x"}`, 400, "UTF-8"},
	{"PUT", "/v1/kv/k", "{\"value\":\"\xff\"}", 400, "UTF-8"},
	{"PUT", "/v1/kv/k", `{"value":"\ud83d"}`, 400, "UTF-8"},
	{"PUT", "/v1/kv/k", `{"value":"\ude00\ud83d"}`, 400, "UTF-8"},
	{"PUT", "/v1/kv/k", `{"value":"\ud83dx\u0041"}`, 400, "UTF-8"},
	{"PUT", "/v1/kv/k", `{"value":`, 400, "JSON"},
	{"PUT", "/v1/kv/k", ``, 400, "JSON"},
	{"PUT", "/v1/kv/k", `["x"]`, 400, "object"},
	{"PUT", "/v1/kv/k", `null`, 400, "object"},
	{"PUT", "/v1/kv/k", `{}`, 400, "missing"},
	{"PUT", "/v1/kv/k", `{"value":null}`, 400, "null"},
	{"PUT", "/v1/kv/k", `{"value":7}`, 400, "number"},
	{"PUT", "/v1/kv/k", `{"Value":"x"}`, 400, "unknown field"},
	{"PUT", "/v1/kv/k", `{"value":"x","ttl":1}`, 400, "unknown field"},
	{"PUT", "/v1/kv/k", `{"value":"x"} {}`, 400, "JSON"},
	{"POST", "/v1/kv/k/cas", `{"value":"x"}`, 400, "missing"},
	{"POST", "/v1/kv/k/cas", `{"expect":3,"value":"x"}`, 400, "number"},
	{"POST", "/v1/kv/k/append", `{}`, 400, "missing"},
	{"PUT", "/v1/kv/", `{"value":"x"}`, 400, "key: empty"},
	{"GET", "/v2/kv/k", "", 404, "not found"},
	{"PATCH", "/v1/kv/k", "", 405, "not allowed"},
	{"GET", "/v1/kv/k/append", "", 405, "not allowed"},
	{"POST", "/v1/session", "", 200, `{"session":"14"}`},
	{"DELETE", "/v1/session", "", 400, "Troupe-Session"},
	{"POST", "/v1/transfer", `{"to":2}`, 200, `{"leader":2}`},
	{"POST", "/v1/transfer", `{"to":0}`, 400, "node 0"},
	{"POST", "/v1/transfer", `{}`, 400, "missing"},
	{"POST", "/v1/transfer", `{"to":-1}`, 400, "number"},
	{"POST", "/v1/members", `{"add":{"id":4,"raft":"b:1","http":"b:2","learner":true}}`, 200,
		`{"members":[{"id":1,"raft":"a:1","http":"a:2","voter":true},{"id":4,"raft":"b:1","http":"b:2","voter":false}]}`},
	{"POST", "/v1/members", `{"add":{"id":4,"raft":"b:1","http":"b"}}`, 400, "host:port"},
	{"POST", "/v1/members", `{"add":{"raft":"b:1","http":"b:2"}}`, 400, "node 0"},
	{"POST", "/v1/members", `{"add":{"id":4,"raft":"b:1","http":"b:2","vote":1}}`, 400, "vote"},
	{"POST", "/v1/members", `{"remove":3,"promote":4}`, 400, "exactly one"},
	{"POST", "/v1/members", `{}`, 400, "exactly one"},
	{"POST", "/v1/members", `{"remove":null}`, 400, "null"},
	{"POST", "/v1/members", `{"change":{"voters":[]}}`, 400, "at least one voter"},
	{"POST", "/v1/members", `{"change":{"voters":[{"id":1,"port":3}]}}`, 400, "port"},
	{"POST", "/v1/chaos", `{}`, 404, "not found"},
	{"GET", "/kvstore/get/%2E%2E", "", 200, "..!0!dots"},
	{"GET", "/kvstore/get/none", "", 200, "none!1!"},
	{"POST", "/kvstore/put", `{"key":"ключ","value":"a\nb"}`, 200, "OK"},
	{"POST", "/kvstore/append", `{"key":"ключ","value":"!c","more":[1]}`, 200, "OK"},
	{"GET", "/kvstore/get/%D0%BA%D0%BB%D1%8E%D1%87", "", 200, "ключ!2!a\nb!c"},
	{"POST", "/kvstore/put", `{"key":"` + long + `k","value":""}`, 413, "at most"},
	{"POST", "/kvstore/put", `{"key":"k","value":"v"`, 400, "JSON"},
	{"POST", "/kvstore/put", ``, 400, "JSON"},
	{"POST", "/kvstore/put", `{"key":"k","value":"\ud800"}`, 400, "UTF-8"},
	{"POST", "/kvstore/put", `{"key":"k"}`, 422, "shape"},
	{"POST", "/kvstore/append", `{"key":"k","value":null}`, 422, "shape"},
	{"POST", "/kvstore/append", `{"key":1,"value":"v"}`, 422, "shape"},
	{"POST", "/kvstore/append", `{"Key":"k","value":"v"}`, 422, "shape"},
	{"POST", "/kvstore/append", `[]`, 422, "shape"},
	{"POST", "/kvstore/append", `null`, 422, "shape"},
	{"GET", "/kvstore/put", "", 405, "not allowed"},
	{"GET", "/kvstore/get/", "", 400, "key: empty"},
	{"GET", "/kvstore/get/a/b", "", 404, "not found"},
}

// TestAnswers takes the steps on the leader and through a follower: the answers must be the same.
func TestAnswers(t *testing.T) {
	for _, through := range []string{"leader", "follower"} {
		t.Run(through, func(t *testing.T) {
			leader, _, at, via := pair(t)
			leader.transfer = func(raft.NodeID) error { return nil }
			leader.change = func(actors.Change) error { return nil }
			target := at
			if through == "follower" {
				target = via
			}
			for i, step := range steps {
				got := ask(t, step.method, target+step.path, step.body, isJSON)
				name := fmt.Sprintf("step %d: %s %.60s %.60s", i, step.method, step.path, step.body)
				if got.status != step.status {
					t.Fatalf("%s: status %d, want %d: %.200s", name, got.status, step.status, got.body)
				}
				if got.status != 200 {
					checkError(t, name, got, step.want, api.Refused)
				} else if want := step.want; strings.HasPrefix(step.path, "/kvstore") {
					if got.body != want || got.header.Get("Content-Type") != typeText {
						t.Errorf("%s: got %q of type %s, want %q", name, got.body, got.header.Get("Content-Type"), want)
					}
				} else if got.body != want+"\n" || got.header.Get("Content-Type") != typeJSON {
					t.Errorf("%s: got %s of type %s, want %s", name, got.body, got.header.Get("Content-Type"), want)
				}
			}
		})
	}
}

func checkError(t *testing.T, name string, got answer, words, outcome string) {
	t.Helper()
	var e api.Error
	if err := json.Unmarshal([]byte(got.body), &e); err != nil || got.header.Get("Content-Type") != typeJSON {
		t.Errorf("%s: %q of type %s is no JSON error", name, got.body, got.header.Get("Content-Type"))
		return
	}
	if !strings.Contains(e.Error, words) || e.Outcome != outcome {
		t.Errorf("%s: got %q, outcome %s; want %q, %s", name, e.Error, e.Outcome, words, outcome)
	}
}

func TestDurioContentType(t *testing.T) {
	_, _, at, _ := pair(t)
	for kind, want := range map[string]int{
		"": 415, "text/plain": 415, "application/x-www-form-urlencoded": 415, "application/json; charset=utf-8": 200,
		"application/vnd.api+json": 200, "text/json": 415, ";": 415,
	} {
		if got := ask(t, "POST", at+"/kvstore/put", `{"key":"k","value":"v"}`, "Content-Type: "+kind); got.status != want {
			t.Errorf("%q: status %d, want %d", kind, got.status, want)
		}
	}
	if got := ask(t, "POST", at+"/kvstore/put", `no JSON`, "Content-Type: text/plain"); got.status != 415 {
		t.Errorf("the content type is judged first: got %d", got.status)
	}
}

func TestIsLeader(t *testing.T) {
	_, _, at, via := pair(t)
	if got := ask(t, "GET", at+"/kvstore/is_leader", ""); got.body != "(Term(3), true)" {
		t.Errorf("leader: %q", got.body)
	}
	if got := ask(t, "GET", via+"/kvstore/is_leader", ""); got.body != "(Term(3), false)" {
		t.Errorf("follower: %q", got.body)
	}
}

// TestStaleIsLocal reads what a follower has, though the leader has more.
func TestStaleIsLocal(t *testing.T) {
	leader, follower, at, via := pair(t)
	ask(t, "PUT", at+"/v1/kv/k", `{"value":"new"}`)
	follower.store.Apply(kv.Command{Op: kv.Put, Key: "k", Value: []byte("old")}.Encode())
	follower.index = 7
	if got := ask(t, "GET", via+"/v1/kv/k?read=stale", ""); got.body != `{"key":"k","value":"old","index":7}`+"\n" {
		t.Errorf("stale: %s", got.body)
	}
	if got := ask(t, "GET", via+"/v1/kv?read=stale", ""); got.body != `{"items":[{"key":"k","value":"old"}],"more":false}`+"\n" {
		t.Errorf("stale list: %s", got.body)
	}
	if got := ask(t, "GET", via+"/v1/kv/k?read=lease", ""); !strings.Contains(got.body, "new") {
		t.Errorf("lease: %s", got.body)
	}
	if calls := fmt.Sprint(leader.calls); calls != "[propose lease read]" {
		t.Errorf("the leader saw %s", calls)
	}
}

// TestStaleNeedsAState: what is read without asking anybody is at least what this replica once held. One that is down, or has no state, holds nothing.
func TestStaleNeedsAState(t *testing.T) {
	for name, spoil := range map[string]func(*actors.Status){
		"starting":   func(st *actors.Status) { st.Phase = actors.Starting },
		"restarting": func(st *actors.Status) { st.Phase, st.Err = actors.Restarting, errors.New("the reason") },
		"failed":     func(st *actors.Status) { st.Phase, st.Err = actors.Failed, errors.New("the reason") },
		"left":       func(st *actors.Status) { st.Phase = actors.Left },
		"stateless":  func(st *actors.Status) { st.Trouble = &actors.StateLostError{Err: errors.New("the reason")} },
	} {
		f := newFake(2, 1)
		f.store.Apply(kv.Command{Op: kv.Put, Key: "k", Value: []byte("old")}.Encode())
		spoil(&f.status)
		f.status.Stopped = f.status.Phase != actors.Running
		at := serve(t, f, nil)
		for _, path := range []string{"/v1/kv/k?read=stale", "/v1/kv?read=stale"} {
			got := ask(t, "GET", at+path, "")
			why := f.status.Err != nil || f.status.Trouble != nil
			if got.status != 503 || strings.Contains(got.body, "old") || why && !strings.Contains(got.body, "the reason") {
				t.Errorf("%s: %s: %d, %s", name, path, got.status, got.body)
			}
			checkError(t, name, got, "", api.Refused)
		}
	}
}

func TestStatus(t *testing.T) {
	f := newFake(2, 1)
	f.index = 9
	f.status.Snapshot, f.status.Err = 4, errors.New("disk: no space left")
	f.status.Members = []actors.MemberStatus{{Member: raft.Member{ID: 1, Addr: "a:1", Tag: "a:2"}, Voter: true, Match: 8, Active: true}}
	at := serve(t, f, nil)
	want := `{"node":2,"role":"follower","term":3,"leader":1,"commit":9,"applied":9,"first":1,"last":9,"snapshot":4,` +
		`"members":[{"id":1,"raft":"a:1","http":"a:2","voter":true,"match":8,"active":true}],"error":"disk: no space left"}` + "\n"
	if got := ask(t, "GET", at+"/v1/status", ""); got.body != want {
		t.Errorf("got  %swant %s", got.body, want)
	}
	f.status.Members[0].Trouble, f.status.Phase = &actors.NoGroupError{Peer: 1, Group: 1}, actors.Restarting
	got := ask(t, "GET", at+"/v1/status", "")
	for _, want := range []string{`"active":true,"trouble":"`, `"error":"disk: no space left","phase":"restarting"}`} {
		if !strings.Contains(got.body, want) {
			t.Errorf("in a pause: %s lacks %s", got.body, want)
		}
	}
	f.status.Phase = actors.Running
	f.status.Stopped, f.status.Members, f.status.Err = true, nil, nil
	if got := ask(t, "GET", at+"/v1/status", ""); !strings.Contains(got.body, `"role":"stopped"`) || !strings.Contains(got.body, `"members":[],"error":""`) {
		t.Errorf("stopped: %s", got.body)
	}
}

func TestProbes(t *testing.T) {
	f := newFake(2, 1)
	at := serve(t, f, nil)
	check := func(path string, want int) {
		t.Helper()
		if got := ask(t, "GET", at+path, ""); got.status != want {
			t.Errorf("%s: %d, want %d", path, got.status, want)
		}
	}
	check("/healthz", 200)
	check("/readyz", 200)
	f.status.CaughtUp = false
	check("/readyz", 503)
	f.status.CaughtUp = true
	f.follow(raft.None)
	check("/readyz", 503)
	f.follow(1)
	f.status.Stopped, f.status.Err = true, errors.New("panic in Apply")
	for phase, want := range map[actors.Phase]int{actors.Starting: 200, actors.Restarting: 200, actors.Failed: 503, actors.Left: 503} {
		f.status.Phase = phase
		check("/readyz", 503)
		check("/healthz", want)
	}
	f.status.Phase = actors.Failed
	if got := ask(t, "GET", at+"/healthz", ""); !strings.Contains(got.body, "down for good: panic in Apply") {
		t.Errorf("healthz gives no reason: %s", got.body)
	}
}

func TestLog(t *testing.T) {
	at := serve(t, newFake(1, 1), nil)
	want := `{"first":2,"entries":[` +
		`{"index":2,"term":1,"kind":"command","data":"put \"k\" \"v\""},` +
		`{"index":3,"term":1,"kind":"membership","data":"voters 1 2, learners 3"},` +
		`{"index":4,"term":2,"kind":"open-session","data":""},` +
		`{"index":5,"term":2,"kind":"close-session","data":"4"},` +
		`{"index":6,"term":2,"kind":"command","data":"\"\\xff\"","data_base64":"/w=="}],"last":6}` + "\n"
	if got := ask(t, "GET", at+"/v1/log?from=2&to=99", ""); got.body != want {
		t.Errorf("got  %swant %s", got.body, want)
	}
	if got := ask(t, "GET", at+"/v1/log", ""); !strings.HasPrefix(got.body, `{"first":1,`) || !strings.HasSuffix(got.body, `"last":6}`+"\n") {
		t.Errorf("whole log: %s", got.body)
	}
	if got := ask(t, "GET", at+"/v1/log?from=5&to=4", ""); got.body != `{"first":5,"entries":[],"last":4}`+"\n" {
		t.Errorf("empty range: %s", got.body)
	}
	for _, bad := range []string{"from=-1", "to=x", "from=1.5"} {
		if got := ask(t, "GET", at+"/v1/log?"+bad, ""); got.status != 400 {
			t.Errorf("%s: %d", bad, got.status)
		}
	}
}

func TestSnapshot(t *testing.T) {
	f := newFake(2, 1)
	at := serve(t, f, nil)
	if got := ask(t, "POST", at+"/v1/snapshot", ""); got.body != `{"index":42}`+"\n" {
		t.Errorf("got %s", got.body)
	}
	f.snapshot = func() error { return errors.New("disk full") }
	got := ask(t, "POST", at+"/v1/snapshot", "")
	checkError(t, "failing snapshot", got, "disk full", api.Refused)
	if got.status != 503 {
		t.Errorf("failing snapshot: %d", got.status)
	}
}

func TestChaos(t *testing.T) {
	var set []remote.Chaos
	at := serve(t, newFake(1, 1), func(c *Config) { c.Chaos = func(c remote.Chaos) { set = append(set, c) } })
	if got := ask(t, "POST", at+"/v1/chaos", `{"drop":0.25,"delay":"20ms","block":[2,3]}`); got.body != `{"drop":0.25,"delay":"20ms","block":[2,3]}`+"\n" {
		t.Errorf("got %d %s", got.status, got.body)
	}
	if got := ask(t, "POST", at+"/v1/chaos", `{}`); got.status != 200 {
		t.Errorf("healing: %d %s", got.status, got.body)
	}
	want := remote.Chaos{Drop: 0.25, Delay: 20 * time.Millisecond, Block: []raft.NodeID{2, 3}}
	if len(set) != 2 || fmt.Sprint(set[0]) != fmt.Sprint(want) || fmt.Sprint(set[1]) != fmt.Sprint(remote.Chaos{}) {
		t.Errorf("set %v", set)
	}
	for _, bad := range []string{`{"drop":1.5}`, `{"drop":-1}`, `{"delay":"soon"}`, `{"delay":"-1s"}`, `{"delay":"2h"}`, `{"speed":1}`, `{"block":"2"}`, ``} {
		if got := ask(t, "POST", at+"/v1/chaos", bad); got.status != 400 {
			t.Errorf("%s: %d", bad, got.status)
		}
	}
}

func TestMembershipChanges(t *testing.T) {
	f := newFake(1, 1)
	var got actors.Change
	f.change = func(c actors.Change) error { got = c; return nil }
	at := serve(t, f, nil)
	for text, want := range map[string]actors.Change{
		`{"add":{"id":4,"raft":"a:1","http":"a:2"}}`:                {AddVoters: []raft.Member{{ID: 4, Addr: "a:1", Tag: "a:2"}}},
		`{"add":{"id":4,"raft":"a:1","http":"a:2","learner":true}}`: {AddLearners: []raft.Member{{ID: 4, Addr: "a:1", Tag: "a:2"}}},
		`{"remove":3}`:  {Remove: []raft.NodeID{3}},
		`{"promote":4}`: {Promote: []raft.NodeID{4}},
		`{"readmit":4}`: {Readmit: []raft.NodeID{4}},
		`{"change":{"voters":[1,{"id":2,"raft":"b:1","http":"b:2"}],"learners":[3]}}`: {
			Voters: []raft.Member{{ID: 1}, {ID: 2, Addr: "b:1", Tag: "b:2"}}, Learners: []raft.Member{{ID: 3}}},
		`{"remove":3,"force":true,"based_on":17}`:              {Remove: []raft.NodeID{3}, Force: true, BasedOn: 17},
		`{"based_on":1,"change":{"voters":[1]},"force":false}`: {Voters: []raft.Member{{ID: 1}}, BasedOn: 1},
	} {
		if res := ask(t, "POST", at+"/v1/members", text); res.status != 200 || fmt.Sprintf("%+v", got) != fmt.Sprintf("%+v", want) {
			t.Errorf("%s: %d, %+v", text, res.status, got)
		}
	}
}

// TestGuardOfAChangeIsNoneByMistake: a script that knows of no index has 0, or null, and would change whatever the members are by now.
func TestGuardOfAChangeIsNoneByMistake(t *testing.T) {
	f := newFake(1, 1)
	f.change = func(actors.Change) error { t.Error("it is carried out"); return nil }
	at := serve(t, f, nil)
	for text, field := range map[string]string{
		`{"remove":3,"based_on":0}`: "based_on", `{"remove":3,"based_on":null}`: "based_on", `{"remove":3,"force":null}`: "force",
	} {
		if got := ask(t, "POST", at+"/v1/members", text); got.status != 400 || !strings.Contains(got.body, field+":") {
			t.Errorf("%s: %d %s", text, got.status, got.body)
		}
	}
}

// TestHTTPAddressOfAnotherIsRefused: nobody is to be asked where another member answers, unless that one leaves it, or by force.
func TestHTTPAddressOfAnotherIsRefused(t *testing.T) {
	f := newFake(1, 1)
	f.change = func(actors.Change) error { return nil }
	for i, tag := range []string{"a:1", "a:2", "a:3", "a:4"} {
		f.status.Members = append(f.status.Members, actors.MemberStatus{Member: raft.Member{ID: raft.NodeID(i + 1), Addr: "r:1", Tag: tag}, Voter: true, Active: i == 1})
	}
	at := serve(t, f, nil)
	for text, want := range map[string]int{
		`{"add":{"id":5,"raft":"b:1","http":"a:1","learner":true}}`:                                       409, // this node
		`{"add":{"id":5,"raft":"b:1","http":"a:2","learner":true}}`:                                       409,
		`{"add":{"id":5,"raft":"b:1","http":"a:3","learner":true}}`:                                       200, // which is down
		`{"add":{"id":5,"raft":"b:1","http":"a:2","learner":true},"force":true}`:                          200,
		`{"address":{"id":3,"raft":"b:1","http":"a:2"}}`:                                                  409,
		`{"address":{"id":3,"raft":"b:1","http":"a:4"}}`:                                                  200,
		`{"address":{"id":2,"raft":"b:1","http":"a:1"}}`:                                                  200, // it moves while it answers: the rules refuse that
		`{"change":{"voters":[1,2,{"id":5,"raft":"b:1","http":"a:2"}]}}`:                                  409,
		`{"change":{"voters":[1,3,{"id":5,"raft":"b:1","http":"a:2"}]}}`:                                  200, // in its place
		`{"change":{"voters":[1,{"id":2,"raft":"b:2","http":"b:2"},{"id":5,"raft":"b:1","http":"a:2"}]}}`: 200,
		`{"change":{"voters":[1,{"id":6,"raft":"b:2","http":"b:2"},{"id":5,"raft":"b:1","http":"b:2"}]}}`: 400,
	} {
		if got := ask(t, "POST", at+"/v1/members", text); got.status != want || want == 409 && !strings.Contains(got.body, "where node") {
			t.Errorf("%s: %d %s, want %d", text, got.status, got.body, want)
		}
	}
}

// TestMemberAnswersWhereItIsToBeAsked: of a member that takes part, another HTTP address is refused at which it does not answer. Whoever listens there instead
// is not shown the token.
func TestMemberAnswersWhereItIsToBeAsked(t *testing.T) {
	f := newFake(1, 1)
	f.change = func(actors.Change) error { return nil }
	secret := func(c *Config) { c.Token = "secret" }
	at, two := serve(t, f, secret), serve(t, newFake(2, 1), secret)
	nobody := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if shown := fmt.Sprint(r.Header, r.URL); strings.Contains(shown, "secret") {
			t.Errorf("it was shown %s", shown)
		}
	}))
	t.Cleanup(nobody.Close)
	gone := httptest.NewServer(nil)
	gone.Close()
	host := func(s *httptest.Server) string { return strings.TrimPrefix(s.URL, "http://") }
	member := func(id raft.NodeID, http string, active bool) actors.MemberStatus {
		return actors.MemberStatus{Member: raft.Member{ID: id, Addr: "r:1", Tag: http}, Voter: true, Active: active}
	}
	f.status.Members = []actors.MemberStatus{member(1, two, false), member(2, at, true), member(3, "a:3", false)} // the first two the wrong way round
	for _, test := range []struct {
		id    int
		http  string
		force bool
		want  int
		words string
	}{
		{1, at, false, 200, ""},
		{1, host(nobody), false, 409, "is no node"},
		{2, two, false, 200, ""},
		{2, host(nobody), false, 409, "is no node"},
		{2, host(gone), false, 409, "connection refused"},
		{2, host(gone), true, 200, ""},
		{2, at, false, 200, ""},         // as it is
		{3, host(gone), false, 200, ""}, // which is down
		{3, two, false, 409, "where node 1 answers"},
	} {
		for _, form := range []string{`{"address":{"id":%d,"raft":"r:1","http":%q},"force":%t}`, `{"add":{"id":%d,"raft":"r:1","http":%q},"force":%t}`} {
			text := fmt.Sprintf(form, test.id, test.http, test.force)
			if got := ask(t, "POST", at+"/v1/members", text, "Authorization: Bearer secret"); got.status != test.want || !strings.Contains(got.body, test.words) {
				t.Errorf("%s: %d %s, want %d %s", text, got.status, got.body, test.want, test.words)
			}
		}
	}
	text := fmt.Sprintf(`{"change":{"voters":[1,{"id":2,"raft":"r:1","http":%q},3]}}`, host(gone))
	if got := ask(t, "POST", at+"/v1/members", text, "Authorization: Bearer secret"); got.status != 409 {
		t.Errorf("%s: %d %s", text, got.status, got.body)
	}
}

// TestOtherSites turns away what a browser sends for somebody else's page.
func TestOtherSites(t *testing.T) {
	at := serve(t, newFake(1, 1), nil)
	if got := ask(t, "PUT", at+"/v1/kv/k", `{"value":"v"}`, "Sec-Fetch-Site: cross-site"); got.status != 403 {
		t.Errorf("cross-site write: %d", got.status)
	}
	if got := ask(t, "GET", at+"/v1/status", "", "Sec-Fetch-Site: cross-site"); got.status != 200 {
		t.Errorf("cross-site read: %d", got.status)
	}
	if got := ask(t, "PUT", at+"/v1/kv/k", `{"value":"v"}`, "Sec-Fetch-Site: same-origin"); got.status != 200 {
		t.Errorf("own page's write: %d", got.status)
	}
}
