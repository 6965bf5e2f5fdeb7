// Package snapshotter keeps a group's snapshots (§7): it says when to take one, writes it crash-safely, streams it to followers
// that are too far behind, and receives it, resuming where a broken transfer stopped.
//
// Accepts Orders, Applied, Take, Captured, Kept, Send, Abort, Chunk, ChunkReply. Emits OnDuty, WantCapture, Taken, Unusable, Sent, Received. Writing,
// summing and verifying run on workers, its children; a chunk's file I/O runs on its own turn. On disk: `snap-<index>-<term>.troupe`,
// complete and synced under that name or not there; `.tmp` and `.part` files are unfinished. A restart keeps what has arrived of a
// snapshot and forgets pacing, a snapshot being written and those being sent.
package snapshotter
