package main

import (
	"os"
	"strings"
	"testing"
)

func TestMemoryIsNoDisk(t *testing.T) {
	const shm = "/dev/shm"
	if _, err := os.Stat(shm); err != nil {
		t.Skipf("no file system in memory here: %v", err)
	}
	if err := checkDisk(shm); err == nil || !strings.Contains(err.Error(), "in memory") {
		t.Errorf("checkDisk: %v", err)
	}
}
