// Package stage is where actors run: their dispatcher, their mailbox, their supervision and their clock.
//
// Live is for production: long-lived workers are handed from actor to actor, so that an idle actor holds no goroutine and a busy
// one grows no stack anew. Seeded is for tests and simulators: one message at a time in an order drawn from a seed, in virtual time,
// with nodes whose clocks may be wrong and which can crash.
//
// Props joins an actor to a stage. Its mailbox is unbounded, delivers system messages first, and
//   - begins with *actor.Started, even if somebody sent to the name earlier;
//   - delivers *Drained when it ran empty, if asked to: then nothing that was delivered before is left unflushed;
//   - never lets a late restart resurrect an actor that stopped;
//   - calls Dropped on what is left when the actor has stopped.
//
// A panic in Receive is logged with its stack and left to supervision, for which Backoff is meant.
package stage
