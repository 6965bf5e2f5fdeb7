package main

import (
	"fmt"
	"strings"
	"testing"
)

// Whatever the limit, clients leave to the store and the links what these need.
func TestFilesAreDealtOut(t *testing.T) {
	for _, nodes := range []int{1, 3, 9} {
		for files := nodes * leastFiles; files <= manyFiles; files += files / 7 {
			b, err := budgetFiles(files, nodes, 0)
			if err != nil {
				t.Fatalf("%d files, %d nodes: %v", files, nodes, err)
			}
			if used := nodes * (2*b.conns + b.links + b.tables + storeFiles - minTables + linkFiles + ownFiles); used > files || b.conns < minConns {
				t.Fatalf("%d files, %d nodes: %+v uses %d", files, nodes, b, used)
			}
			if _, err := budgetFiles(files, nodes, b.conns); err != nil {
				t.Fatalf("%d files, %d nodes: the default, asked for, is refused: %v", files, nodes, err)
			}
		}
	}
	if b, err := budgetFiles(1<<20, 1, 0); err != nil || b != (fileBudget{mostConns, maxLinks, maxTables}) {
		t.Errorf("%+v, %v", b, err)
	}
	for _, c := range []struct {
		files, wanted int
		words         string
	}{{leastFiles - 1, 0, fmt.Sprintf("raise the limit to %d at least (ulimit -n", leastFiles)}, {1024, 5000, "max_connections: 5000 leaves too few of the 1024 files"}} {
		if _, err := budgetFiles(c.files, 1, c.wanted); err == nil || !strings.Contains(err.Error(), c.words) {
			t.Errorf("%d files, %d wanted: %v", c.files, c.wanted, err)
		}
	}
}
