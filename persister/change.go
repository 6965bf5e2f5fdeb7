package persister

import (
	"encoding/binary"
	"fmt"

	"github.com/troupe-raft/troupe/entry"
	"github.com/troupe-raft/troupe/persister/journal"
	"github.com/troupe-raft/troupe/raft"
)

// A changeKind says what a change does to its group.
type changeKind uint8

const (
	foundChange   changeKind = 1 + iota // the group begins, with a membership
	hardChange                          // its HardState
	resetChange                         // its log is replaced by a snapshot
	blockChange                         // a block, in place of all entries from its first on
	compactChange                       // a snapshot stands for the log up to an entry
	destroyChange                       // the group ends
)

// A change is what the journal has of one group: one part of an Op. number counts the changes of a group, whatever its
// generation, so that a gap shows.
type change struct {
	kind   changeKind
	group  raft.GroupID
	gen    generation
	number uint64
	pos    journal.Position // of its first byte
	body   []byte           // of block changes the block's bytes, else a value as the database has it
	at     journal.Span     // of body
}

// changeHead is the size of a change's head: kind (1), unused (3), generation (4), group (8), number (8), length (4).
const changeHead = 28

// appendHead appends what comes before a change's body.
func (c *change) appendHead(b []byte) []byte {
	b = append(b, byte(c.kind), 0, 0, 0)
	b = binary.LittleEndian.AppendUint32(b, uint32(c.gen))
	b = binary.LittleEndian.AppendUint64(b, uint64(c.group))
	b = binary.LittleEndian.AppendUint64(b, c.number)
	return binary.LittleEndian.AppendUint32(b, uint32(len(c.body)))
}

// changes reads the changes in the payload of the piece at a position, in order. Their bodies alias the payload.
func changes(piece journal.Position, payload []byte, visit func(*change) error) error {
	for from := 0; from < len(payload); {
		b := payload[from:]
		if len(b) < changeHead {
			return fmt.Errorf("persister: a change of %d bytes: %w", len(b), errDamaged)
		}
		c := change{kind: changeKind(b[0]), gen: generation(binary.LittleEndian.Uint32(b[4:])),
			group: raft.GroupID(binary.LittleEndian.Uint64(b[8:])), number: binary.LittleEndian.Uint64(b[16:])}
		length := int(binary.LittleEndian.Uint32(b[24:]))
		if c.kind < foundChange || c.kind > destroyChange || length > len(b)-changeHead {
			return fmt.Errorf("persister: a change of kind %d and %d bytes: %w", c.kind, length, errDamaged)
		}
		c.pos = journal.Within(piece, from, changeHead).At
		c.body, c.at = b[changeHead:][:length], journal.Within(piece, from+changeHead, length)
		if err := visit(&c); err != nil {
			return err
		}
		from += changeHead + length
	}
	return nil
}

// block is the block of a block change.
func (c *change) block() (*entry.Block, error) {
	b, err := entry.Decode(c.body)
	if err != nil {
		return nil, fmt.Errorf("persister: block of group %d: %w", c.group, err)
	}
	return b, nil
}
