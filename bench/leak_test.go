package main

import (
	"testing"

	"go.uber.org/goleak"
)

// TestMain fails when a stopped cluster leaves goroutines behind: they would burden the next peer's round.
//
// Protoactor throttles its dead-letter log with a goroutine that ends by itself after a second.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("github.com/asynkron/protoactor-go/actor.NewDeadLetter.NewThrottle.func4.1"))
}
