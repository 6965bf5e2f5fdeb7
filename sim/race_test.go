//go:build race

package sim

// The race detector makes everything ten times slower, and finds little in one goroutine.
func init() { *seeds = 8 }
