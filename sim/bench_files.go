package sim

import (
	"os"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// A brittle file system fails one of its operations, or panics in it, as drivers of file systems within a program may.
type brittle struct {
	*tree
	left   int // operations until the one that fails; 0: none does
	panics bool
	gone   bool   // it says of it that there is no such file
	amid   func() // is called instead
}

func (f *brittle) op() error {
	if f.left == 0 {
		return nil
	}
	if f.left--; f.left > 0 {
		return nil
	}
	switch {
	case f.amid != nil:
		f.amid()
		return nil
	case f.panics:
		panic(errSabotage)
	case f.gone:
		return os.ErrNotExist
	}
	return errInjected
}

func (f *brittle) file(n *treeFile, err error) (vfs.File, error) {
	if err != nil {
		return nil, err
	}
	return &brittleFile{n, f}, nil
}

func (f *brittle) Create(name string, _ vfs.DiskWriteCategory) (vfs.File, error) {
	if err := f.op(); err != nil {
		return nil, err
	}
	return f.file(f.create(name))
}

func (f *brittle) Open(name string, _ ...vfs.OpenOption) (vfs.File, error) {
	if err := f.op(); err != nil {
		return nil, err
	}
	return f.file(f.open(name))
}

func (f *brittle) OpenReadWrite(name string, _ vfs.DiskWriteCategory, _ ...vfs.OpenOption) (vfs.File, error) {
	if err := f.op(); err != nil {
		return nil, err
	}
	if _, err := f.inode(name); err != nil {
		return f.file(f.create(name))
	}
	return f.file(f.open(name))
}

func (f *brittle) OpenDir(name string) (vfs.File, error) { return f.Open(name) }

func (f *brittle) Rename(from, to string) error {
	if err := f.op(); err != nil {
		return err
	}
	return f.tree.Rename(from, to)
}

func (f *brittle) Remove(name string) error {
	if err := f.op(); err != nil {
		return err
	}
	return f.tree.Remove(name)
}

func (f *brittle) MkdirAll(name string, mode os.FileMode) error {
	if err := f.op(); err != nil {
		return err
	}
	return f.tree.MkdirAll(name, mode)
}

func (f *brittle) List(name string) ([]string, error) {
	if err := f.op(); err != nil {
		return nil, err
	}
	return f.tree.List(name)
}

func (f *brittle) Stat(name string) (vfs.FileInfo, error) {
	if err := f.op(); err != nil {
		return nil, err
	}
	return f.tree.Stat(name)
}

type brittleFile struct {
	*treeFile
	fs *brittle
}

func (f *brittleFile) Read(p []byte) (int, error) {
	if err := f.fs.op(); err != nil {
		return 0, err
	}
	return f.treeFile.Read(p)
}

func (f *brittleFile) ReadAt(p []byte, at int64) (int, error) {
	if err := f.fs.op(); err != nil {
		return 0, err
	}
	return f.treeFile.ReadAt(p, at)
}

func (f *brittleFile) Write(p []byte) (int, error) {
	if err := f.fs.op(); err != nil {
		return 0, err
	}
	return f.treeFile.Write(p)
}

func (f *brittleFile) WriteAt(p []byte, at int64) (int, error) {
	if err := f.fs.op(); err != nil {
		return 0, err
	}
	return f.treeFile.WriteAt(p, at)
}

func (f *brittleFile) Sync() error {
	if err := f.fs.op(); err != nil {
		return err
	}
	return f.treeFile.Sync()
}

func (f *brittleFile) Stat() (vfs.FileInfo, error) {
	if err := f.fs.op(); err != nil {
		return nil, err
	}
	return f.treeFile.Stat()
}
