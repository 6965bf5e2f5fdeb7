package persister

import (
	"cmp"
	"encoding/binary"
	"errors"

	"github.com/cockroachdb/pebble/v2"
)

// An opening is the latest one of a store. The database has it and IDENTITY has it, so that one of them that was lost, or put back alone to
// an older copy, is noticed: what the node promised since is gone with it. Copies of the whole folder are not told so, but by others
// (raft.Acquaintance).
type opening struct {
	Mark  uint64 `json:"mark"` // drawn at random for the folder; 0: a release counted that noted none
	Count uint64 `json:"count"`
}

func (o opening) encode(key []byte) []byte {
	v := binary.BigEndian.AppendUint64([]byte{valueVersion}, o.Mark)
	return appendSum(key, binary.BigEndian.AppendUint64(v, o.Count))
}

func decodeOpening(key, value []byte) (opening, error) {
	v, err := checked(key, value)
	if err != nil || len(v) != 16 {
		return opening{}, errDamaged
	}
	return opening{binary.BigEndian.Uint64(v), binary.BigEndian.Uint64(v[8:])}, nil
}

// follows returns why an opening of the database cannot have been made with IDENTITY's; empty: it can. The database is counted first.
func (o opening) follows(id opening) string {
	switch {
	case id.Mark == 0:
		return ""
	case o.Mark == 0:
		return "has lost what was in it: files of it are missing or cut off"
	case o.Mark != id.Mark:
		return "belongs to another folder's IDENTITY"
	case o.Count < id.Count:
		return "is older than IDENTITY: files of it are missing or cut off, or a part of the folder was put back without the rest"
	case o.Count > id.Count+1:
		return "is newer than IDENTITY: a part of the folder was put back without the rest"
	}
	return ""
}

// count checks that the database and IDENTITY were opened together, and counts this opening.
func (s *Store) count() error {
	key := []byte{openingKey}
	last, err := s.lastOpening(key)
	if err != nil {
		return err
	}
	dir, id := s.home.path(databaseName), s.home.id
	if why := last.follows(id.Opening); why != "" {
		return refuse(dir, ErrDamaged, "%s", why)
	}
	next := opening{Mark: id.Opening.Mark, Count: id.Opening.Count + 1} // the same again where the last one was cut short
	if next.Mark == 0 {
		next = opening{Mark: cmp.Or(last.Mark, drawn()), Count: last.Count + 1}
	}
	id.Opening, id.Logs = next, nil
	if err := s.ice.change("note", s.home.path(manifestNote), func() error { return s.ice.manifests.opened(next) }); err != nil {
		return err
	}
	if err := errors.Join(s.db.Set(key, id.Opening.encode(key), pebble.Sync), s.Failed()); err != nil {
		return failed(dir, "cannot be written", err)
	}
	return s.home.identifyAs(id)
}

// lastOpening is the database's; zero: it has none.
func (s *Store) lastOpening(key []byte) (opening, error) {
	value, closer, err := s.db.Get(key)
	if errors.Is(err, pebble.ErrNotFound) {
		return opening{}, nil
	}
	dir := s.home.path(databaseName)
	if err != nil {
		return opening{}, failed(dir, "cannot be read", err)
	}
	o, err := decodeOpening(key, value)
	if err := errors.Join(err, closer.Close()); err != nil {
		return opening{}, refuse(dir, errors.Join(ErrDamaged, err), "has a damaged record of its openings: %v", err)
	}
	return o, nil
}
