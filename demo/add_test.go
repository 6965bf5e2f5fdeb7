package main

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
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
	status := run([]string{"ctl", "--addr", server.URL, "--timeout", "200ms", "add", "4", "h:1", "h:2"}, &out, &err)
	if status != 1 || out.Len() > 0 || !strings.Contains(err.String(), "node 4 was added as a learner and stays one: it lacks something") {
		t.Errorf("status %d, %s%s", status, &out, &err)
	}
	// Other addresses than it has: that is no repetition.
	err.Reset()
	if status := run([]string{"ctl", "--addr", server.URL, "add", "4", "h:9", "h:2"}, &out, &err); status != 1 || !strings.Contains(err.String(), "nothing to change") {
		t.Errorf("status %d, %s%s", status, &out, &err)
	}
}
