package actors

import (
	"maps"
	"slices"

	"github.com/troupe-raft/troupe/raft"
)

// makeRoom forgets a stranger when as many are remembered as may be: anybody may call in any node's name. Who is connected and not remembered has
// to greet anew, for it may become a member. The caller holds the lock.
func (g *guard) makeRoom(members map[raft.NodeID]bool) {
	var strangers []raft.NodeID
	for id, a := range g.met {
		if a.Stranger && !members[id] {
			strangers = append(strangers, id)
		}
	}
	if len(strangers) == 0 || len(strangers) < g.host.cfg.Tuning.Acquaintances {
		return
	}
	slices.Sort(strangers)
	gone := strangers[g.forgot%uint64(len(strangers))]
	g.forgot++
	_ = g.remember(gone, raft.Acquaintance{}) // the store's failure, which says so itself
	delete(g.judging, gone)
	delete(g.renewed, gone)
	for _, id := range slices.Sorted(maps.Keys(g.entered)) {
		if !g.met[id].Known() {
			delete(g.entered, id)
			g.hangUp(id, ErrForgotten)
		}
	}
}
