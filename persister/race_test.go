//go:build race

package persister

// raced: the race detector makes everything some ten times slower.
const raced = true
