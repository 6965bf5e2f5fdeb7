// Package sectors is a disk in memory, for tests and simulations: files of sectors, each of which is written whole or not
// at all. What is written is in a cache until it is synced. A power cut keeps any of it; a kill leaves it where it is
// read, though no later sync writes it.
//
// A Disk is for one goroutine.
package sectors

import (
	"bytes"
	"errors"
	"maps"
	"slices"
)

// Size is that of a sector in bytes.
const Size = 512

// A Disk is some files of sectors. What is written is in a cache until it is synced; a crash keeps any of it.
type Disk struct {
	Files map[int][]byte           // what is durable
	cache map[int]map[int64][]byte // by file and offset: sectors that are written and not synced
	stale map[int]map[int64][]byte // likewise, by who was killed since: no sync writes them, though they are read
	Bad   map[int]map[int64]bool   // sectors that cannot be read
	Ring  []int                    // the files that are listed
	Left  int                      // operations until a crash, which cuts the last one short; 0: none comes
}

// Crashed is what an operation panics with that a crash has cut short.
type Crashed struct{}

// operate counts an operation that is about to begin.
func (d *Disk) operate() {
	if d.Left == 0 {
		return
	}
	if d.Left--; d.Left == 0 {
		panic(Crashed{})
	}
}

// New is a disk without files.
func New() *Disk {
	return &Disk{Files: map[int][]byte{}, cache: map[int]map[int64][]byte{}, stale: map[int]map[int64][]byte{}, Bad: map[int]map[int64]bool{}}
}

// Make makes a file of zeros.
func (d *Disk) Make(file int, size int) {
	d.operate()
	d.Files[file], d.cache[file], d.stale[file], d.Bad[file] = make([]byte, size), map[int64][]byte{}, map[int64][]byte{}, map[int64]bool{}
}

// Write writes whole sectors.
func (d *Disk) Write(file int, at int64, raw []byte) {
	defer d.operate() // what it wrote may be kept, or not
	for from := 0; from < len(raw); from += Size {
		d.cache[file][at+int64(from)] = bytes.Clone(raw[from : from+Size])
		delete(d.stale[file], at+int64(from))
	}
}

// Sync makes what was written to a file durable.
func (d *Disk) Sync(file int) {
	d.operate()
	for at, sector := range d.cache[file] {
		copy(d.Files[file][at:], sector)
	}
	clear(d.cache[file])
}

// List adds a file to the ring.
func (d *Disk) List(file int) {
	d.operate()
	d.Ring = append(d.Ring, file)
}

// Cached are the sectors that are written and not synced, in order.
func (d *Disk) Cached() (out []Place) {
	for file, sectors := range d.cache {
		for at := range sectors {
			out = append(out, Place{file, at})
		}
	}
	slices.SortFunc(out, func(a, b Place) int { return (a.File-b.File)*1<<40 + int(a.Offset-b.Offset) })
	return out
}

// A Place is a sector of a file.
type Place struct {
	File   int
	Offset int64
}

// Crash keeps what keep says of what was not synced.
func (d *Disk) Crash(keep func(Place) bool) {
	for _, p := range d.Cached() {
		if keep(p) {
			copy(d.Files[p.File][p.Offset:], d.cache[p.File][p.Offset])
		}
	}
	for file := range d.cache {
		clear(d.cache[file])
		clear(d.stale[file])
	}
}

// Kill ends the process, and leaves what it had written where the next one reads it.
func (d *Disk) Kill() {
	for file, sectors := range d.cache {
		for at, sector := range sectors {
			d.stale[file][at] = sector
		}
		clear(sectors)
	}
}

// Clone is another disk in the same state.
func (d *Disk) Clone() *Disk {
	c := New()
	c.Ring = slices.Clone(d.Ring)
	for file, b := range d.Files {
		c.Files[file], c.cache[file], c.Bad[file] = bytes.Clone(b), map[int64][]byte{}, map[int64]bool{}
		c.stale[file] = maps.Clone(d.stale[file])
		for at, sector := range d.cache[file] {
			c.cache[file][at] = sector
		}
	}
	return c
}

// ErrBad is what reading a bad sector fails with.
var ErrBad = errors.New("sectors: unreadable")

// ReadAt reads whatever was written, synced or not.
func (d *Disk) ReadAt(file int, p []byte, at int64) error {
	copy(p, d.Files[file][at:])
	for _, sectors := range []map[int64][]byte{d.stale[file], d.cache[file]} {
		for i := range sectors {
			if i >= at && i < at+int64(len(p)) {
				copy(p[i-at:], sectors[i])
			}
		}
	}
	for i := range d.Bad[file] {
		if i >= at && i < at+int64(len(p)) {
			return ErrBad
		}
	}
	return nil
}
