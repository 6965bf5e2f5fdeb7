package sim

import (
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// An inode is a file or a folder: as programs see it, and as any crash leaves it.
type inode struct {
	folder          bool
	data, safe      []byte
	names, keptName map[string]*inode

	rotten bool // one bit of data
	bit    int  // which
	found  bool // a leader has read it to send it
}

func newFolder() *inode {
	return &inode{folder: true, names: map[string]*inode{}, keptName: map[string]*inode{}}
}

// sync makes everything safe: of a folder its entries, not what is in them.
func (n *inode) sync() {
	n.safe = append(n.safe[:0], n.data...)
	n.keptName = maps.Clone(n.names)
}

// flip turns the rotten bit over, on the platter: no sync is needed, and none brings it back.
func (n *inode) flip() {
	for _, b := range [][]byte{n.data, n.safe} {
		if n.bit/8 < len(b) {
			b[n.bit/8] ^= 1 << (n.bit % 8)
		}
	}
	n.rotten, n.found = !n.rotten, false
}

// written ends the rot of bytes that are written anew.
func (n *inode) written(from, to int) {
	n.rotten = n.rotten && (n.bit/8 < from || n.bit/8 >= to)
}

// A tree is a file system in memory that can crash. It has what the snapshotter calls of vfs.FS; the rest, left nil, panics. Unlike Pebble's,
// what a crash leaves is the same for the same draws: nothing is done in the order of a map.
type tree struct {
	vfs.FS
	root *inode
}

func newTree() *tree { return &tree{root: newFolder()} }

// sector is what a disk writes whole or not at all: smaller than any real one, as snapshots are here.
const sector = 64

// A wreck is a crash at work.
type wreck struct {
	rand  *rand.Rand
	whole bool // all is kept, or all that is not synced is lost: drawn once
	lucky bool
	made  map[*inode]*inode

	torn, lost, kept int // files, entries that were not synced
}

// crash is what is left: all that was synced and, of the rest, any names and any sectors.
func (t *tree) crash(r *rand.Rand) (*tree, *wreck) {
	w := &wreck{rand: r, made: map[*inode]*inode{}}
	w.whole, w.lucky = r.IntN(3) == 0, r.IntN(2) == 0
	return &tree{root: w.leave(t.root)}, w
}

// synced is what any crash leaves, as it was written: without what rotted since.
func (t *tree) synced() *tree {
	w := &wreck{whole: true, made: map[*inode]*inode{}}
	left := &tree{root: w.leave(t.root)}
	left.each(func(_ string, n *inode) {
		if n.rotten {
			n.flip()
		}
	})
	return left
}

// survives draws whether something survives that was not synced.
func (w *wreck) survives() bool {
	if w.whole {
		return w.lucky
	}
	return w.rand.IntN(2) == 0
}

func (w *wreck) leave(n *inode) *inode {
	if n == nil || w.made[n] != nil {
		return w.made[n]
	}
	m := &inode{folder: n.folder, bit: n.bit}
	w.made[n] = m
	if n.folder {
		w.folder(n, m)
	} else {
		w.file(n, m)
	}
	m.sync()
	return m
}

func (w *wreck) folder(n, m *inode) {
	m.names = map[string]*inode{}
	all := maps.Clone(n.keptName)
	maps.Copy(all, n.names)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		entry := n.keptName[name]
		if now := n.names[name]; now != entry {
			if w.survives() {
				w.kept++
				entry = now
			} else {
				w.lost++
			}
		}
		if entry != nil {
			m.names[name] = w.leave(entry)
		}
	}
}

// file keeps any sectors of what was not synced. Those that are lost before one that is kept are zero.
func (w *wreck) file(n, m *inode) {
	m.data = slices.Clone(n.safe)
	m.rotten = n.rotten && n.bit/8 < len(n.safe)
	kept, lost := false, false
	for at := len(n.safe) / sector * sector; at < len(n.data); at += sector {
		if !w.survives() {
			lost = true
			continue
		}
		kept = true
		b := n.data[at:min(at+sector, len(n.data))]
		m.data = append(m.data, make([]byte, max(0, at+len(b)-len(m.data)))...)
		copy(m.data[at:], b)
		m.rotten = m.rotten || n.rotten && n.bit/8 >= at && n.bit/8 < at+len(b)
	}
	if kept && lost {
		w.torn++
	}
}

// find walks to the folder of a path.
func (t *tree) find(name string) (folder *inode, last string, err error) {
	parts := strings.Split(strings.Trim(path.Clean("/"+name), "/"), "/")
	folder = t.root
	for _, p := range parts[:len(parts)-1] {
		next := folder.names[p]
		if next == nil || !next.folder {
			return nil, "", &os.PathError{Op: "open", Path: name, Err: os.ErrNotExist}
		}
		folder = next
	}
	return folder, parts[len(parts)-1], nil
}

func (t *tree) inode(name string) (*inode, error) {
	folder, last, err := t.find(name)
	if err != nil {
		return nil, err
	}
	if last == "" {
		return folder, nil
	}
	if n := folder.names[last]; n != nil {
		return n, nil
	}
	return nil, &os.PathError{Op: "open", Path: name, Err: os.ErrNotExist}
}

func (t *tree) create(name string) (*treeFile, error) {
	folder, last, err := t.find(name)
	if err != nil {
		return nil, err
	}
	n := &inode{}
	folder.names[last] = n
	return &treeFile{name: last, inode: n}, nil
}

func (t *tree) open(name string) (*treeFile, error) {
	n, err := t.inode(name)
	if err != nil {
		return nil, err
	}
	return &treeFile{name: path.Base(name), inode: n}, nil
}

func (t *tree) Open(name string, _ ...vfs.OpenOption) (vfs.File, error) { return t.open(name) }

func (t *tree) Remove(name string) error {
	folder, last, err := t.find(name)
	if err == nil && folder.names[last] == nil {
		err = &os.PathError{Op: "remove", Path: name, Err: os.ErrNotExist}
	}
	if err == nil {
		delete(folder.names, last)
	}
	return err
}

func (t *tree) Rename(from, to string) error {
	n, err := t.inode(from)
	if err != nil {
		return err
	}
	folder, last, err := t.find(to)
	if err != nil {
		return err
	}
	folder.names[last] = n
	if path.Clean(from) != path.Clean(to) {
		return t.Remove(from)
	}
	return nil
}

func (t *tree) MkdirAll(name string, _ os.FileMode) error {
	at := t.root
	for _, p := range strings.Split(strings.Trim(path.Clean("/"+name), "/"), "/") {
		if at.names[p] == nil {
			at.names[p] = newFolder()
		}
		at = at.names[p]
	}
	return nil
}

func (t *tree) List(name string) ([]string, error) {
	n, err := t.inode(name)
	if err != nil {
		return nil, err
	}
	return slices.Sorted(maps.Keys(n.names)), nil
}

func (t *tree) Stat(name string) (vfs.FileInfo, error) {
	n, err := t.inode(name)
	if err != nil {
		return nil, err
	}
	return treeInfo{path.Base(name), n}, nil
}

func (t *tree) PathBase(p string) string      { return path.Base(p) }
func (t *tree) PathJoin(all ...string) string { return path.Join(all...) }
func (t *tree) PathDir(p string) string       { return path.Dir(p) }

// each calls f with every file, in the order of their paths.
func (t *tree) each(f func(path string, n *inode)) { t.root.each("", f) }

func (n *inode) each(at string, f func(string, *inode)) {
	if !n.folder {
		f(at, n)
	}
	for _, name := range slices.Sorted(maps.Keys(n.names)) {
		n.names[name].each(path.Join(at, name), f)
	}
}

// A treeFile is an open file or folder.
type treeFile struct {
	vfs.File
	name  string
	inode *inode
	at    int
}

func (f *treeFile) Close() error { return nil }

func (f *treeFile) Read(p []byte) (int, error) {
	n, err := f.ReadAt(p, int64(f.at))
	f.at += n
	if n > 0 {
		err = nil
	}
	return n, err
}

func (f *treeFile) ReadAt(p []byte, at int64) (int, error) {
	n := copy(p, f.inode.data[min(int(at), len(f.inode.data)):])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (f *treeFile) Write(p []byte) (int, error) {
	n, err := f.WriteAt(p, int64(f.at))
	f.at += n
	return n, err
}

func (f *treeFile) WriteAt(p []byte, at int64) (int, error) {
	n, from, to := f.inode, int(at), int(at)+len(p)
	n.data = append(n.data, make([]byte, max(0, to-len(n.data)))...)
	copy(n.data[from:], p)
	n.written(from, to)
	return len(p), nil
}

func (f *treeFile) Stat() (vfs.FileInfo, error) { return treeInfo{f.name, f.inode}, nil }

func (f *treeFile) Sync() error {
	f.inode.sync()
	return nil
}

// A treeInfo tells of a file.
type treeInfo struct {
	name  string
	inode *inode
}

func (i treeInfo) Name() string           { return i.name }
func (i treeInfo) Size() int64            { return int64(len(i.inode.data)) }
func (i treeInfo) Mode() os.FileMode      { return 0o644 }
func (i treeInfo) ModTime() time.Time     { return time.Time{} }
func (i treeInfo) IsDir() bool            { return i.inode.folder }
func (i treeInfo) Sys() any               { return nil }
func (i treeInfo) DeviceID() vfs.DeviceID { return vfs.DeviceID{} }
