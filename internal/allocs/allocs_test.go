package allocs

import (
	"testing"
)

var sink []byte

// A recorder is a test that only notes whether it failed.
type recorder struct {
	testing.TB
	failed bool
}

func (r *recorder) Helper()               {}
func (r *recorder) Fatalf(string, ...any) { r.failed = true }

func TestAtMost(t *testing.T) {
	for _, c := range []struct {
		name  string
		limit int
		f     func()
		fails bool
	}{
		{"nothing", 0, func() {}, false},
		{"within", 1<<20 + 8<<10, func() { sink = make([]byte, 1<<20) }, false},
		{"one too large", 1 << 19, func() { sink = make([]byte, 1<<20) }, true},
		{"many small", 1 << 19, func() {
			for range 1 << 14 {
				sink = make([]byte, 64)
			}
		}, true},
		{"garbage", 1 << 19, func() {
			for range 64 {
				sink = make([]byte, 1<<15)
			}
		}, true},
	} {
		r := &recorder{TB: t}
		AtMost(r, c.limit, c.f)
		if r.failed != c.fails {
			t.Errorf("%s: failed is %v", c.name, r.failed)
		}
	}
	once := false
	r := &recorder{TB: t}
	AtMost(r, 1<<19, func() { // somebody else's, as far as the second run can tell
		if !once {
			once, sink = true, make([]byte, 1<<20)
		}
	})
	if r.failed || !once {
		t.Errorf("failed is %v, run is %v", r.failed, once)
	}
}

func TestOf(t *testing.T) {
	if n := Of(func() { sink = make([]byte, 1<<20) }); n < 1<<20 || n > 2<<20 {
		t.Errorf("%d bytes counted for one MiB", n)
	}
}

func BenchmarkAtMost(b *testing.B) {
	for b.Loop() {
		AtMost(b, 1<<20, func() {})
	}
}
