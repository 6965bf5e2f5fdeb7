package persister

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"time"

	"github.com/troupe-raft/troupe/entry"
	"github.com/troupe-raft/troupe/persister/journal"
	"github.com/troupe-raft/troupe/raft"
)

// The database's keys, all numbers big-endian:
//
//	'o'                                       the latest opening of the store
//	'k'                                       the position up to which the table has what the journal had
//	'g' group(8)                              the group's record: generation, alive or destroyed
//	'd' group(8) generation(4) 'h'            its HardState
//	'd' group(8) generation(4) 'm'            its SnapshotMeta and the entry before its log
//	'd' group(8) generation(4) 'b' index(8)   a block, under the index of its first entry
//
// Values other than blocks, which have a checksum of their own, end in a CRC32C over key and value, so that
// neither a flipped bit nor a value in the wrong place is believed.
const (
	openingKey = 'o'
	keptPlace  = 'k'
	recordKey  = 'g'
	dataKey    = 'd'
	hardPart   = 'h'
	metaPart   = 'm'
	blockPart  = 'b'

	partAt   = 1 + 8 + 4
	indexAt  = partAt + 1
	blockLen = indexAt + 8
)

// A generation counts the groups that bore one id on this host, from 1 on.
type generation uint32

func appendRecordKey(b []byte, g raft.GroupID) []byte {
	return binary.BigEndian.AppendUint64(append(b, recordKey), uint64(g))
}

func appendKey(b []byte, g raft.GroupID, gen generation, part byte) []byte {
	b = binary.BigEndian.AppendUint64(append(b, dataKey), uint64(g))
	return append(binary.BigEndian.AppendUint32(b, uint32(gen)), part)
}

func appendBlockKey(b []byte, g raft.GroupID, gen generation, i raft.Index) []byte {
	return binary.BigEndian.AppendUint64(appendKey(b, g, gen, blockPart), uint64(i))
}

// blockIndex returns the index in a block's key.
func blockIndex(key []byte) (raft.Index, bool) {
	if len(key) != blockLen || key[0] != dataKey || key[partAt] != blockPart {
		return 0, false
	}
	return raft.Index(binary.BigEndian.Uint64(key[indexAt:])), true
}

func keptKey() []byte { return []byte{keptPlace} }

func encodeKept(p journal.Position) []byte {
	return appendSum(keptKey(), binary.BigEndian.AppendUint64([]byte{valueVersion}, uint64(p)))
}

func decodeKept(value []byte) (journal.Position, error) {
	v, err := checked(keptKey(), value)
	if err != nil || len(v) != 8 {
		return 0, errDamaged
	}
	return journal.Position(binary.BigEndian.Uint64(v)), nil
}

const valueVersion = 1

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

var errDamaged = errors.New("checksum or length is wrong")

func checksum(key, value []byte) uint32 {
	return crc32.Update(crc32.Checksum(key, castagnoli), castagnoli, value)
}

// appendSum ends a value that belongs under key.
func appendSum(key, value []byte) []byte {
	return binary.BigEndian.AppendUint32(value, checksum(key, value))
}

// checked returns value without version and checksum.
func checked(key, value []byte) ([]byte, error) {
	n := len(value) - 4
	if n < 1 || value[0] != valueVersion || binary.BigEndian.Uint32(value[n:]) != checksum(key, value[:n]) {
		return nil, errDamaged
	}
	return value[1:n], nil
}

// A record says which generation of a group is stored.
type record struct {
	gen    generation
	alive  bool
	number uint64 // of the group's last change in the table; 0: they are not counted
}

func (r record) encode(key []byte) []byte {
	v := binary.BigEndian.AppendUint32([]byte{valueVersion}, uint32(r.gen))
	alive := byte(0)
	if r.alive {
		alive = 1
	}
	v = append(v, alive)
	if r.number > 0 {
		v = binary.BigEndian.AppendUint64(v, r.number)
	}
	return appendSum(key, v)
}

func decodeRecord(key, value []byte) (record, error) {
	v, err := checked(key, value)
	if err != nil || len(v) != 5 && len(v) != 13 || v[4] > 1 {
		return record{}, errDamaged
	}
	r := record{gen: generation(binary.BigEndian.Uint32(v)), alive: v[4] == 1}
	if len(v) == 13 {
		if r.number = binary.BigEndian.Uint64(v[5:]); r.number == 0 {
			return record{}, errDamaged
		}
	}
	return r, nil
}

// encodeHard writes the doubt and the promise only where there are any.
func encodeHard(key []byte, h raft.HardState) []byte {
	v := binary.BigEndian.AppendUint64([]byte{valueVersion}, uint64(h.Term))
	v = binary.BigEndian.AppendUint64(v, uint64(h.Vote))
	doubt := byte(0)
	if h.Doubt {
		doubt = 1
	}
	switch {
	case h.Promise > 0:
		v = binary.BigEndian.AppendUint64(append(v, doubt), uint64(h.Promise))
	case h.Doubt:
		v = append(v, doubt)
	}
	return appendSum(key, v)
}

func decodeHard(key, value []byte) (h raft.HardState, err error) {
	v, err := checked(key, value)
	n := len(v)
	if err != nil || n != 16 && n != 17 && n != 25 || n > 16 && v[16] > 1 || n == 17 && v[16] == 0 {
		return h, errDamaged
	}
	h = raft.HardState{Term: raft.Term(binary.BigEndian.Uint64(v)), Vote: raft.NodeID(binary.BigEndian.Uint64(v[8:])), Doubt: n > 16 && v[16] == 1}
	if n == 25 {
		h.Promise = time.Duration(binary.BigEndian.Uint64(v[17:]))
	}
	if h.Promise < 0 || n == 25 && h.Promise == 0 {
		return raft.HardState{}, errDamaged
	}
	return h, nil
}

// A meta is what precedes the log: the snapshot, and the last entry that is gone, which may be older.
type meta struct {
	snapshot raft.SnapshotMeta
	prev     raft.EntryID
}

func (m meta) encode(key []byte) []byte {
	v := []byte{valueVersion}
	for _, n := range [...]uint64{uint64(m.snapshot.Index), uint64(m.snapshot.Term), uint64(m.prev.Index), uint64(m.prev.Term)} {
		v = binary.BigEndian.AppendUint64(v, n)
	}
	return appendSum(key, entry.AppendMembership(v, m.snapshot.Membership))
}

func decodeMeta(key, value []byte) (m meta, err error) {
	v, err := checked(key, value)
	if err != nil || len(v) < 32 {
		return meta{}, errDamaged
	}
	n := func(at int) uint64 { return binary.BigEndian.Uint64(v[at:]) }
	m.snapshot.Index, m.snapshot.Term = raft.Index(n(0)), raft.Term(n(8))
	m.prev = raft.EntryID{Index: raft.Index(n(16)), Term: raft.Term(n(24))}
	m.snapshot.Membership, err = entry.DecodeMembership(v[32:])
	return m, err
}
