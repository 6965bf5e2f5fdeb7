//go:build !race

package persister

const raced = false
