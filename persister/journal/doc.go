// Package journal is the log of a host: what all its groups store, in one order, in a ring of files that are
// overwritten in place. It knows nothing of groups; what it keeps are pieces of bytes.
//
// A position counts the bytes of an endless journal. Each file, a segment, holds one stretch of it, and is used
// again for a later stretch once the first is kept elsewhere. A piece is what one write brings: whole pages, so that
// no write touches a page that holds acknowledged bytes.
//
// Every sector of a piece is a frame with its position, the incarnation of the journal that wrote it and a checksum.
// So a reader can tell what a sector holds: the journal at this place, what an earlier lap or incarnation left there,
// or damage. That is what the end of the journal is found by, see Scan.
//
// The package has no goroutine, lock or clock: a device does what it says, and tells it what was done
// (docs/decisions/0028).
package journal
