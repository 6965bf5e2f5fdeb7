package sim

import (
	"slices"
	"strings"
	"time"

	"github.com/troupe-raft/troupe/actors"
	"github.com/troupe-raft/troupe/raft"
	"github.com/troupe-raft/troupe/stage"
)

// A Struck is a fault that happened, with its number.
type Struck struct {
	Number int
	Fault
}

// strike carries out one fault.
func (s *Sim) strike(number int, f Fault) {
	s.trace.note("fault %d: %v", number, f)
	s.struck = append(s.struck, Struck{number, f})
	if s.tripwire != nil {
		s.tripwire(f)
	}
	n := s.nodes[f.A]
	switch f.Kind {
	case Crash:
		s.down(n, f.For)
	case CrashAll:
		for _, id := range s.ids {
			s.down(s.nodes[id], f.For)
		}
	case Partition, OneWay, Isolate, SlowLink, NarrowLink, LateKind, Storm:
		s.disturb(f)
	case Stall, FailSync, FailWrite, FullDisk, FailFile, FailRead, FailLog:
		s.hurt(n, f)
	case Rot:
		if f.A == 0 {
			s.lurking = append(s.lurking, f)
		} else {
			s.rot(f)
		}
	case Skew:
		n.skew = func(c *stage.Node) { c.SetSkew(f.Jump, f.Rate) }
		if n.life != nil {
			n.skew(n.life.stage)
			s.count("fault skew")
		}
	case Panic, PanicText:
		victim, at, _ := strings.Cut(f.In, " at ")
		s.bombs = append(s.bombs, &bomb{node: n, victim: victim, at: at, left: f.N, amid: f.Amid, text: f.Kind == PanicText, revive: f.For + 200*time.Millisecond})
	case Guest:
		s.guest(n, f.For)
	case GiveUp:
		s.giveUp(n, f.In)
	case Foreign:
		s.outsiders(n, f.N)
	case PanicIn:
		s.trap(n, f.In)
	case GoBack:
		s.goBack(f)
	case CrashIn:
		n.disk.crashIn, n.disk.downFor = f.N, f.For
	case Pause:
		s.pause(n, f.For)
	case Suspend:
		s.standStill(n, f)
		s.pause(n, f.For)
	case StandStill:
		s.standStill(n, f)
	case Stuck:
		s.stick(n, f)
	case Hang:
		if leader := s.leader(); f.N == leads && leader != nil {
			n = leader
		}
		s.hang(n, f.In, f.For)
	case Toil:
		s.toil(n, time.Duration(f.N)*time.Microsecond, f.For)
	case RestartOnly:
		s.respawn(n)
	case Mistake:
		s.mistake(n, f.In, 1)
	case Stray:
		s.stray(n, f.In)
	default:
		s.operate(f)
	}
}

// down crashes a node and starts it again later.
func (s *Sim) down(n *node, d time.Duration) {
	if n.life == nil || n.starting {
		return
	}
	s.count("fault crash")
	n.crash()
	s.after(d, func() { s.up(n) })
}

func (s *Sim) up(n *node) {
	if n.life == nil && !n.gone {
		n.start()
	}
}

// trap lets a callback panic the next time that it is called, and sees to it that it will be.
func (s *Sim) trap(n *node, callback string) {
	l := n.life
	if l == nil || l.group == nil {
		return
	}
	l.trap = callback
	switch callback {
	case "New", "Restore": // when a state machine begins
		s.respawn(n)
	case "Snapshot", "Write":
		l.ask(&actors.TakeSnapshot{}, func(any) {})
	}
}

// reviveBroken restarts a node whose store failed.
func (s *Sim) reviveBroken(n *node) {
	if n.life != nil && n.life.group != nil && n.life.down() && !n.gone {
		s.down(n, time.Millisecond)
	}
}

// pause freezes a node for a while, like a machine that is suspended: its clock runs on, and what comes meanwhile waits.
func (s *Sim) pause(n *node, d time.Duration) {
	l := n.life
	if l == nil || n.starting {
		return
	}
	s.count("fault pause")
	l.pauses++
	l.paused++
	l.stage.Freeze()
	s.after(d, l.hold(func() {
		if l.pauses--; l.pauses == 0 {
			l.backlog = 0
			s.stage.EachWaiting(func(d stage.Delivery) {
				if d.Node == l.stage.Name() {
					l.backlog++
				}
			})
			l.stage.Thaw()
			l.hang.silentSince = s.clock.Now() // what had been sent before comes now
		}
	}))
}

// standStill stops a node's monotonic clock for a while. Its calendar goes on.
func (s *Sim) standStill(n *node, f Fault) {
	if l := n.life; l != nil && !n.starting {
		s.count("fault " + string(f.Kind))
		l.paused++
		s.after(f.For, l.hold(l.stage.StandStill()))
	}
}

// hurt lets a disk fail.
func (s *Sim) hurt(n *node, f Fault) {
	d := n.disk
	switch f.Kind {
	case Stall:
		d.stalled = s.clock.Now() + f.For
		s.count("fault stall")
		return
	case FailFile:
		d.failFile = f.N
		return
	case FailRead:
		if d.failRead = f.N; f.N > 1 { // whoever starts has more to read than others
			s.down(n, 0)
		}
	case FailLog:
		if d.failLog = f.N; f.N == 1 {
			s.down(n, 0)
		}
	case FailSync:
		d.failSync = f.N
	case FailWrite:
		d.failWrite = f.N
	case FullDisk:
		d.full = true
	}
	s.after(f.For+100*time.Millisecond, func() {
		d.failSync, d.failWrite, d.failRead, d.failLog, d.full = 0, 0, 0, 0, false
		s.reviveBroken(n)
	})
}

// rot damages what a node has stored, as soon as there is something of the kind, and may have it start from that. One disk of a run rots:
// whoever fails over it is lost for good.
func (s *Sim) rot(f Fault) {
	n := s.nodes[f.A]
	if n == nil {
		n = s.leader()
	}
	if s.rotting != 0 {
		n = s.nodes[s.rotting]
	}
	if n == nil || n.starting {
		s.after(100*time.Millisecond, func() { s.rot(f) })
		return
	}
	s.rotting = n.id
	if f.N == loaded {
		s.down(n, 0)
		f.N = 0
		s.after(f.For, func() { s.rot(f) })
		return
	}
	if n.gone {
		return
	}
	if !n.disk.rot(groupID, f.In) {
		s.after(100*time.Millisecond, func() { s.rot(f) })
		return
	}
	s.count("fault rot in " + f.In)
	if f.N == restarted {
		n.crash()
		s.up(n)
	}
}

// respawn stops the group's actor and spawns another.
func (s *Sim) respawn(n *node) {
	l := n.life
	if l == nil || l.group == nil || n.starting || l.respawning {
		return
	}
	s.count("fault restart-only")
	l.respawning, l.respawned = true, true
	l.system.Root.Stop(l.group.PID())
	s.after(20*time.Millisecond, func() { s.spawnAgain(n, l) })
}

// spawnAgain waits until the old replica has left.
func (s *Sim) spawnAgain(n *node, l *life) {
	if n.life != l {
		return
	}
	if _, there := l.host.Group(groupID); there {
		s.after(20*time.Millisecond, func() { s.spawnAgain(n, l) })
		return
	}
	l.failed, l.respawning = nil, false
	l.spawn()
}

// operate does what an operator would.
func (s *Sim) operate(f Fault) {
	to := s.nodes[f.A]
	var message any
	switch f.Kind {
	case Transfer:
		to, message = s.leader(), &actors.TransferLeadership{To: f.A}
		s.silence(to, f.A)
	case StepDown:
		to, message = s.leader(), &actors.StepDown{}
	case Snapshot:
		message = &actors.TakeSnapshot{}
	case Members:
		if to = s.leader(); to != nil {
			change := s.change(f, to.life.view.members)
			change.Force = true // whoever is alive
			message = &actors.ChangeMembers{Change: change}
		}
	case Relocate:
		if to = s.leader(); to != nil {
			message = &actors.ChangeMembers{Change: s.relocate(f, to.life.view.members)}
			if f.N == stranded {
				s.spontaneous(Fault{At: s.clock.Now(), Kind: Isolate, A: to.id, For: f.For}, 0)
			}
		}
	case Careful:
		if to = s.leader(); to != nil {
			message = &actors.ChangeMembers{Change: carefully(f, to.life.view.members)}
		}
	}
	if to == nil || to.life == nil || to.life.group == nil {
		return
	}
	to.life.ask(message, func(answer any) {
		outcome := "done"
		if r, ok := answer.(*actors.Refused); ok {
			outcome = kindOf(r.Err)
			s.unready(r.Err)
		}
		s.trace.note("%s: %s", f.Kind, outcome)
		if outcome == "done" {
			s.count("fault " + string(f.Kind))
			s.nextStep(f)
		}
	})
}

// change turns a drawn set into a change of the membership that the leader has now.
func (s *Sim) change(f Fault, now raft.Membership) actors.Change {
	var members []raft.Member
	for _, id := range f.Set {
		members = append(members, raft.Member{ID: id})
	}
	if f.N == 1 && len(members) > 1 {
		return actors.Change{Voters: members[:len(members)-1], Learners: members[len(members)-1:]}
	}
	if f.N == 2 {
		if id := f.Set[0]; now.IsVoter(id) && len(now.Voters) > 1 {
			return actors.Change{Remove: []raft.NodeID{id}}
		}
		return actors.Change{AddVoters: members[:1]}
	}
	return actors.Change{Voters: members}
}

// moment is called when somebody begins to lead, or another membership is in force at a leader: when most is in the balance.
func (s *Sim) moment(l *life) {
	if s.calm || l.group == nil {
		return
	}
	for _, f := range s.lurking {
		s.after(0, func() { s.rot(f) })
	}
	s.lurking = nil
	if *s.cfg.Hasty && s.rng.IntN(2) == 0 {
		change := s.hastyChange(l)
		s.spontaneous(change, 0)
		if *s.cfg.Ambush && s.rng.IntN(2) == 0 {
			s.spontaneous(s.strand(l, change.Set[0]), time.Duration(s.rng.ExpFloat64()*float64(50*time.Microsecond)))
		}
	}
	for *s.cfg.Ambush && s.rng.IntN(2) == 0 {
		soon := []time.Duration{200 * time.Microsecond, 5 * time.Millisecond}[s.rng.IntN(2)]
		s.spontaneous(s.ambush(l), time.Duration(s.rng.ExpFloat64()*float64(soon)))
	}
}

// bereft is called when a replica has no state: operators who do not know it have it lead, at once and when its leader has heard of it.
func (s *Sim) bereft(id raft.NodeID) {
	for _, d := range []time.Duration{0, time.Duration(s.rng.Int64N(int64(2 * heartbeats)))} {
		if !s.calm {
			s.spontaneous(Fault{At: s.clock.Now(), Kind: Transfer, A: id}, d)
		}
	}
}

// arriving is called when a node has got a piece of a snapshot, and may crash it.
func (s *Sim) arriving(id raft.NodeID) {
	if !s.calm && *s.cfg.Ambush && s.rng.IntN(8) == 0 {
		s.spontaneous(Fault{At: s.clock.Now(), Kind: Crash, A: id, For: time.Duration(s.rng.Int64N(int64(200 * time.Millisecond)))}, 0)
	}
}

// ambush draws a fault that concerns a leader: it crashes, is cut off, or keeps the smallest quorum that it needs while all others
// are on the other side.
func (s *Sim) ambush(l *life) Fault {
	kind := []FaultKind{Crash, Isolate, OneWay, Partition, Partition, Transfer}[s.rng.IntN(6)]
	f := s.cfg.fault(s.rng, s.clock.Now(), kind, s.ids)
	if f.A != 0 && s.rng.IntN(2) == 0 {
		f.A = l.node.id
	}
	if kind == Partition && s.rng.IntN(4) != 0 {
		f.Set = s.smallestQuorum(l, l.view.members)
	}
	return f
}

// strand cuts a leader off that is about to take a voter in or out: alone, or with the smallest quorum of what the membership becomes.
func (s *Sim) strand(l *life, id raft.NodeID) Fault {
	f := s.cfg.fault(s.rng, s.clock.Now(), Partition, s.ids)
	f.Set = []raft.NodeID{l.node.id}
	if s.rng.IntN(2) == 0 {
		becomes := raft.Membership{Voters: slices.DeleteFunc(slices.Clone(l.view.members.Voters), func(v raft.NodeID) bool { return v == id })}
		if !l.view.members.IsVoter(id) {
			becomes.Voters = append(becomes.Voters, id)
		}
		f.Set = s.smallestQuorum(l, becomes)
	}
	return f
}

// smallestQuorum is a leader with just as many others, drawn, as a membership asks for.
func (s *Sim) smallestQuorum(l *life, members raft.Membership) []raft.NodeID {
	set := []raft.NodeID{l.node.id}
	for _, i := range s.rng.Perm(len(s.ids)) {
		if quorum(members, func(id raft.NodeID) bool { return slices.Contains(set, id) }) {
			break
		}
		if id := s.ids[i]; id != l.node.id && members.IsVoter(id) {
			set = append(set, id)
		}
	}
	slices.Sort(set)
	return set
}

// silence is an ambush at a transfer: the old leader hears nothing of the new one, and of the others late, while it may still take itself
// for the leader.
func (s *Sim) silence(leader *node, target raft.NodeID) {
	if leader == nil || leader.id == target || !*s.cfg.Ambush || s.rng.IntN(2) == 0 {
		return
	}
	length := time.Duration(s.rng.Int64N(int64(300 * time.Millisecond)))
	soon := time.Duration(s.rng.ExpFloat64() * float64(200*time.Microsecond))
	late := s.rng.IntN(2) == 0
	for _, id := range s.ids {
		f := Fault{At: s.clock.Now(), Kind: SlowLink, A: id, B: leader.id, For: length}
		switch {
		case id == leader.id:
		case id == target:
			f.Kind = OneWay
			s.spontaneous(f, soon)
		case late:
			s.spontaneous(f, soon)
		}
	}
}

// spontaneous strikes with a fault that was in no plan. It has its number all the same, so that it can be left out.
func (s *Sim) spontaneous(f Fault, d time.Duration) {
	number := s.planned + s.sprung
	s.sprung++
	if s.cfg.spares(number) {
		return
	}
	f.At += d
	s.after(d, func() { s.strike(number, f) })
}

// hastyChange takes one voter in or out: often the one that led before, as an operator would who thinks that it is dead.
func (s *Sim) hastyChange(l *life) Fault {
	id := s.ids[s.rng.IntN(len(s.ids))]
	if s.rng.IntN(2) == 0 && s.ledBefore != 0 && s.ledBefore != l.node.id {
		id = s.ledBefore
	}
	s.ledBefore = l.node.id
	return Fault{At: s.clock.Now(), Kind: Members, N: 2, Set: []raft.NodeID{id}}
}

// leader is the node that leads the highest term, nil if none does.
func (s *Sim) leader() (best *node) {
	for _, id := range s.ids {
		n := s.nodes[id]
		if n.life != nil && n.life.group != nil && n.life.view.role == raft.Leader && (best == nil || n.life.view.term > best.life.view.term) {
			best = n
		}
	}
	return best
}
