package remote

import (
	"flag"
	"os"
	"testing"

	"go.uber.org/goleak"
)

// TestMain checks that all transports together left nothing running.
func TestMain(m *testing.M) {
	flag.Parse()
	before := goleak.IgnoreCurrent()
	code := m.Run()
	live.Close()
	// protoactor's own, which ends by itself a while after a message to nobody.
	throttle := goleak.IgnoreTopFunction("github.com/asynkron/protoactor-go/actor.NewDeadLetter.NewThrottle.func4.1")
	if err := goleak.Find(before, throttle); err != nil && code == 0 {
		_, _ = os.Stderr.WriteString(err.Error() + "\n")
		code = 1
	}
	os.Exit(code)
}
