package actors

import "testing"

// A replica that has crashed and starts again forgets how many doubts have ended: what was said to the one before must not be meant for it.
func TestEachStartOfAReplicaHasALifeOfItsOwn(t *testing.T) {
	h := &Host{life: 7}
	first := h.raftConfig(&GroupConfig{}).Life
	if next := h.raftConfig(&GroupConfig{}).Life; next < first+1<<16 {
		t.Errorf("%d follows %d, which may have had as many doubts", next, first)
	}
}
