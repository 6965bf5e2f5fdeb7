package persister

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// Pebble ends the replay of its log, and of its manifest, at the first record that does not check, as if a power cut
// had torn it, and looks for signs of the contrary in later 32 KiB blocks only. A byte that rots in a small log would
// then silently cost everything after it. scan looks more closely before Pebble may open the files. Damage is
// certain when something whose existence proves that the bad record was once synced comes later, when it is known
// how much was synced, and when no sector of the bad record is zero: a torn write leaves whole sectors
// unwritten, and logs are never written over older ones (see freezer.ReuseForWrite).
//
// The format is that of pebble's package record: blocks of 32 KiB, in them chunks of
// crc(4) length(2) type(1) [log number(4) [sync offset(8)]] payload, all little-endian.
const (
	scanBlock  = 32 << 10
	scanSector = 512

	legacyHead = 7  // types 1-4: manifest
	recycHead  = 11 // types 5-8: log number
	syncedHead = 19 // types 9-12: log number and sync offset
)

// errRotten is the damage that scan found at an offset.
type errRotten struct {
	offset int64
	reason string
}

func (e *errRotten) Error() string {
	return fmt.Sprintf("damaged at offset %d: %s", e.offset, e.reason)
}

// A chunk is a valid piece of a record.
type chunk struct {
	size    int  // header included
	starts  bool // a record begins with it
	end     bool // the log's trailer, written when it is closed
	through int64
}

// A scanner checks one file.
type scanner struct {
	log    bool   // a write-ahead log; else a manifest
	number uint32 // the log's
	synced int64  // bytes that are known to have been synced
	bad    int64  // offset of the first invalid chunk; -1 while there is none
	valid  int    // records begun before bad
}

// scan reads a log or manifest to its end. number is the log's; a manifest has none. Of synced bytes it is known that they were on the disk. It
// returns the number of records before the end and *errRotten, or what reading failed with.
func scan(fs vfs.FS, path string, log bool, number uint64, synced int64) (_ int, err error) {
	f, err := fs.Open(path)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	s := scanner{log: log, number: uint32(number), synced: synced, bad: -1}
	buf := make([]byte, scanBlock)
	for base := int64(0); ; base += scanBlock {
		n, err := io.ReadFull(f, buf)
		if err == io.EOF {
			return s.valid, nil
		}
		if err != nil && err != io.ErrUnexpectedEOF {
			return s.valid, err
		}
		done, err := s.block(base, buf[:n])
		if done || err != nil {
			return s.valid, err
		}
	}
}

// block checks one block. It returns true after the log's trailer.
func (s *scanner) block(base int64, b []byte) (bool, error) {
	for at := 0; at < len(b); {
		c, ok := s.chunk(b[at:])
		switch {
		case ok && c.end:
			return true, nil
		case ok && s.bad >= 0:
			if s.log && c.through > s.bad || !s.log && c.starts {
				return true, &errRotten{s.bad, fmt.Sprintf("the record at offset %d was written when it was synced", base+int64(at))}
			}
			at += c.size
		case ok:
			if c.starts {
				s.valid++
			}
			at += c.size
		case s.bad < 0 && len(b)-at < syncedHead && zero(b[at:]) && len(b) == scanBlock:
			return false, nil // no chunk fits in the rest of the block
		case s.bad < 0:
			s.bad = base + int64(at)
			if s.bad < s.synced || !torn(s.bad, s.extent(b[at:], len(b) == scanBlock)) {
				return true, &errRotten{s.bad, "a record does not match its checksum"}
			}
			at++
		default: // look for a chunk at every byte: the length of a bad one cannot be believed
			at++
		}
	}
	return false, nil
}

// head returns the length of the header of a chunk of some type; 0 when the file has no such chunks.
func (s *scanner) head(kind byte) int {
	switch {
	case s.log && kind >= 5 && kind <= 8:
		return recycHead
	case s.log && kind >= 9 && kind <= 12:
		return syncedHead
	case !s.log && kind >= 1 && kind <= 4:
		return legacyHead
	}
	return 0
}

// chunk parses the chunk that b begins with.
func (s *scanner) chunk(b []byte) (c chunk, ok bool) {
	if len(b) < legacyHead {
		return c, false
	}
	kind, head := b[6], s.head(b[6])
	if head == 0 || len(b) < head {
		return c, false
	}
	sum, size := binary.LittleEndian.Uint32(b), head+int(binary.LittleEndian.Uint16(b[4:]))
	if s.log {
		number := binary.LittleEndian.Uint32(b[7:])
		if kind == 5 && sum == 0 && size == recycHead && number == s.number+1 {
			return chunk{end: true}, true
		}
		if number != s.number {
			return c, false
		}
	}
	if size > len(b) {
		return c, false
	}
	if sum != pebbleSum(b[6:size]) {
		return c, false
	}
	c = chunk{size: size, starts: kind%4 == 1 || kind%4 == 2} // types come in fours: full, first, middle, last
	if head == syncedHead {
		c.through = int64(binary.LittleEndian.Uint64(b[11:]))
	}
	return c, true
}

// pebbleSum is the checksum that Pebble stores: a CRC32C, masked. It does not cover the length.
func pebbleSum(b []byte) uint32 {
	x := crc32.Checksum(b, castagnoli)
	return (x>>15 | x<<17) + 0xa282ead8
}

// extent returns the bytes of the invalid chunk that b begins with, as far as its header can be believed.
// It is nil when the file ends within the chunk. full tells that b ends where a block does.
func (s *scanner) extent(b []byte, full bool) []byte {
	if len(b) < legacyHead {
		return nil
	}
	head := s.head(b[6])
	if head == 0 {
		return b[:legacyHead]
	}
	if len(b) < head {
		return nil
	}
	size := head + int(binary.LittleEndian.Uint16(b[4:]))
	switch {
	case s.log && binary.LittleEndian.Uint32(b[7:]) != s.number:
		return b[:head]
	case size <= len(b):
		return b[:size]
	case full || binary.LittleEndian.Uint32(b) == pebbleSum(b[6:]):
		return b[:head] // no chunk crosses a block's end, or all of this one is there: the length is wrong
	}
	return nil
}

// torn reports whether a chunk at an offset may be one that a power cut left unwritten in part.
func torn(offset int64, b []byte) bool {
	if b == nil {
		return true
	}
	for len(b) > 0 {
		n := min(len(b), int(scanSector-offset%scanSector))
		if zero(b[:n]) {
			return true
		}
		b, offset = b[n:], offset+int64(n)
	}
	return false
}

func zero(b []byte) bool {
	for _, x := range b {
		if x != 0 {
			return false
		}
	}
	return true
}
