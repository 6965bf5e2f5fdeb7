package main

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
)

// A joining is a node of a cluster that node 4 joins, whose words are made up. Every look at its status finds the learner a step further.
type joining struct {
	match, last uint64 // the learner stands still at last
	learner     bool   // it has been added
	asked       []string
}

func (j *joining) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	ask := strings.TrimSpace(r.Method + " " + r.URL.Path + " " + string(body))
	if ask == "GET /v1/status" {
		j.match = min(j.match+2, j.last)
		_, _ = fmt.Fprintf(w, `{"node":1,"role":"leader","leader":1,"commit":6,"last":6,"members":[{"id":1,"voter":true,"match":6},`+
			`{"id":4,"raft":"h:1","http":"h:2","voter":false,"match":%d}]}`, j.match)
		return
	}
	j.asked = append(j.asked, ask)
	switch {
	case strings.Contains(ask, "promote") && j.match < 6:
		w.WriteHeader(http.StatusConflict)
		_, _ = io.WriteString(w, `{"error":"it lacks something","outcome":"refused","leader":1}`)
	case strings.Contains(ask, "promote"):
		_, _ = io.WriteString(w, `{"members":[{"id":1,"voter":true},{"id":4,"voter":true}]}`)
	case j.learner:
		w.WriteHeader(http.StatusBadRequest)
		_, _ = io.WriteString(w, `{"error":"nothing to change","outcome":"refused","leader":1}`)
	default:
		j.learner = true
		_, _ = io.WriteString(w, `{"members":[{"id":1,"voter":true},{"id":4,"voter":false}]}`)
	}
}

// TestCtlAdds wants a learner, then one promotion, once the learner has all that is committed; also when it is one already.
func TestCtlAdds(t *testing.T) {
	for _, already := range []bool{false, true} {
		j := &joining{last: 6, learner: already}
		server := httptest.NewServer(j)
		var out, err bytes.Buffer
		status := run([]string{"ctl", "--addr", server.URL, "add", "4", "h:1", "http://h:2"}, &out, &err)
		server.Close()
		if status != 0 || out.String() != "voters 1 4\n" || err.Len() > 0 {
			t.Errorf("status %d, %s%s", status, &out, &err)
		}
		want := `[POST /v1/members {"add":{"id":4,"raft":"h:1","http":"h:2","learner":true}} POST /v1/members {"promote":4}]`
		if fmt.Sprint(j.asked) != want {
			t.Errorf("asked %v, want %s", j.asked, want)
		}
	}
}

// TestCtlAddGivesUp wants the node left a learner, and told, when it makes no progress.
func TestCtlAddGivesUp(t *testing.T) {
	j := &joining{last: 4}
	server := httptest.NewServer(j)
	defer server.Close()
	var out, err bytes.Buffer
	status := run([]string{"ctl", "--addr", server.URL, "--timeout", "1s", "add", "4", "h:1", "h:2"}, &out, &err)
	if status != 1 || out.Len() > 0 || !strings.Contains(err.String(), "node 4 was added as a learner and stays one: it lacks something") {
		t.Errorf("status %d, %s%s", status, &out, &err)
	}
	// Other addresses than it has: that is no repetition.
	err.Reset()
	if status := run([]string{"ctl", "--addr", server.URL, "add", "4", "h:9", "h:2"}, &out, &err); status != 1 || !strings.Contains(err.String(), "nothing to change") {
		t.Errorf("status %d, %s%s", status, &out, &err)
	}
}

// TestCtlAddKeepsItsTime: once the time is up nothing more is asked, and a node that has become a learner is said to be one.
func TestCtlAddKeepsItsTime(t *testing.T) {
	for _, test := range []struct {
		hangs string // the method of the requests that are never answered
		want  string // what was asked
		says  string
	}{
		{"POST", "[POST /v1/members]", "it may or may not have taken effect"},
		{"GET", "[POST /v1/members GET /v1/status]", "node 4 was added as a learner and stays one: no node answers: "},
	} {
		j := &joining{last: 6}
		var mu sync.Mutex
		var asked []string
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			mu.Lock()
			asked = append(asked, r.Method+" "+r.URL.Path)
			mu.Unlock()
			if r.Method != test.hangs {
				j.ServeHTTP(w, r)
				return
			}
			_, _ = io.Copy(io.Discard, r.Body) // the end of a connection is noticed behind it
			<-r.Context().Done()
		}))
		var out, err bytes.Buffer
		status := run([]string{"ctl", "--addr", server.URL, "--timeout", "1s", "add", "4", "h:1", "h:2"}, &out, &err)
		server.Close()
		if status != 1 || fmt.Sprint(asked) != test.want || !strings.Contains(err.String(), test.says) {
			t.Errorf("%s hangs: status %d, %s asked %v", test.hangs, status, &err, asked)
		}
	}
}
