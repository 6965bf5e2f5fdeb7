package snapshotter

import (
	"github.com/asynkron/protoactor-go/actor"

	"github.com/troupe-raft/troupe/raft"
)

// unusable notes that a snapshot's file rotted, is gone, or is not given by the disk. Sending it again would feed nobody, for ever, so
// another one takes its place, at the same index when nothing was applied since.
func (s *snapshotter) unusable(c actor.Context, meta raft.SnapshotMeta, err error) {
	if meta.Index != s.newest.Index || s.foul {
		return // a newer one is there, or being taken
	}
	s.foul = true
	c.Send(c.Parent(), &Unusable{Meta: meta, Err: err})
	s.another(c)
}

// another takes a snapshot to send, unless the last attempt failed just now.
func (s *snapshotter) another(c actor.Context) {
	if s.ready && s.Stage.Clock().Now() >= s.notBefore {
		s.begin(c)
	}
}

// wants says whether the replica waits for a snapshot, and one at index will do.
func (s *snapshotter) wants(index raft.Index) bool { return s.want > 0 && index >= s.want }

// better says whether a snapshot may take the place of the newest.
func (s *snapshotter) better(meta raft.SnapshotMeta) bool {
	return meta.Index > s.newest.Index || s.foul && meta.Index == s.newest.Index
}
