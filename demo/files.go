package main

import "fmt"

// What one node keeps open at most, besides its clients' connections.
const (
	ownFiles   = 24 // the process's own, and what lives for a moment
	storeFiles = 80 // the log's tables, of which Pebble wants 64 at least, its journal and the snapshots
	linkFiles  = 24 // to eight other nodes, three each
	minConns   = 16 // of clients, in either direction
	leastFiles = ownFiles + storeFiles + linkFiles + minLinks + 2*minConns

	minLinks = 32 // from other nodes, with those that have not said who they are
	maxLinks = 256

	minTables = 64
	maxTables = 512
	manyFiles = 1 << 20 // as good as no limit
	mostConns = 4096    // of clients, unless the configuration wants more
)

// A fileBudget deals out the files that a process may open, so that clients never take those that the store and the links to other nodes need.
type fileBudget struct {
	conns  int // of clients; requests that are passed on to other nodes may have as many
	links  int // from other nodes
	tables int // of the store
}

// budgetFiles deals out files, which the process may open at once, among its nodes. wanted is the number of clients' connections that the configuration asks for, or 0.
func budgetFiles(files, nodes, wanted int) (fileBudget, error) {
	share := files / nodes
	if share < leastFiles {
		return fileBudget{}, fmt.Errorf("this process may have %d files open at once, and each of its nodes needs %d: raise the limit to %d at least (ulimit -n, or LimitNOFILE= of a systemd unit)",
			files, leastFiles, nodes*leastFiles)
	}
	b := fileBudget{
		links:  max(minLinks, min(share/8, maxLinks)),
		tables: max(minTables, min(share/8, maxTables)),
	}
	room := (share - ownFiles - storeFiles - linkFiles + minTables - b.links - b.tables) / 2
	b.conns = min(room, mostConns)
	if wanted > room {
		return b, usage("max_connections: %d leaves too few of the %d files that this process may have open (ulimit -n) to the store and the other nodes: %d at most", wanted, files, room)
	}
	if wanted > 0 {
		b.conns = wanted
	}
	return b, nil
}
