package actors

import (
	"context"
	"errors"
	"time"

	"github.com/troupe-raft/troupe/raft"
)

// AddVoter adds a member the way that keeps the group able to go on: as a learner, which is given a vote once it has caught up (thesis
// §4.2.1). A member that is a learner already is promoted. It returns the final membership once that is committed. Errors are those of
// ChangeMembers; when the context ends first the member stays a learner, and the error says what is missing. Call it on the leader.
func (g *Group) AddVoter(ctx context.Context, m raft.Member) (raft.Membership, error) {
	now, err := g.ChangeMembers(ctx, Change{AddLearners: []raft.Member{m}})
	if invalid := (*raft.InvalidChangeError)(nil); err != nil && !(errors.As(err, &invalid) && g.learns(m.ID)) {
		return now, err
	}
	poll := time.NewTicker(g.host.cfg.HeartbeatInterval)
	defer poll.Stop()
	for {
		now, err = g.ChangeMembers(ctx, Change{Promote: []raft.NodeID{m.ID}})
		if unsafe := (*raft.UnsafeChangeError)(nil); !errors.As(err, &unsafe) {
			return now, err
		}
		select {
		case <-poll.C:
		case <-ctx.Done():
			return now, errors.Join(ctx.Err(), err)
		}
	}
}

func (g *Group) learns(id raft.NodeID) bool {
	for _, m := range g.Status().Members {
		if m.ID == id {
			return !m.Voter
		}
	}
	return false
}
