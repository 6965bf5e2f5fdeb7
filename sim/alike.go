package sim

import "github.com/troupe-raft/troupe/actors"

// alike compares what all members are in the end, when each has applied everything: their maps at once, and their sessions by the
// snapshots that all take of the same index, which must be equal to the byte.
func (s *Sim) alike() {
	ids, _ := s.members()
	open := 0
	for _, id := range ids {
		l := s.nodes[id].life
		content, err := l.machine.imprint()
		if err != nil {
			s.check.fail("the same commands make the same state", "node %d: %v", id, err)
			return
		}
		s.check.content(id, l.machine.index, content)
		open++
		l.ask(&actors.TakeSnapshot{}, func(any) { open-- })
	}
	s.demand(finishWithin, "every snapshot is answered", func() bool { return open == 0 })
	stored := s.clock.Now() + handful
	s.until(func() bool { return s.clock.Now() > stored })
}

// imprint hashes the map as a snapshot would write it.
func (m *machine) imprint() (uint64, error) {
	write, err := m.kv.Snapshot()
	if err != nil {
		return 0, err
	}
	p := newImprint(nil)
	err = write(p)
	return p.sum, err
}
