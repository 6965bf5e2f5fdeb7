package persister

import (
	"cmp"
	"crypto/rand"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"slices"
	"sync"

	"github.com/cockroachdb/errors/oserror"

	"github.com/troupe-raft/troupe/raft"
)

// The file with what the store knows of other nodes: one line of JSON with its checksum, as IDENTITY.
const (
	peersName = "PEERS"
	peersTemp = "PEERS.tmp"
)

// A lineage is which start on this folder the present one is, and which starts of others it has met.
type lineage struct {
	mu    sync.Mutex
	self  raft.Incarnation
	spoke bool // self is on the disk
	peers map[raft.NodeID]raft.Acquaintance
}

// acquainted is a raft.Acquaintance in PEERS. One that says nothing is as good as none.
type acquainted struct {
	Node       raft.NodeID `json:"node"`
	Store      uint64      `json:"store"`
	Start      uint64      `json:"start"`
	Nonce      uint64      `json:"nonce"`
	Forked     bool        `json:"forked,omitempty"`
	Readmitted bool        `json:"readmitted,omitempty"`
	Stranger   bool        `json:"stranger,omitempty"`
	LetIn      []uint64    `json:"let_in,omitempty"`
	// Before, in the first of them, is the checksum of the PEERS that this one took the place of; 0: there was none.
	Before uint32 `json:"before,omitempty"`
}

// drawn is a random number that nobody else has drawn; never 0.
func drawn() uint64 {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails
	return max(binary.BigEndian.Uint64(b[:]), 1)
}

// peersSum is the checksum of PEERS by which IDENTITY knows it; never 0.
func peersSum(line []byte) uint32 { return max(crc32.Checksum(line, castagnoli), 1) }

// begin reads PEERS and decides which start this is. A folder of a release without incarnations gets its store now. PEERS must be the one that
// IDENTITY names, or the next one, of which a crash kept IDENTITY from hearing. Releases that do not name it write IDENTITY anew with each
// opening, before they write PEERS: then none is named, and what is there is taken as it is.
func (l *lineage) begin(h *home) error {
	l.self = raft.Incarnation{Store: cmp.Or(h.id.Store, drawn()), Start: h.id.Start + 1, Nonce: drawn()}
	l.peers = map[raft.NodeID]raft.Acquaintance{}
	path := h.path(peersName)
	b, err := readFile(h.fs, path)
	switch {
	case oserror.IsNotExist(err) && h.id.Peers == 0:
		return nil
	case oserror.IsNotExist(err):
		return refuse(path, errors.Join(ErrDamaged, err), "is missing, but the store has been in use")
	case err != nil:
		return failed(path, "cannot be read", err)
	}
	line, ok := unsummed(b)
	if !ok {
		return refuse(path, ErrDamaged, "is damaged: its checksum is wrong")
	}
	var list []acquainted
	if err := json.Unmarshal(line, &list); err != nil {
		return refuse(path, errors.Join(ErrDamaged, err), "cannot be understood: %v", err)
	}
	sum := peersSum(line)
	if noted := h.id.Peers; noted != 0 && noted != sum && (len(list) == 0 || noted != list[0].Before) {
		return refuse(path, ErrDamaged, "is not the one that IDENTITY names: a part of the folder was put back without the rest")
	}
	h.id.Peers = sum // on the disk when this opening is counted
	if sum == h.id.Forgotten {
		return nil
	}
	for _, p := range list {
		a := raft.Acquaintance{Incarnation: raft.Incarnation{Store: p.Store, Start: p.Start, Nonce: p.Nonce}, Forked: p.Forked, Readmitted: p.Readmitted, Stranger: p.Stranger}
		copy(a.LetIn[:], p.LetIn)
		if a != (raft.Acquaintance{}) {
			l.peers[p.Node] = a
		}
	}
	return nil
}

// Incarnation is this start on this folder. Others must not hear of it before Speak has returned it.
func (s *Store) Incarnation() raft.Incarnation {
	s.lineage.mu.Lock()
	defer s.lineage.mu.Unlock()
	return s.lineage.self
}

// Speak returns this start once it is on the disk, so that every later start counts above it. Starts that never spoke to anybody do not count:
// an older copy of the folder must not reach the number of what it was copied from by failing to start again and again. Errors are the
// store's failure.
func (s *Store) Speak() (raft.Incarnation, error) {
	l := &s.lineage
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.spoke {
		return l.self, nil
	}
	return l.self, s.become(l.self, s.home.id.Forgotten)
}

// Renew makes this folder another one, with a new Incarnation.Store, from now on: it is known to be a copy of a folder that lives on or lived
// longer, and must never be taken for that one again. What it remembers of others may be long untrue, and is forgotten with the same write: cut short
// between two, its next start would count one more of the old folder's, and might pass for that one's. Errors are the store's failure.
func (s *Store) Renew() (raft.Incarnation, error) {
	l := &s.lineage
	l.mu.Lock()
	defer l.mu.Unlock()
	next := raft.Incarnation{Store: drawn(), Start: 1, Nonce: drawn()}
	if err := s.become(next, s.home.id.Peers); err != nil {
		return raft.Incarnation{}, err
	}
	clear(l.peers)
	return next, nil
}

// become writes who this start is, and which PEERS is forgotten. The caller holds the lineage's lock.
func (s *Store) become(i raft.Incarnation, forgotten uint32) error {
	id := s.home.id
	id.Store, id.Start, id.Forgotten = i.Store, i.Start, forgotten
	if err := s.note(func() error { return s.home.identifyAs(id) }); err != nil {
		return err
	}
	s.lineage.self, s.lineage.spoke = i, true
	return nil
}

// Met returns how other nodes were met last.
func (s *Store) Met() map[raft.NodeID]raft.Acquaintance {
	s.lineage.mu.Lock()
	defer s.lineage.mu.Unlock()
	peers := make(map[raft.NodeID]raft.Acquaintance, len(s.lineage.peers))
	for node, p := range s.lineage.peers {
		peers[node] = p
	}
	return peers
}

// Meet notes how a node was met last; the zero Acquaintance forgets it. It is durable when Meet returns. Errors are the store's failure.
func (s *Store) Meet(node raft.NodeID, a raft.Acquaintance) error {
	l := &s.lineage
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.peers[node] == a {
		return nil
	}
	list := []acquainted{}
	for n, p := range l.peers {
		if n != node {
			list = append(list, remembered(n, p))
		}
	}
	if a != (raft.Acquaintance{}) {
		list = append(list, remembered(node, a))
	}
	if len(list) == 0 {
		list = append(list, remembered(node, a)) // which says nothing, but what was before
	}
	slices.SortFunc(list, func(a, b acquainted) int { return cmp.Compare(a.Node, b.Node) })
	list[0].Before = s.home.id.Peers
	if err := s.note(func() error { return s.home.meet(list) }); err != nil {
		return err
	}
	if a == (raft.Acquaintance{}) {
		delete(l.peers, node)
	} else {
		l.peers[node] = a
	}
	return nil
}

// meet writes PEERS, and has IDENTITY name it.
func (h *home) meet(list []acquainted) error {
	line, err := json.Marshal(list)
	if err != nil {
		panic(err) // no field can fail
	}
	if err := replaceFile(h.fs, h.path(peersTemp), h.path(peersName), summed(line)); err != nil {
		return err
	}
	id := h.id
	id.Peers, id.Forgotten = peersSum(line), 0
	return h.identifyAs(id)
}

func remembered(node raft.NodeID, a raft.Acquaintance) acquainted {
	let := a.LetIn[:]
	if end := slices.Index(let, 0); end >= 0 {
		let = let[:end]
	}
	return acquainted{
		Node: node, Store: a.Store, Start: a.Start, Nonce: a.Nonce, Forked: a.Forked, Readmitted: a.Readmitted, Stranger: a.Stranger, LetIn: slices.Clone(let),
	}
}

// note writes one of the small files while the folder is the store's. A write that fails ends the store, as any other does.
func (s *Store) note(write func() error) error {
	if !s.use() {
		return errors.Join(ErrClosed, s.Failed())
	}
	defer s.users.Done()
	if err := s.Failed(); err != nil {
		return err
	}
	if err := write(); err != nil {
		s.fail(fmt.Errorf("noting who is who: %w", err))
		return s.Failed()
	}
	return nil
}
