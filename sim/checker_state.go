package sim

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/vmihailenco/msgpack/v5"

	"github.com/troupe-raft/troupe/persister"
	"github.com/troupe-raft/troupe/raft"
	"github.com/troupe-raft/troupe/snapshotter"
)

// states is what every replica's state must be: the map, the sessions and the files that hold them.
type states struct {
	executed   []raft.Index          // the commands that reached a state machine, ascending
	kv         map[raft.Index]uint64 // the map after each of them that a snapshot was taken at
	files      map[raft.Index]uint64 // whole snapshot files, of which every byte follows from the log
	sessions   map[request]raft.Index
	passedOver map[request]string // those that never happen, and what their clients were told
}

// A request is a session's command, which happens once however often it is in the log.
type request struct{ session, seq uint64 }

func newStates() states {
	return states{kv: map[raft.Index]uint64{}, files: map[raft.Index]uint64{}, sessions: map[request]raft.Index{}, passedOver: map[request]string{}}
}

// lastCommand is the last executed command through i.
func (t *states) lastCommand(i raft.Index) raft.Index {
	k, found := slices.BinarySearch(t.executed, i)
	if found {
		return i
	}
	if k == 0 {
		return 0
	}
	return t.executed[k-1]
}

// executes notes a command that a state machine is given. Under a session each happens once.
func (c *checker) executes(node raft.NodeID, i raft.Index) {
	t := &c.states
	if n := len(t.executed); n == 0 || t.executed[n-1] < i {
		t.executed = append(t.executed, i)
	}
	if i > raft.Index(len(c.log)) || c.log[i-1].session == 0 {
		return
	}
	r := request{c.log[i-1].session, c.log[i-1].seq}
	if had, ok := t.sessions[r]; ok && had != i {
		c.fail("a session's command happens once", "node %d executes command %d of session %d at %d, it happened at %d", node, r.seq, r.session, i, had)
	}
	t.sessions[r] = i
	if said, ok := t.passedOver[r]; ok {
		c.fail("a refused write never happens", "write %d of session %d is executed at %d; its client was told %q", r.seq, r.session, i, said)
	}
}

// reads: a read sees all that was committed when it was asked (§8), and its replica has applied it.
func (c *checker) reads(l *life, point, committed raft.Index) {
	switch want := c.states.lastCommand(point); {
	case point < committed:
		c.fail("reads see what was committed before", "node %d reads at %d, %d was committed when it was asked", l.node.id, point, committed)
	case l.machine.index < want:
		c.fail("reads wait for the state", "node %d answers a read at %d, it has applied %d of the commands through %d", l.node.id, point, l.machine.index, want)
	}
}

// An imprint hashes what is written to or read through it.
type imprint struct {
	in  io.Reader
	sum uint64
}

func newImprint(in io.Reader) *imprint { return &imprint{in: in, sum: hashOf(nil)} }

func (p *imprint) Write(b []byte) (int, error) {
	for _, c := range b {
		p.sum = (p.sum ^ uint64(c)) * 1099511628211
	}
	return len(b), nil
}

func (p *imprint) Read(b []byte) (int, error) {
	n, err := p.in.Read(b)
	_, _ = p.Write(b[:n])
	return n, err
}

// content compares a map with the one that a snapshot held at the same command.
func (c *checker) content(node raft.NodeID, i raft.Index, sum uint64) {
	if want, ok := c.states.kv[i]; ok && want != sum {
		c.fail("the same commands make the same state", "node %d has another map after entry %d than was captured there before", node, i)
	}
	c.states.kv[i] = sum
}

// history compares what a snapshot is said to be of with what was committed.
func (c *checker) history(node raft.NodeID, meta *raft.SnapshotMeta) bool {
	i := meta.Index
	switch {
	case i == 0 || i > raft.Index(len(c.log)):
		c.fail("snapshots are of committed entries", "node %d has one at %d, committed is %d", node, i, len(c.log))
	case meta.Term != c.log[i-1].term:
		c.fail("snapshots are of committed entries", "node %d has one at %d of term %d, the entry is of term %d", node, i, meta.Term, c.log[i-1].term)
	case !meta.Membership.Equal(*c.log[i-1].members):
		c.fail("snapshots carry the membership of their index", "node %d has one at %d with %v, in force is %v", node, i, meta.Membership, *c.log[i-1].members)
	default:
		return true
	}
	return false
}

// snapshots looks at an op that lets a snapshot stand for a part of the log.
func (c *checker) snapshots(node raft.NodeID, m *image, o *persister.Op) {
	for _, meta := range [...]*raft.SnapshotMeta{o.Reset, o.Compact} {
		if meta != nil && c.history(node, meta) && meta.Index > m.snapshot.Index {
			c.filed(node, meta)
		}
	}
	if o.Found != nil && !o.Found.Equal(c.memberships(c.sim.nodes[node], 0)) {
		c.fail("membership follows the log", "node %d is founded with %v", node, *o.Found)
	}
}

// filed: before a snapshot stands for a part of the log, its file survives any crash and holds what the log makes of its index.
func (c *checker) filed(node raft.NodeID, meta *raft.SnapshotMeta) {
	d := c.sim.nodes[node].disk
	raw, err := readFile(d.files.synced(), d.snapshotPath(meta.Index, meta.Term))
	if err != nil {
		c.fail("snapshots are durable before the log goes", "node %d, at %d: %v", node, meta.Index, err)
		return
	}
	sum := hashOf(raw)
	want, ok := c.states.files[meta.Index]
	switch {
	case !ok:
		c.states.files[meta.Index] = sum
		if err := c.payload(meta, raw); err != nil {
			c.fail("a snapshot equals the log it replaces", "node %d, at %d: %v", node, meta.Index, err)
		}
	case want != sum:
		c.fail("a snapshot equals the log it replaces", "node %d has another snapshot at %d than was taken there before", node, meta.Index)
	default:
		c.sim.count("snapshots compared")
	}
}

// arrived: a snapshot at i or later survives any crash of the node.
func (c *checker) arrived(node raft.NodeID, i raft.Index) {
	d := c.sim.nodes[node].disk
	ids, err := snapshotter.List(d.files.synced(), d.life.SnapshotDir(groupID))
	if n := len(ids); err != nil || n == 0 || ids[n-1].Index < i {
		c.fail("snapshots are durable before they are acknowledged", "node %d acknowledges one at %d, it has %v (%v)", node, i, ids, err)
	}
}

func (d *disk) snapshotPath(i raft.Index, t raft.Term) string {
	return fmt.Sprintf("%s/snap-%020d-%020d.troupe", d.life.SnapshotDir(groupID), i, t)
}

func readFile(fs vfs.FS, path string) ([]byte, error) {
	f, err := fs.Open(path)
	if err != nil {
		return nil, err
	}
	raw, err := io.ReadAll(f)
	return raw, errors.Join(err, f.Close())
}

// Of a snapshot file: its first bytes, and those before each piece.
const (
	fileMagic = 8
	pieceHead = 8
)

var errCut = errors.New("the file ends early")

// payload compares what a file holds with what was applied: after the table of sessions comes the machine's head, then its map.
func (c *checker) payload(meta *raft.SnapshotMeta, raw []byte) error {
	var state []byte
	raw = raw[min(fileMagic, len(raw)):]
	for header := true; ; header = false {
		if len(raw) < pieceHead {
			return errCut
		}
		size := int(binary.BigEndian.Uint32(raw))
		if raw = raw[pieceHead:]; size > len(raw) {
			return errCut
		}
		if size == 0 {
			break
		}
		if !header {
			state = append(state, raw[:size]...)
		}
		raw = raw[size:]
	}
	table, state, err := afterSessions(state)
	if err != nil {
		return err
	}
	if limit := cmp.Or(c.sim.group().MaxSessionBytes, usualSessionBytes); table.bytes > limit && table.sessions > 1 {
		return fmt.Errorf("its %d sessions count %d bytes, the limit is %d", table.sessions, table.bytes, limit)
	}
	if len(state) < machineHead {
		return errCut
	}
	i, chain := readHead(state)
	if want := c.states.lastCommand(meta.Index); i != want || chain != c.chains[i].chain {
		return fmt.Errorf("it holds the state of entry %d, the last command through it is %d", i, want)
	}
	if want, ok := c.states.kv[i]; !ok || want != hashOf(state[machineHead:]) {
		return fmt.Errorf("it holds another map than entry %d made", i)
	}
	return nil
}

// A tableSize is what a table of sessions counts for GroupConfig.MaxSessionBytes.
type tableSize struct{ sessions, bytes int }

const usualSessionBytes = 256 << 20 // of GroupConfig

// afterSessions skips the table of sessions: a mark, an array whose last value counts sessions, and for each an array whose last value counts
// its answers, which follow, each an index and bytes.
func afterSessions(state []byte) (size tableSize, _ []byte, err error) {
	const mark = 8
	src := bytes.NewReader(state[min(mark, len(state)):])
	in := msgpack.NewDecoder(src)
	counted := func() (n int, err error) {
		fields, err := in.DecodeArrayLen()
		for ; err == nil && fields > 0; fields-- {
			n, err = in.DecodeInt()
		}
		return n, err
	}
	sessions, err := counted()
	for ; err == nil && size.sessions < sessions; size.sessions++ {
		size.bytes += 256
		answers := 0
		for answers, err = counted(); err == nil && answers > 0; answers-- {
			var pair []any
			if pair, err = in.DecodeSlice(); err == nil && len(pair) == 2 {
				result, _ := pair[1].([]byte)
				size.bytes += 64 + len(result)
			}
		}
	}
	return size, state[len(state)-src.Len():], err
}
