package journal

import (
	"encoding/binary"
	"hash/crc32"
)

// A Position is a place in the endless journal, in bytes of segments, their headers and frames included.
type Position uint64

// An Incarnation counts the openings of a journal, from 1. Whatever is written after an opening bears its number.
type Incarnation uint32

// Sizes in bytes. A device writes a sector whole or not at all; a page is the smallest write.
const (
	SectorSize = 512
	PageSize   = 8 * SectorSize

	trailer    = 16                   // of a frame: position and flags (8), incarnation (4), checksum (4)
	sectorData = SectorSize - trailer // of a frame
	pageData   = PageSize / SectorSize * sectorData
)

// Flags share the word of the position, which is a multiple of SectorSize.
const (
	firstFlag  Position = 1 << iota // the frame begins a piece
	headerFlag                      // the frame is a segment's header
	allFlags   = SectorSize - 1
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// A codec makes and checks the frames of one store. Frames of another store are damage to it.
type codec struct{ seed uint32 }

func newCodec(store uint64) codec {
	return codec{crc32.Checksum(binary.LittleEndian.AppendUint64(nil, store), castagnoli)}
}

// seal ends the frame in sector, whose data is in place.
func (c codec) seal(sector []byte, at Position, i Incarnation) {
	binary.LittleEndian.PutUint64(sector[sectorData:], uint64(at))
	binary.LittleEndian.PutUint32(sector[sectorData+8:], uint32(i))
	sum := crc32.Update(c.seed, castagnoli, sector[:sectorData+12])
	binary.LittleEndian.PutUint32(sector[sectorData+12:], sum)
}

// A content is what a sector holds, as far as it shows by itself.
type content uint8

const (
	damaged content = iota // no frame, or one that belongs further on
	blank                  // zeros
	earlier                // a frame of an earlier lap
	here                   // a frame that belongs here, of whatever incarnation
)

// look tells what the sector at a place holds. Flags and incarnation are those of the frame.
func (c codec) look(sector []byte, at Position) (holds content, flags Position, i Incarnation) {
	sum := binary.LittleEndian.Uint32(sector[sectorData+12:])
	if crc32.Update(c.seed, castagnoli, sector[:sectorData+12]) != sum {
		if allZero(sector) {
			return blank, 0, 0
		}
		return damaged, 0, 0
	}
	word := Position(binary.LittleEndian.Uint64(sector[sectorData:]))
	flags, i = word&allFlags, Incarnation(binary.LittleEndian.Uint32(sector[sectorData+8:]))
	switch place := word &^ allFlags; {
	case place == at:
		return here, flags, i
	case place < at:
		return earlier, flags, i
	}
	return damaged, 0, 0
}

// later reports whether a sector holds a frame of a later lap.
func (c codec) later(sector []byte, at Position) bool {
	word := Position(binary.LittleEndian.Uint64(sector[sectorData:]))
	holds, _, _ := c.look(sector, word&^allFlags)
	return holds == here && word > at
}

func allZero(b []byte) bool {
	for len(b) >= 8 {
		if binary.LittleEndian.Uint64(b) != 0 {
			return false
		}
		b = b[8:]
	}
	for _, c := range b {
		if c != 0 {
			return false
		}
	}
	return true
}
