package kv

import (
	"bytes"
	"strings"
	"sync"

	"github.com/tidwall/btree"
)

// A Store is the map. Apply, Snapshot and Restore belong to one goroutine at a time; reads are safe on any.
type Store struct {
	mu sync.RWMutex
	// Values are never changed in place within their length, only extended beyond it, so that readers and
	// snapshots may keep the slices they were given.
	items *btree.Map[string, []byte]
}

// NewStore returns an empty map.
func NewStore() *Store { return &Store{items: newItems()} }

func newItems() *btree.Map[string, []byte] { return btree.NewMap[string, []byte](0) }

// Apply executes one encoded Command and returns its encoded Result. It never panics: bytes that are no command are answered
// Bad, alike on every replica. It keeps nothing of data.
func (s *Store) Apply(data []byte) []byte {
	c, err := DecodeCommand(data)
	if err != nil {
		return Result{Fault: Bad}.Encode()
	}
	if len(c.Key) > MaxKey || len(c.Value) > MaxValue {
		return Result{Fault: TooLarge}.Encode()
	}
	return s.execute(c).Encode()
}

func (s *Store) execute(c Command) Result {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch c.Op {
	case Put:
		s.items.Set(c.Key, owned(c.Value))
		return Result{Done: true}
	case Append:
		old, _ := s.items.Get(c.Key)
		if len(old)+len(c.Value) > MaxValue {
			return Result{Fault: TooLarge}
		}
		value := append(old, c.Value...)
		s.items.Set(c.Key, value)
		if c.Whole {
			return Result{Done: true, Length: len(value), Value: notNil(value)}
		}
		return Result{Done: true, Length: len(value)}
	case CAS:
		old, ok := s.items.Get(c.Key)
		if ok != (c.Expect != nil) || !bytes.Equal(old, c.Expect) {
			if !ok {
				return Result{}
			}
			return Result{Value: notNil(old)}
		}
		value := owned(c.Value)
		s.items.Set(c.Key, value)
		return Result{Done: true, Value: value}
	case Delete:
		_, ok := s.items.Delete(c.Key)
		return Result{Done: ok}
	default:
		return Result{Fault: Bad}
	}
}

// owned is a copy that does not keep the log's block alive.
func owned(v []byte) []byte { return append(make([]byte, 0, len(v)), v...) }

func notNil(v []byte) []byte {
	if v == nil {
		return []byte{}
	}
	return v
}

// Get returns the value of a key. The caller must not change it.
func (s *Store) Get(key string) (value []byte, ok bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	v, ok := s.items.Get(key)
	return v[:len(v):len(v)], ok
}

// Len is the number of keys.
func (s *Store) Len() int {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.items.Len()
}

// An Item is one key with its value, which must not be changed.
type Item struct {
	Key   string
	Value []byte
}

// A Page says which items List returns.
type Page struct {
	Prefix string // only keys that begin so
	After  string // only keys above this one; empty: from the first on
	Limit  int    // at most so many items
	Bytes  int    // stop once keys and values together reach this; 0: no limit
}

// List returns items in the order of their keys, and whether more would follow.
func (s *Store) List(p Page) (items []Item, more bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	size := 0
	s.items.Ascend(max(p.Prefix, p.After), func(key string, value []byte) bool {
		if key == p.After && p.After != "" {
			return true
		}
		if !strings.HasPrefix(key, p.Prefix) {
			return false
		}
		if len(items) >= p.Limit || p.Bytes > 0 && size >= p.Bytes {
			more = true
			return false
		}
		size += len(key) + len(value)
		items = append(items, Item{Key: key, Value: value[:len(value):len(value)]})
		return true
	})
	return items, more
}
