package remote

import (
	"testing"

	"github.com/troupe-raft/troupe/raft"
)

func TestWireCarriesWhatTCPDoes(t *testing.T) {
	var w Wire
	in := []Envelope{
		{Group: 3, Message: &raft.RequestVote{Term: 7, Candidate: 2, Last: raft.EntryID{Index: 9, Term: 6}}},
		{Message: &Pulse{Beats: []Beat{{Group: 3, Heartbeat: raft.Heartbeat{Term: 7, Leader: 2, Round: 4}}}}},
	}
	frame, err := w.Encode(nil, in)
	if err != nil {
		t.Fatal(err)
	}
	out, err := w.Decode(frame)
	if err != nil || len(out) != 2 || out[0].Group != 3 || *out[0].Message.(*raft.RequestVote) != *in[0].Message.(*raft.RequestVote) {
		t.Fatalf("decoded %+v, %v", out, err)
	}
	frame[len(frame)-1] ^= 1
	if _, err := w.Decode(frame); err == nil {
		t.Fatal("a flipped bit was accepted")
	}
	if _, err := w.Decode(append(frame, 0)); err == nil {
		t.Fatal("a byte too many was accepted")
	}
}
