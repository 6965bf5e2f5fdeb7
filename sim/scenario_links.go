package sim

import (
	"time"

	"github.com/troupe-raft/troupe/raft"
)

// What the suites' network does when it is unreliable: a tenth of all messages is lost, the others take up to 26ms. There, calls over dead
// links fail after a while; here nobody is ever told that a message was lost.
var bad = Weather{Drop: 0.1, Delay: 50 * time.Microsecond, Jitter: 26 * time.Millisecond}

// setUnreliable lets it begin or end, for clerks too.
func (sc *scenario) setUnreliable(yes bool) {
	sc.unreliable = yes
	sc.net.general = fair
	if yes {
		sc.net.general = bad
	}
}

// setLongReordering makes two thirds of all replies late, by 200ms to 2.2s, smaller delays being the likelier ones.
func (sc *scenario) setLongReordering() {
	sc.intercept = func(_ Link, message any) fate {
		if isReply(message) && sc.chance(2, 3) {
			return fate(200*time.Millisecond + time.Duration(sc.rand.Int64N(1+sc.rand.Int64N(int64(2*time.Second)))))
		}
		return 0
	}
}

func (sc *scenario) connected(id raft.NodeID) bool { return !sc.offline[id] }

// connect joins a node to all others that are connected.
func (sc *scenario) connect(ids ...raft.NodeID) {
	for _, id := range ids {
		delete(sc.offline, id)
	}
	sc.rewire()
}

// disconnect cuts a node off from all others.
func (sc *scenario) disconnect(ids ...raft.NodeID) {
	for _, id := range ids {
		sc.offline[id] = true
	}
	sc.rewire()
}

// sever cuts both directions between two nodes, until join.
func (sc *scenario) sever(a, b raft.NodeID) {
	sc.severed[Link{a, b}], sc.severed[Link{b, a}] = true, true
	sc.rewire()
}

// partition cuts all links between two sets, and mends all others.
func (sc *scenario) partition(one, two []raft.NodeID) {
	clear(sc.severed)
	clear(sc.offline)
	for _, a := range one {
		for _, b := range two {
			sc.severed[Link{a, b}], sc.severed[Link{b, a}] = true, true
		}
	}
	sc.count("partition")
	sc.rewire()
}

// connectAll mends everything.
func (sc *scenario) connectAll() { sc.partition(nil, nil) }

// halves draws two sets, the first being the larger one. The second begins with the leader, if there is one and minor wants that.
func (sc *scenario) halves(minor bool) (major, minority []raft.NodeID) {
	ids := make([]raft.NodeID, len(sc.ids))
	for i, k := range sc.rand.Perm(len(ids)) {
		ids[i] = sc.ids[k]
	}
	if leader := sc.leader(); leader != nil && minor {
		for i, id := range ids {
			if id == leader.id {
				ids[0], ids[i] = ids[i], ids[0]
			}
		}
	}
	return ids[len(ids)/2:], ids[:len(ids)/2]
}

// rewire tells the network.
func (sc *scenario) rewire() {
	for _, from := range sc.ids {
		for _, to := range sc.ids {
			l := Link{from, to}
			if sc.offline[from] || sc.offline[to] || sc.severed[l] {
				sc.net.links[l] = Weather{Cut: true}
			} else {
				delete(sc.net.links, l)
			}
		}
	}
}
