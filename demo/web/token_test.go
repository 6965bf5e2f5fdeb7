package web

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/troupe-raft/troupe/actors"
	"github.com/troupe-raft/troupe/raft"
	"github.com/troupe-raft/troupe/remote"
)

// free are all routes that a client may use without the token: the probes, and reads of single keys.
var free = []string{"GET /healthz", "GET /readyz", "GET /v1/kv/{key}", "GET /kvstore/get/{key}"}

// TestToken wants the token for every route but those.
func TestToken(t *testing.T) {
	f := newFake(1, 1)
	f.transfer = func(raft.NodeID) error { return nil }
	f.change = func(actors.Change) error { return nil }
	s := New(Config{Node: 1, Group: f, Store: f.store, Log: quiet(), Token: "secret", Chaos: func(remote.Chaos) {}})
	at := serve(t, f, func(c *Config) { c.Token, c.Chaos = "secret", func(remote.Chaos) {} })
	if len(s.routes) != 20 {
		t.Errorf("%d routes: %v", len(s.routes), s.routes)
	}
	for _, route := range s.routes {
		method, path, _ := strings.Cut(route, " ")
		path = strings.ReplaceAll(path, "{key}", "k")
		refused := !slices.Contains(free, route)
		for _, header := range []string{"X: ", "Authorization: Bearer", "Authorization: Bearer secret ", "Authorization: Basic secret", "Authorization: Bearer wrong!"} {
			got := ask(t, method, at+path, `{}`, header)
			if refused != (got.status == 401) && header != "Authorization: Bearer secret " {
				t.Errorf("%s with %q: %d", route, header, got.status)
			}
			if got.status == 401 && got.header.Get("WWW-Authenticate") != "Bearer" {
				t.Errorf("%s: no WWW-Authenticate", route)
			}
		}
		if got := ask(t, method, at+path, `{}`, "Authorization: bearer secret"); got.status == 401 {
			t.Errorf("%s with the token: 401", route)
		}
		if method == "GET" && refused {
			if got := ask(t, "HEAD", at+path, ""); got.status != 401 {
				t.Errorf("HEAD %s: %d", path, got.status)
			}
		}
	}
	for _, route := range free {
		if !slices.Contains(s.routes, route) {
			t.Errorf("there is no route %s", route)
		}
	}
}

// What nobody thought of needs the token, too: the rule is not made route by route.
func TestTokenForRoutesToCome(t *testing.T) {
	f := newFake(1, 1)
	s := New(Config{Node: 1, Group: f, Store: f.store, Log: quiet(), Token: "secret"})
	served := false
	s.mux.HandleFunc("GET /v2/everything", func(http.ResponseWriter, *http.Request) { served = true })
	w := httptest.NewRecorder()
	s.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), "GET", "/v2/everything", nil))
	if w.Code != http.StatusUnauthorized || served {
		t.Errorf("%d, served %t", w.Code, served)
	}
}
