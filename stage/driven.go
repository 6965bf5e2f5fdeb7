package stage

// A Driven stage takes its steps only when somebody calls for them, like a seeded one and its nodes: nothing may wait for one of its actors
// without driving it, and nothing on it may go by a goroutine or a clock of its own.
type Driven interface {
	Stage
	// Run steps until the condition holds, and reports whether it does. It gives up after maxSteps or when nothing is left to do.
	Run(until func() bool, maxSteps int) bool
}

// Interfaces that must stay implemented.
var (
	_ Driven = (*Seeded)(nil)
	_ Driven = (*Node)(nil)
)
