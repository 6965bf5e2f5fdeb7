package web

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"net/url"
	"strings"

	"github.com/troupe-raft/troupe/demo/api"
	"github.com/troupe-raft/troupe/demo/kv"
	"github.com/troupe-raft/troupe/raft"
)

// The routes of durio, ruaft's demo, answered byte for byte.
func (s *Server) durioRoutes() {
	s.guarded("GET /kvstore/is_leader", s.isLeader)
	s.open("GET /kvstore/get/{key}", s.durioGet)
	s.guarded("POST /kvstore/put", func(r *http.Request) reply { return s.durioWrite(r, kv.Put) })
	s.guarded("POST /kvstore/append", func(r *http.Request) reply { return s.durioWrite(r, kv.Append) })
}

func plain(format string, args ...any) reply {
	return reply{status: http.StatusOK, contentType: typeText, body: fmt.Appendf(nil, format, args...)}
}

func (s *Server) isLeader(*http.Request) reply {
	status := s.Group.Status()
	return plain("(Term(%d), %t)", status.Term, status.Role == raft.Leader && !status.Stopped)
}

// durioGet is a linearizable read. The number in its answer is this node's, so the leader is asked for the value only.
func (s *Server) durioGet(r *http.Request) reply {
	key, err := pathKey(r)
	if err != nil {
		return s.refusal(err)
	}
	c := s.request(r, nil, func(ctx context.Context) (any, error) {
		if _, err := s.Group.Read(ctx); err != nil {
			return nil, err
		}
		return s.value(ctx, key, 0)
	}).reads()
	c.path = "/v1/kv/" + pathSegment(key)
	out := s.lead(c)
	var found api.Value
	switch {
	case out.status == http.StatusOK:
		if err := json.Unmarshal(out.body, &found); err != nil {
			return s.refusal(&fault{status: http.StatusServiceUnavailable, words: "the leader's answer is no JSON"})
		}
	case out.status != http.StatusNotFound:
		return out
	}
	return plain("%s!%d!%s", key, s.gets.Add(1)-1, found.Value)
}

// pathSegment escapes a key so that it stays one segment of a path: the dots too, when there is nothing else.
func pathSegment(key string) string {
	if key == "." || key == ".." {
		return strings.ReplaceAll(key, ".", "%2E")
	}
	return url.PathEscape(key)
}

func (s *Server) durioWrite(r *http.Request, op kv.Op) reply {
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || kind != typeJSON && !(strings.HasPrefix(kind, "application/") && strings.HasSuffix(kind, "+json")) {
		return s.refusal(&fault{status: http.StatusUnsupportedMediaType, words: "expected request with `Content-Type: application/json`"})
	}
	text, err := body(r, maxBody)
	if err != nil {
		return s.refusal(err)
	}
	var key, value string
	err = s.parse(r, text, func() (err error) {
		key, value, err = durioBody(text)
		return err
	})
	if err != nil {
		return s.refusal(err)
	}
	return s.propose(r, text, kv.Command{Op: op, Key: key, Value: []byte(value)}, func(raft.Index, kv.Result) any {
		return plain("OK")
	})
}

// durioBody reads {"key":"k","value":"v"}; other fields are ignored. Not JSON is 400, JSON of another shape 422.
func durioBody(text []byte) (key, value string, err error) {
	wrong := &fault{status: http.StatusUnprocessableEntity, words: "the body is not of the shape {\"key\":\"k\",\"value\":\"v\"}"}
	fields, err := object(text, []string{"key", "value"})
	var f *fault
	switch {
	case errors.As(err, &f) && f.shape:
		return "", "", wrong
	case err != nil:
		return "", "", err
	}
	for name, into := range map[string]*string{"key": &key, "value": &value} {
		if isNull(fields[name]) || json.Unmarshal(fields[name], into) != nil {
			return "", "", wrong
		}
	}
	return key, value, nil
}
