package journal

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"testing"
)

// TestSpans reads parts of payloads of any size from where they are.
func TestSpans(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	c := newCodec(testStore)
	for _, size := range []int{1, sectorData - headSize, sectorData - headSize + 1, pageData - headSize, pageData, 3*pageData + 17} {
		payload := make([]byte, size)
		for i := range payload {
			payload[i] = byte(random.Uint32())
		}
		at := Position(7 * PageSize)
		raw := make([]byte, at+span(size))
		compose(c, raw[at:], at, 1, head{kind: Flight}, payload)
		for range 200 {
			from := random.IntN(size)
			length := random.IntN(size - from + 1)
			s := Within(at, from, length)
			start, n := s.Pages()
			if start%PageSize != 0 || n%PageSize != 0 || int(start)+n > len(raw) {
				t.Fatalf("of %d bytes, %d from %d: %d bytes at %d are read", size, length, from, n, start)
			}
			got, err := Extract(testStore, s, raw[start:int(start)+n], nil)
			if err != nil || !bytes.Equal(got, payload[from:from+length]) {
				t.Fatalf("of %d bytes, %d from %d: %v", size, length, from, err)
			}
		}
	}
}

// TestSpansThatAreGone: whoever reads what was overwritten meanwhile is told so, and of damage that.
func TestSpansThatAreGone(t *testing.T) {
	c := newCodec(testStore)
	at := Position(64 * PageSize)
	s := Within(at, 100, 900)
	page := func(at Position) []byte {
		raw := make([]byte, PageSize)
		compose(c, raw, at, 1, head{kind: Flight}, make([]byte, 2000))
		return raw
	}
	now, before, later := page(at), page(at-16*PageSize), page(at+16*PageSize)
	half := append(bytes.Clone(now[:SectorSize]), later[SectorSize:]...)
	rotten := bytes.Clone(now)
	rotten[SectorSize] ^= 1
	for name, test := range map[string]struct {
		raw  []byte
		want error
	}{
		"now": {now, nil}, "before": {before, ErrOverwritten}, "later": {later, ErrOverwritten}, "half": {half, ErrOverwritten},
		"rotten": {rotten, ErrDamaged}, "blank": {make([]byte, PageSize), ErrDamaged},
	} {
		if _, err := Extract(testStore, s, test.raw, nil); !errors.Is(err, test.want) {
			t.Errorf("%s: %v, want %v", name, err, test.want)
		}
	}
}
