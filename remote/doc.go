// Package remote carries Raft traffic between nodes: over TCP, optionally under mutual TLS, in
// length-prefixed frames of msgpack. It is lossy and bounded, as Raft allows and production needs: what
// cannot leave soon is dropped and counted, and nothing here blocks a group or waits for ever.
//
// Send *Post to the actor that Sender returns. It gathers what waits in its mailbox, for however many
// groups, into one frame. Each lane to each peer has one connection, dialled by the sending side on demand,
// and within it order is kept. What arrives goes to Deliver on the goroutine that read it. Messages that are small and
// urgent have a lane of their own, so that they never wait behind payload.
//
// # Frame
//
// All integers are big endian, all sums CRC-32C (Castagnoli):
//
//	length u32   bytes that follow sum
//	sum    u32   of length, heads and the head section
//	heads  u32   bytes of the head section
//	head section: one msgpack array per envelope
//	payloads: the blocks and snapshot bytes that the heads announce by size, in the order of the heads
//
// Every byte is summed once on each side. Blocks bring the checksum they were born with, which the receiver
// verifies when it decodes them and which goes on to protect them on disk; so the sum of the frame leaves
// payloads out. Snapshot bytes have no sum of their own but that of the whole file, so their head carries one.
//
// Payloads of one message share one allocation, which its blocks alias; everything small is copied out of the
// reading buffer. So a block that stays cached keeps alive only its neighbours in the same log.
//
// Nothing goes the other way but a verdict, at first, and probes: see Config.ProbeTimeout.
//
// # Versions
//
// Nodes of different releases work together: see [Version] for what may change and how.
package remote
