package device

import (
	"bytes"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
)

const testSize = 3*zeroBytes + 5*Alignment

// TestFilesKeepWhatIsWritten: what was written is read back, aligned or not, by the same file and by one that is opened
// later.
func TestFilesKeepWhatIsWritten(t *testing.T) {
	path := filepath.Join(t.TempDir(), "segment")
	pauses := 0
	f, err := Create(path, testSize, func() { pauses++ })
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("direct: %t", f.Direct())
	if info, err := os.Stat(path); err != nil || info.Size() != testSize || info.Mode().Perm() != mode || pauses != 4 {
		t.Fatalf("%v, %v, %d pauses", info, err, pauses)
	}
	random := rand.New(rand.NewPCG(1, 2))
	want := make([]byte, testSize)
	for range 20 {
		at := Alignment * random.IntN(testSize/Alignment-3)
		b := Buffer(Alignment * (1 + random.IntN(3)))
		for i := range b {
			b[i] = byte(random.Uint32())
		}
		if err := f.WriteAt(b, int64(at)); err != nil {
			t.Fatal(err)
		}
		copy(want[at:], b)
	}
	if err := f.Sync(); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		for range 50 {
			at := random.IntN(testSize - 10_000)
			got := make([]byte, 1+random.IntN(10_000))
			if err := f.ReadAt(got, int64(at)); err != nil || !bytes.Equal(got, want[at:at+len(got)]) {
				t.Fatalf("%d bytes at %d: %v", len(got), at, err)
			}
		}
		if err := f.ReadAt(make([]byte, 10), testSize-5); err == nil {
			t.Error("what is beyond the end is read")
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		if f, err = Open(path, testSize); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(path, testSize+1); err == nil {
		t.Error("a file of another size is opened")
	}
	if _, err := Open(path+"?", testSize); err == nil {
		t.Error("a file that is not there is opened")
	}
}

// TestDirectWritesAreAligned: one that is not is refused before it is tried, by whatever it would fail with.
func TestDirectWritesAreAligned(t *testing.T) {
	b := Buffer(2 * Alignment)
	for name, test := range map[string]struct {
		p    []byte
		at   int64
		want bool
	}{
		"whole": {b, 0, true}, "second page": {b[Alignment:], 8 * Alignment, true}, "offset": {b, 512, false},
		"length": {b[:512], 0, false}, "buffer": {b[512 : 512+Alignment], 0, false},
	} {
		if got := aligned(test.p, test.at); got != test.want {
			t.Errorf("%s: %t", name, got)
		}
		if f := (&File{nil, true}); !test.want && f.WriteAt(test.p, test.at) == nil {
			t.Errorf("%s is written", name)
		}
	}
}
