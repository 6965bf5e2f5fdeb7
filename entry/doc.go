// Package entry defines what a log is made of: the Entry, and the Block, the immutable, checksummed run of
// consecutive entries of one term that flows as one piece. The leader encodes a block once; the same bytes go
// to its disk, to the followers and onto their disks, and are taken apart only to be applied.
//
// A block is one valid msgpack value. The fields before the entries have a fixed width, so that the entries
// are encoded in place and the header is filled in afterwards:
//
//	offset  bytes  field
//	0       1      array of 6
//	1       1      version
//	2       5      kinds present, bit k for Kind k (uint32)
//	7       9      term (uint64)
//	16      9      index of the first entry (uint64)
//	25      5      array of Count entries (array32)
//	30      ...    entries: [kind, data] or, with a session or a stamp, [kind, session, seq, stamp, data]
//	-5      5      CRC32C of everything before it (uint32)
package entry
