package persister

import (
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"slices"
	"strings"
	"syscall"

	"github.com/cockroachdb/errors/oserror"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/troupe-raft/troupe/raft"
)

// The names in a store's folder.
const (
	identityName  = "IDENTITY"
	identityTemp  = "IDENTITY.tmp"
	lockName      = "LOCK"
	newestName    = "NEWEST-LOG"
	newestTemp    = "NEWEST-LOG.tmp"
	manifestNote  = "NEWEST-MANIFEST"
	manifestTemp  = "NEWEST-MANIFEST.tmp"
	databaseName  = "pebble"
	snapshotsName = "snapshots"

	// identityFormat is the format of all that is in the folder but the database. Whatever else the releases before could not read raises it, too.
	identityFormat = 1
)

// Why Open refuses a folder. The error is an *OpenError that wraps one of these, or what the disk said.
var (
	ErrForeign  = errors.New("persister: the folder belongs to another node or cluster")
	ErrNotStore = errors.New("persister: the folder holds something else")
	ErrLocked   = errors.New("persister: the folder is in use")
	ErrDamaged  = errors.New("persister: the store is damaged")
	ErrRelease  = errors.New("persister: another release wrote the store")
)

// An OpenError says, in one line, which file kept a store from opening and why.
type OpenError struct {
	Path   string
	Reason string
	Err    error
}

// remedy is for folders that lack something, since mending a part would hide that.
const remedy = ". Put the whole folder back as it was last, or start on an empty one and have the node readmitted"

// upgrade is the remedy for folders of later releases.
const upgrade = "start that release on it, or a newer one. Nothing was changed"

func (e *OpenError) Error() string {
	text := fmt.Sprintf("persister: %s: %s", e.Path, e.Reason)
	if errors.Is(e.Err, ErrDamaged) {
		text += remedy
	}
	return text
}

func (e *OpenError) Unwrap() error { return e.Err }

func refuse(path string, err error, format string, args ...any) error {
	return &OpenError{Path: path, Reason: fmt.Sprintf(format, args...), Err: err}
}

// failed is a refusal for what the disk said.
func failed(path, doing string, err error) error {
	return refuse(path, err, "%s: %s", doing, cause(path, err))
}

// cause is what the disk said, without the path if that is the one that is named already.
func cause(path string, err error) string {
	words := err.Error()
	if oserror.IsPermission(err) {
		words += " (give it to the user that this process runs as, or name another folder)"
	}
	if at := (*os.PathError)(nil); errors.As(err, &at) && at.Path == path {
		return strings.Replace(words, at.Error(), at.Err.Error(), 1)
	}
	return words
}

// An identity is the content of the IDENTITY file: one line of JSON, then the line's CRC32C in hexadecimal.
type identity struct {
	Format  int         `json:"format"`
	Cluster string      `json:"cluster"`
	Node    raft.NodeID `json:"node"`
	// Ready is written when the database exists. Before that it may be half made and
	// is made anew; after that it must be there.
	Ready bool `json:"ready"`
	// Store and Start are of the last start that spoke to others (raft.Incarnation); 0 in folders of a release without them.
	Store uint64 `json:"store,omitempty"`
	Start uint64 `json:"start,omitempty"`
	// Founders is the checksum of the founding members that the folder was made with (Config.Founders); 0: not known.
	Founders uint32 `json:"founders,omitempty"`
	// Opening is the latest one; none in folders of a release that did not count them.
	Opening opening `json:"opening,omitzero"`
	// Peers is the checksum of PEERS; 0: there is none, or a release wrote it that does not name it here.
	Peers uint32 `json:"peers,omitempty"`
	// Forgotten is Peers where nothing of it counts any more (Store.Renew).
	Forgotten uint32 `json:"forgotten,omitempty"`
	// Logs are those of a store that ended cleanly, as long as they are, and the manifest that goes with them; none while it is open, after a crash, and of a release that does not note them.
	Logs []closedLog `json:"logs,omitempty"`
}

// A closedLog is a write-ahead log that was synced and closed, and is never written again, or the current manifest at that time.
type closedLog struct {
	Name string `json:"name"`
	Size int64  `json:"size"`
}

func (id identity) encode() []byte {
	line, err := json.Marshal(id)
	if err != nil {
		panic(err) // no field can fail
	}
	return summed(line)
}

func decodeIdentity(b []byte) (id identity, ok bool) {
	line, ok := unsummed(b)
	return id, ok && json.Unmarshal(line, &id) == nil
}

// identityFormatOf is the format alone, which every release finds in the same place, whatever the other fields of a later one are.
func identityFormatOf(b []byte) (format int, ok bool) {
	var id struct {
		Format int `json:"format"`
	}
	line, ok := unsummed(b)
	return id.Format, ok && json.Unmarshal(line, &id) == nil
}

// summed makes a small text file of a line.
func summed(line []byte) []byte {
	return fmt.Appendf(nil, "%s\n%08x\n", line, crc32.Checksum(line, castagnoli))
}

func unsummed(b []byte) (line []byte, ok bool) {
	const tail = 1 + 8 + 1
	if len(b) < tail {
		return nil, false
	}
	line = b[:len(b)-tail]
	return line, string(b[len(line):]) == fmt.Sprintf("\n%08x\n", crc32.Checksum(line, castagnoli))
}

// A home is a store's folder, locked.
type home struct {
	fs   vfs.FS
	dir  string
	lock io.Closer
	id   identity
}

func (h *home) path(name string) string { return h.fs.PathJoin(h.dir, name) }

func (h *home) close() error { return h.lock.Close() }

// enter locks dir, which it makes if need be, and checks that it is want's, whose cluster counts for a new one alone if keepCluster.
func enter(fs vfs.FS, dir string, want identity, keepCluster bool) (_ *home, err error) {
	h := &home{fs: fs, dir: dir, id: want}
	switch info, err := fs.Stat(dir); {
	case oserror.IsNotExist(err):
	case err != nil:
		return nil, failed(dir, "cannot be read", err)
	case !info.IsDir():
		return nil, refuse(dir, ErrNotStore, "is not a folder")
	}
	if err := makeDir(fs, dir); err != nil {
		return nil, failed(dir, "cannot be made", err)
	}
	names, err := fs.List(dir)
	if err != nil {
		return nil, failed(dir, "cannot be read", err)
	}
	if !slices.Contains(names, identityName) {
		for _, name := range names {
			if name != lockName && name != identityTemp { // what a first start may leave when it is cut short
				return nil, refuse(dir, ErrNotStore, "is neither empty nor a store: it has %q but no %s", name, identityName)
			}
		}
	}
	if h.lock, err = fs.Lock(h.path(lockName)); err != nil {
		return nil, unlocked(h.path(lockName), err)
	}
	if err = h.identify(want, keepCluster); err != nil {
		return nil, errors.Join(err, h.close())
	}
	return h, nil
}

// unlocked says why there is no lock. What is no error of the system is this process's own lock.
func unlocked(path string, err error) error {
	if oserror.IsPermission(err) {
		return failed(path, "cannot be locked", err)
	}
	words := "is in use"
	if system := syscall.Errno(0); errors.As(err, &system) && system != syscall.EAGAIN {
		words = fmt.Sprintf("cannot be locked (%s) and may be in use", cause(path, err))
	}
	return refuse(path, errors.Join(ErrLocked, err), "%s: if another process runs on this folder, stop that one, or name another folder", words)
}

// identify reads the identity, again under the lock, or founds it.
func (h *home) identify(want identity, keepCluster bool) error {
	path := h.path(identityName)
	b, err := readFile(h.fs, path)
	if oserror.IsNotExist(err) {
		return h.identifyAs(want)
	}
	if err != nil {
		return failed(path, "cannot be read", err)
	}
	if format, ok := identityFormatOf(b); ok && format > identityFormat {
		return refuse(path, ErrRelease, "has format %d, and this release of Troupe knows format %d: a later one wrote the folder; %s", format, identityFormat, upgrade)
	}
	id, ok := decodeIdentity(b)
	switch {
	case !ok || id.Format != identityFormat:
		return refuse(path, ErrDamaged, "is damaged: its checksum is wrong")
	case id.Node != want.Node:
		return refuse(path, ErrForeign, "belongs to node %d of cluster %q, not to node %d: start that node on it, or give this one the folder that it had, or a new one",
			id.Node, id.Cluster, want.Node)
	case id.Cluster != want.Cluster && !keepCluster:
		return refuse(path, ErrForeign, "belongs to cluster %q, not to cluster %q: name the cluster as the folder does (cluster = %q, HostConfig.Cluster), or give the node "+
			"another folder", id.Cluster, want.Cluster, id.Cluster)
	}
	h.id = id
	return nil
}

func (h *home) identifyAs(id identity) error {
	if err := replaceFile(h.fs, h.path(identityTemp), h.path(identityName), id.encode()); err != nil {
		return failed(h.path(identityName), "cannot be written", err)
	}
	h.id = id
	return nil
}

// noteLog remembers the newest write-ahead log, so that its absence is noticed; none when name is empty.
func (h *home) noteLog(name string) error {
	return replaceFile(h.fs, h.path(newestTemp), h.path(newestName), summed([]byte(name)))
}

// newestLog returns the name that noteLog was given last.
func (h *home) newestLog() (string, error) {
	path := h.path(newestName)
	b, err := readFile(h.fs, path)
	if oserror.IsNotExist(err) {
		return "", refuse(path, errors.Join(ErrDamaged, err), "is missing, but the store has been in use")
	}
	if err != nil {
		return "", failed(path, "cannot be read", err)
	}
	line, ok := unsummed(b)
	if !ok {
		return "", refuse(path, ErrDamaged, "is damaged: its checksum is wrong")
	}
	return string(line), nil
}

func readFile(fs vfs.FS, path string) (_ []byte, err error) {
	f, err := fs.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	return io.ReadAll(f)
}

func writeFile(fs vfs.FS, path string, b []byte) error {
	f, err := fs.Create(path, vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// replaceFile writes a small file so that a crash leaves the old one or the new one, whole.
func replaceFile(fs vfs.FS, temp, path string, b []byte) error {
	if err := writeFile(fs, temp, b); err != nil {
		return err
	}
	if err := fs.Rename(temp, path); err != nil {
		return err
	}
	return syncDir(fs, fs.PathDir(path))
}

func syncDir(fs vfs.FS, dir string) error {
	d, err := fs.OpenDir(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
