package sim

import (
	"fmt"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// fs is the node's file system for snapshot files, which fails when it was told to.
func (d *disk) fs() vfs.FS { return &files{tree: d.files, disk: d} }

// files fails the n-th operation that writes or reads, and every one that needs room while the disk is full.
type files struct {
	*tree
	disk *disk
}

// fault is the error of the next operation that writes, nil mostly.
func (f *files) fault() error {
	if d := f.disk; d.full {
		d.touch()
		d.count("snapshot file failed: full")
		return fmt.Errorf("files: %w", errFull)
	}
	return f.broken()
}

// broken is fault for what needs no room.
func (f *files) broken() error {
	f.disk.touch()
	if d := f.disk; d.failFile > 0 {
		if d.failFile--; d.failFile == 0 {
			d.count("snapshot file failed: injected")
			return fmt.Errorf("files: %w", errInjected)
		}
	}
	return nil
}

// unread is the error of the next operation that reads.
func (f *files) unread() error {
	f.disk.touch()
	if d := f.disk; d.failRead > 0 && !d.check.sim.elsewhere() {
		if d.failRead--; d.failRead == 0 {
			d.count("snapshot file failed: read")
			d.unread()
			return fmt.Errorf("files: %w", errRead)
		}
	}
	return nil
}

func (f *files) Create(name string, _ vfs.DiskWriteCategory) (vfs.File, error) {
	if err := f.fault(); err != nil {
		return nil, err
	}
	return f.wrap(f.create(name))
}

func (f *files) wrap(file *treeFile, err error) (vfs.File, error) {
	if err != nil {
		return nil, err
	}
	return &simFile{treeFile: file, files: f}, nil
}

func (f *files) Open(name string, _ ...vfs.OpenOption) (vfs.File, error) {
	if err := f.unread(); err != nil {
		return nil, err
	}
	return f.wrap(f.open(name))
}

func (f *files) OpenReadWrite(name string, _ vfs.DiskWriteCategory, _ ...vfs.OpenOption) (vfs.File, error) {
	if err := f.fault(); err != nil {
		return nil, err
	}
	if _, err := f.inode(name); err != nil {
		return f.wrap(f.create(name))
	}
	return f.wrap(f.open(name))
}

func (f *files) OpenDir(name string) (vfs.File, error) {
	if err := f.unread(); err != nil {
		return nil, err
	}
	return f.wrap(f.open(name))
}

func (f *files) Rename(from, to string) error {
	if err := f.fault(); err != nil {
		return err
	}
	if n, err := f.inode(from); err == nil && n.rotten {
		f.disk.check.fail("rot is found", "node %d takes %s, which rotted, for whole", f.disk.node, from)
	}
	return f.tree.Rename(from, to)
}

func (f *files) Remove(name string) error {
	if err := f.broken(); err != nil {
		return err
	}
	return f.tree.Remove(name)
}

func (f *files) List(name string) ([]string, error) {
	if err := f.unread(); err != nil {
		return nil, err
	}
	return f.tree.List(name)
}

func (f *files) Stat(name string) (vfs.FileInfo, error) {
	if err := f.unread(); err != nil {
		return nil, err
	}
	return f.tree.Stat(name)
}

// A simFile is a file of files.
type simFile struct {
	*treeFile
	files *files
	foul  bool // it was read through, rotten as it is
}

// Read notices who reads what rotted: from one end to the other, as is done to restore a file and before it is sent.
func (f *simFile) Read(p []byte) (int, error) {
	if err := f.files.unread(); err != nil {
		return 0, err
	}
	from := f.at
	n, err := f.treeFile.Read(p)
	if i := f.inode; i.rotten && i.bit/8 >= from && i.bit/8 < from+n {
		f.foul = true
		f.files.disk.readRot(i)
	}
	return n, err
}

func (f *simFile) ReadAt(p []byte, at int64) (int, error) {
	if err := f.files.unread(); err != nil {
		return 0, err
	}
	if f.foul {
		f.files.disk.check.fail("rot is found", "node %d sends %s, which it could see was rotten", f.files.disk.node, f.name)
	}
	return f.treeFile.ReadAt(p, at)
}

func (f *simFile) Write(p []byte) (int, error) {
	if err := f.files.fault(); err != nil {
		return f.short(p, err, f.treeFile.Write)
	}
	return f.treeFile.Write(p)
}

func (f *simFile) WriteAt(p []byte, at int64) (int, error) {
	write := func(p []byte) (int, error) { return f.treeFile.WriteAt(p, at) }
	if err := f.files.fault(); err != nil {
		return f.short(p, err, write)
	}
	f.files.disk.check.sim.arriving(f.files.disk.node)
	return write(p)
}

// short fails a write, of which a first part may have been done.
func (f *simFile) short(p []byte, err error, write func([]byte) (int, error)) (int, error) {
	d := f.files.disk
	n := d.rand.IntN(len(p) + 1)
	if n == 0 {
		return 0, err
	}
	d.count("snapshot file written in part")
	n, _ = write(p[:n])
	return n, err
}

func (f *simFile) Sync() error {
	if err := f.files.fault(); err != nil {
		return err
	}
	return f.treeFile.Sync()
}

func (f *simFile) Stat() (vfs.FileInfo, error) {
	if err := f.files.unread(); err != nil {
		return nil, err
	}
	return f.treeFile.Stat()
}
