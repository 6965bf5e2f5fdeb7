package actors

// noteRemoval says, once, that the group goes on without this node, and that it takes part again.
func (r *replica) noteRemoval() {
	at := r.node.Removed()
	if at == r.removed {
		return
	}
	was := r.removed
	r.removed = at
	switch {
	case at > 0 && was == 0:
		r.log.Warn("this node was taken out of the group, which goes on without it: it rests; stop it, or add it again", "index", at)
	case at == 0:
		r.log.Info("this node hears of the group again")
	}
}
