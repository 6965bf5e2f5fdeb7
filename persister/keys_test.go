package persister

import (
	"testing"

	"github.com/troupe-raft/troupe/raft"
)

// What is stored without a doubt or a promise is as it was before there were any.
func TestHardStates(t *testing.T) {
	key := appendKey(nil, 7, 1, hardPart)
	for h, size := range map[raft.HardState]int{
		{Term: 5, Vote: 2}: 16, {Term: 5, Doubt: true}: 17, {Term: 5, Promise: 1}: 25, {Term: 5, Vote: 1, Doubt: true, Promise: 1 << 62}: 25,
	} {
		b := encodeHard(key, h)
		if v, err := checked(key, b); err != nil || len(v) != size {
			t.Errorf("%+v is of %d bytes: %v", h, len(v), err)
		}
		if got, err := decodeHard(key, b); err != nil || got != h {
			t.Errorf("%+v, want %+v: %v", got, h, err)
		}
	}
}
