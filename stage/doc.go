// Package stage is where actors run: their dispatcher, their mailbox, their supervision and their clock.
//
// Live is for production: long-lived workers are handed from actor to actor, so that an idle actor holds no goroutine and a busy
// one grows no stack anew. Seeded is for tests and simulators: one message at a time in an order drawn from a seed, in virtual time.
package stage
