package web

import (
	"strings"
	"testing"

	"github.com/troupe-raft/troupe/actors"
	"github.com/troupe-raft/troupe/demo/api"
	"github.com/troupe-raft/troupe/demo/kv"
	"github.com/troupe-raft/troupe/raft"
	"github.com/troupe-raft/troupe/remote"
)

// TestFieldsAreGivenOnce: of a field that is given twice nobody knows which one was meant, and so does the decoder take names that differ only in case.
func TestFieldsAreGivenOnce(t *testing.T) {
	f := newFake(1, 1)
	f.change = func(c actors.Change) error { t.Errorf("proposed %+v", c); return nil }
	f.transfer = func(to raft.NodeID) error { t.Errorf("transferred to %d", to); return nil }
	at := serve(t, f, func(c *Config) { c.Chaos = func(remote.Chaos) { t.Error("chaos was set") } })
	for _, test := range []struct{ method, path, body, want string }{
		{"PUT", "/v1/kv/k", `{"value":"a","value":"b"}`, `"value" is given twice`},
		{"PUT", "/v1/kv/k", `{"value":"a","Value":"b"}`, `"Value" is "value" given twice`},
		{"PUT", "/v1/kv/k", `{"value":"a","\u0076alue":"b"}`, `"value" is given twice`},
		{"PUT", "/v1/kv/k", `{"value":"a","extra":[{"a":{"b":"\"}\\","b":1}}]}`, `"extra[0].a.b" is given twice`},
		{"POST", "/v1/kv/k/append", ` { "value" : "\\\"" , "value" : "" } `, `"value" is given twice`},
		{"POST", "/v1/kv/k/cas", `{"expect":null,"expect":"a","value":"b"}`, `"expect" is given twice`},
		{"POST", "/kvstore/put", `{"key":"a","key":"b","value":"c"}`, `"key" is given twice`},
		{"POST", "/v1/transfer", `{"to":2,"to":1}`, `"to" is given twice`},
		{"POST", "/v1/members", `{"remove":1,"remove":2}`, `"remove" is given twice`},
		{"POST", "/v1/members", `{"remove":1,"force":false,"force":true}`, `"force" is given twice`},
		{"POST", "/v1/members", `{"add":{"id":4,"raft":"b:1","http":"b:2","ID":5}}`, `"add.ID" is "add.id" given twice`},
		{"POST", "/v1/members", `{"change":{"voters":[1,{"id":2,"raft":"b:1","http":"b:2","id":3}]}}`, `"change.voters[1].id" is given twice`},
		{"POST", "/v1/members", `{"change":{"voters":[1],"voters":[2]}}`, `"change.voters" is given twice`},
		{"POST", "/v1/members", `{"change":{"voters":[1],"voter\u017f":[2]}}`, `"change.voterſ" is "change.voters" given twice`},
		{"POST", "/v1/chaos", `{"drop":0,"drop":1}`, `"drop" is given twice`},
		{"PUT", "/v1/kv/k", `{"` + strings.Repeat("x", 500) + `":1,"` + strings.Repeat("x", 500) + `":1}`, `" is given twice`},
	} {
		got := raw(t, at, test.method, test.path, test.body)
		if got.status != 400 || len(got.body) > 300 {
			t.Errorf("%s %s: status %d %.400s", test.path, test.body, got.status, got.body)
			continue
		}
		checkError(t, test.path+" "+test.body, got, test.want, api.Refused)
	}
	if n := f.store.Len(); n != 0 {
		t.Errorf("%d keys were written", n)
	}
}

// TestFieldsOfDifferentObjects are no repetitions, nor is text that looks like fields.
func TestFieldsOfDifferentObjects(t *testing.T) {
	for _, text := range []string{
		`{}`, `{"a":{}}`, `{"a":[]}`, `{"a":{"a":{"a":1}},"b":{"a":1}}`, `{"a":[{"b":1},{"b":2},{"b":[{"b":1}]}]}`,
		`{"a":"a","b":"a"}`, `{"a":"\"a\":1,\"a\":2"}`, `{"a":"\\","b":"{\"a\":1,\"a\":2}"}`, `{"a":["a","a"],"b":[["a"],"a"]}`, ` { "a" : -1e5 , "b" : null } `,
	} {
		if _, err := object([]byte(text), nil); err != nil {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// BenchmarkLargeValue reads the largest value there is.
func BenchmarkLargeValue(b *testing.B) {
	for name, unit := range map[string]string{"plain": "v", "escapes": `\"`} {
		text := []byte(`{"value":"` + strings.Repeat(unit, kv.MaxValue) + `"}`)
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(text)))
			b.ReportAllocs()
			for b.Loop() {
				var in api.Write
				if err := decodeValue(text, &in, []string{"value"}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
