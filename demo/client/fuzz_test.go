package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/troupe-raft/troupe/demo/api"
	"github.com/troupe-raft/troupe/internal/allocs"
)

// canned gives every request one answer. It implements http.RoundTripper.
type canned struct {
	status int
	body   string
}

func (c canned) RoundTrip(r *http.Request) (*http.Response, error) {
	return &http.Response{
		StatusCode: c.status, Status: fmt.Sprintf("%d %s", c.status, http.StatusText(c.status)), Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: http.Header{}, Body: io.NopCloser(strings.NewReader(c.body)), Request: r, ContentLength: int64(len(c.body)),
	}, nil
}

// outputs are what the calls decode their answers into.
func outputs() []any {
	return []any{
		&api.Value{}, &api.Index{}, &api.Appended{}, &api.Swapped{}, &api.Deleted{}, &api.Session{}, &api.Status{}, &api.Log{}, &api.Membership{}, nil,
	}
}

// FuzzAnswers gives every call any answer, as a node or whatever stands between may send it. Either it is taken, and says the same when
// it is sent again as it was understood; or the error has words and an outcome, and a write that a server may have begun is never called
// refused unless the node itself said so. Memory stays in proportion to the answer.
func FuzzAnswers(f *testing.F) {
	for call := range outputs() {
		f.Add(call, 200, `{"key":"k","value":"v\ud83d","index":3,"swapped":true,"deleted":true,"session":"77"}`)
	}
	f.Add(6, 200, `{"node":1,"role":"leader","term":3,"members":[{"id":1,"raft":"h:1","voter":true},{}]}`)
	f.Add(7, 200, `{"first":1,"last":2,"entries":[`+strings.Repeat("{},", 200)+`{}]}`)
	f.Add(3, 200, `{"value":null}`)
	f.Add(0, 200, strings.Repeat(`{"value":`, 50))
	f.Add(0, 404, `{"error":"no such key","outcome":"refused","leader":18446744073709551615}`)
	f.Add(1, 504, `{"error":"who knows","outcome":"unknown"}`)
	f.Add(1, 502, `{"error":"no upstream"}`)
	f.Add(1, 502, `<html>`)
	f.Add(1, 301, ``)
	f.Add(1, 500, `{"error":"x","outcome":"maybe"}`)
	f.Add(1, 409, `{"error":"forgotten","outcome":"applied","leader":1}`)
	f.Add(1, 503, `{"error":"forgotten","outcome":"applied"}`)
	f.Fuzz(func(t *testing.T, call, status int, body string) {
		if call < 0 || call >= len(outputs()) || status < 200 || status > 999 {
			return // no call, or nothing that net/http would hand over
		}
		c, err := New(Config{Addrs: []string{"node:1"}})
		if err != nil {
			t.Fatal(err)
		}
		ask := func(status int, body string) (out any, err error) {
			c.http.Transport = canned{status, body}
			out = outputs()[call]
			return out, c.try(context.Background(), "http://node:1", request{method: "PUT", path: "/v1/kv/k", out: out}, nil, 1)
		}
		var out any
		allocs.AtMost(t, 256*len(body)+64<<10, func() { out, err = ask(status, body) })
		if err != nil {
			explained(t, err, status, body)
			return
		}
		if status != http.StatusOK {
			t.Fatalf("status %d is taken for a result", status)
		}
		if out == nil {
			return
		}
		text, err := json.Marshal(out)
		if err != nil {
			t.Fatal(err)
		}
		if again, err := ask(status, string(text)); err != nil || !reflect.DeepEqual(again, out) {
			t.Fatalf("%s was understood as %+v, and that as %+v: %v", body, out, again, err)
		}
	})
}

// explained holds an error to what a caller needs of it.
func explained(t *testing.T, err error, status int, body string) {
	t.Helper()
	var e *Error
	if !errors.As(err, &e) || e.Status != status || e.Message == "" || !utf8.ValidString(e.Message) {
		t.Fatalf("%d %q became %#v", status, body, err)
	}
	var said api.Error
	spoken := json.Unmarshal([]byte(body), &said) == nil && said.Error != ""
	switch e.Outcome {
	case api.Unknown:
	case api.Refused:
		if status == http.StatusOK || status >= 500 && !(spoken && said.Outcome == api.Refused) {
			t.Fatalf("%d %q is called refused", status, body)
		}
	case api.Applied:
		if status != http.StatusConflict || said.Outcome != api.Applied {
			t.Fatalf("%d %q is called applied", status, body)
		}
	default:
		t.Fatalf("%d %q has the outcome %q", status, body, e.Outcome)
	}
}
