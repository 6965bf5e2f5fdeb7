package sim

import (
	"strings"

	"github.com/troupe-raft/troupe/snapshotter"
	"github.com/troupe-raft/troupe/stage"
)

// decay has the newest snapshot of a leader rot at the moment that it is to be sent, once in the calm of some runs. Nothing starts again by
// then, so that nobody fails over it: the leader has to see to another one, or the follower is never fed.
func (s *Sim) decay(d *stage.Delivery) {
	send, ok := d.Message.(*snapshotter.Send)
	if !ok || !s.calm || !s.decays || s.cfg.Quiet || len(s.neighbours) > 0 || s.rotting != 0 {
		return
	}
	n := s.nodes[send.Leader]
	var newest *inode
	n.disk.files.each(func(path string, file *inode) { // in the order of their names, hence of their indices
		if strings.HasSuffix(path, ".troupe") && len(file.data) > 0 {
			newest = file
		}
	})
	if newest == nil {
		return
	}
	s.rotting = n.id
	s.count("fault rot in " + rotFile)
	s.count("snapshot rots as it is to be sent")
	newest.bit = n.disk.rand.IntN(8 * len(newest.data))
	newest.flip()
}
