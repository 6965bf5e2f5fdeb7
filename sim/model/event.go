package model

// An event is something that may happen to one server.
type event struct {
	kind kind
	arg  uint32 // hear: the message; change: the target; snapshot: 1 to keep an entry; transfer: the server; lose: what
}

type kind uint8

const (
	hear kind = iota
	losePatience
	sync
	crash
	propose
	change
	snapshot
	read
	tick
	beat
	transfer
	lose
	kinds // how many
)

func (k kind) String() string {
	return [kinds]string{"hear", "lose patience", "sync", "crash", "propose", "change", "snapshot", "read", "tick", "beat", "transfer", "lose"}[k]
}

// costOf is what an event uses up, unless it is a leader that loses patience: that looks at its quorum and begins no election.
var costOf = [kinds]cost{
	losePatience: timeouts, crash: crashes, propose: proposals, change: changes, snapshot: snapshots, read: reads,
	tick: ticks, beat: beats, transfer: transfers, lose: losses,
}

// What a disk may lose.
const (
	everything uint32 = iota
	lastEntry
	vote
)
