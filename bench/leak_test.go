package main

import (
	"testing"

	"go.uber.org/goleak"
)

// TestMain fails when a stopped cluster leaves goroutines behind: they would burden the next peer's round.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }
