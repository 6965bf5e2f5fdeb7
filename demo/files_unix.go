//go:build unix

package main

import "syscall"

// openFiles is how many files this process may have open at once. The runtime has raised the soft limit to the hard one.
func openFiles() int {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return manyFiles
	}
	if uint64(limit.Cur) > manyFiles { // some systems have it signed
		return manyFiles
	}
	return int(limit.Cur)
}
