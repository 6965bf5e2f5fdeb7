package actors

import (
	"sync"
	"time"

	"github.com/troupe-raft/troupe/raft"
	"github.com/troupe-raft/troupe/remote"
)

// Mismatches paces what a host says of messages that nobody here can use. Groups start one after the other, so that a group is missed only once a
// message for it came some time after the first, and it has not begun meanwhile. Transports deliver on goroutines of their own.
type mismatches struct {
	interval time.Duration
	limit    int

	mu   sync.Mutex
	seen map[mismatchKey]*mismatch
}

type mismatchKey struct {
	from  raft.NodeID
	group raft.GroupID
}

type mismatch struct {
	since, last, told time.Duration // of messages from there; told: when the sender was told last
	answered, logged  bool
}

// note counts a message and returns what is known of its like; nil: there are too many kinds of them.
func (m *mismatches) note(key mismatchKey, now time.Duration) *mismatch {
	x := m.seen[key]
	if x == nil {
		if len(m.seen) >= m.limit {
			m.forget(func(_ mismatchKey, x *mismatch) bool { return now-x.last > m.interval })
		}
		if len(m.seen) >= m.limit {
			return nil
		}
		x = &mismatch{since: now}
		if m.seen == nil {
			m.seen = map[mismatchKey]*mismatch{}
		}
		m.seen[key] = x
	}
	x.last = now
	return x
}

// due reports whether to answer a message now.
func (m *mismatches) due(key mismatchKey, now time.Duration) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	x := m.note(key, now)
	return x != nil && x.tell(now, m.interval)
}

func (x *mismatch) tell(now, interval time.Duration) bool {
	if x.answered && now-x.told < interval {
		return false
	}
	x.answered, x.told = true, now
	return true
}

// missed reports whether to answer a message for a group that does not run here, and whether to log it.
func (m *mismatches) missed(key mismatchKey, now time.Duration) (answer, log bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	x := m.note(key, now)
	if x == nil || now-x.since < m.interval {
		return false, false
	}
	log = !x.logged
	x.logged = true
	return x.tell(now, m.interval), log
}

// forget drops what matches.
func (m *mismatches) forget(matches func(mismatchKey, *mismatch) bool) {
	for key, x := range m.seen {
		if matches(key, x) {
			delete(m.seen, key)
		}
	}
}

// began forgets a group that runs now.
func (m *mismatches) began(group raft.GroupID) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.forget(func(key mismatchKey, _ *mismatch) bool { return key.group == group })
}

// missed follows a message for a group that takes none here. One that starts, has crashed or has failed says so itself.
func (h *Host) missed(from raft.NodeID, group raft.GroupID) {
	if _, runs := h.groups.Load(group); runs || group == 0 || h.stopping.Load() {
		return
	}
	answer, log := h.mismatches.missed(mismatchKey{from, group}, h.stage.Clock().Now())
	if log {
		h.logger("raft").Warn("a node sends messages of a group that does not run here: start the group, or take this node out of its members",
			"group", uint64(group), "peer", uint64(from), "node", uint64(h.cfg.Node))
	}
	if answer {
		h.tell(from, group, &remote.Mismatch{Kind: remote.NoGroup})
	}
}

func (h *Host) tell(to raft.NodeID, group raft.GroupID, m any) {
	if pid := h.transport.Sender(to); pid != nil {
		h.system.Root.Send(pid, &remote.Post{Envelope: remote.Envelope{Group: group, Message: m}})
	}
}
