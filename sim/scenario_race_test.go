//go:build race

package sim

// One story each is enough for the race detector, which makes everything ten times slower.
func init() { *storySeeds = 1 }
