package replication

import (
	"slices"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/troupe-raft/troupe/raft"
)

// A told is what the parent was told last of how its followers are fed.
type told struct {
	followers []Fed
	at        time.Duration
}

// tell tells the parent how its followers are fed, if that has changed: at once of other followers, and of one that begins or ends to be fed by a
// snapshot, and else no more often than every Config.TellEvery. A leader at rest tells nothing.
func (s *syncer) tell(c actor.Context, now time.Duration) {
	s.news = false
	if !s.differs() {
		return
	}
	if now < s.told.at+s.cfg.TellEvery && !s.fedOtherwise() {
		s.news = true
		return
	}
	next := make([]Fed, len(s.peers))
	for i, p := range s.peers {
		next[i] = Fed{Peer: p.id, ProgressStatus: p.progress.Status()}
	}
	s.told = told{followers: next, at: now}
	c.Send(c.Parent(), &Feeding{Term: s.term, Followers: next})
}

// differs says whether anything has changed since the parent was told.
func (s *syncer) differs() bool {
	return !slices.EqualFunc(s.told.followers, s.peers, func(f Fed, p *peer) bool { return f == Fed{Peer: p.id, ProgressStatus: p.progress.Status()} })
}

// fedOtherwise says whether there are other followers, or a snapshot begins or ends.
func (s *syncer) fedOtherwise() bool {
	return !slices.EqualFunc(s.told.followers, s.peers, func(f Fed, p *peer) bool {
		return f.Peer == p.id && (f.Mode == raft.Snapshot) == (p.progress.Mode() == raft.Snapshot)
	})
}
