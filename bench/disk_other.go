//go:build !linux

package main

import (
	"fmt"
	"os"
)

// checkDisk refuses a folder that is missing.
func checkDisk(dir string) error {
	info, err := os.Stat(dir)
	if err != nil {
		return fmt.Errorf("-dir: %w", err)
	}
	if !info.IsDir() {
		return fmt.Errorf("-dir: %s is not a folder", dir)
	}
	return nil
}
