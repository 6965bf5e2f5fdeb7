package persister

import (
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/cockroachdb/errors/oserror"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// A manifest tells Pebble which files hold what, and a marker which manifest is the current one. One that ends early, or whose end reads as zeros, looks
// like one whose last records were torn by a power cut: Pebble goes on from the record before, and removes the files that came after it. The one before the
// current stays, and names logs that are gone: with a marker that was put back to it, what was in them is lost without a word. So it is
// noted, with each sync, which manifest is the current one, how long it is, and in which opening it was written.
type manifests struct {
	home *home

	mu      sync.Mutex
	opening opening
	current length
	next    length // of the one that is to become the current one; zero: none
}

// A length is a file's, as far as it was synced.
type length struct {
	base string
	size int64
}

func isManifest(base string) bool { return strings.HasPrefix(base, "MANIFEST-") }

// marked returns the manifest that a marker of that name makes the current one.
func marked(base string) (manifest string, ok bool) {
	_, manifest, ok = strings.Cut(base, ".MANIFEST-")
	return "MANIFEST-" + manifest, ok && strings.HasPrefix(base, "marker.manifest.")
}

// synced notes how long a manifest is. A new one is synced before its marker is made, so that after a power cut either may be the current one.
func (m *manifests) synced(base string, size int64) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if l := (length{base, size}); base == m.current.base {
		m.current = l
	} else {
		m.next = l
	}
	return m.note()
}

// became notes that a manifest's marker is on disk.
func (m *manifests) became(base string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.next.base != base {
		m.next = length{base: base}
	}
	m.current, m.next = m.next, length{}
	return m.note()
}

// opened notes that the database is about to be counted as opened.
func (m *manifests) opened(o opening) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.opening = o
	return m.note()
}

// ended returns the current manifest, as it is noted.
func (m *manifests) ended() closedLog {
	m.mu.Lock()
	defer m.mu.Unlock()
	return closedLog{m.current.base, m.current.size}
}

// note writes the newest manifest, its length, the opening, and the manifest before with its length while that may still be the current one.
// The release before reads the first two words, and writes no more.
func (m *manifests) note() error {
	newest, before := m.current, length{base: "-"}
	if m.next.base != "" {
		newest = m.next
		if m.current.base != "" {
			before = m.current
		}
	}
	line := fmt.Appendf(nil, noteFormat, newest.base, newest.size, m.opening.Mark, m.opening.Count, before.base, before.size)
	return replaceFile(m.home.fs, m.home.path(manifestTemp), m.home.path(manifestNote), summed(line))
}

const noteFormat = "%s %d %d %d %s %d"

// inspect returns how many bytes of the current manifest are known to have been synced. It refuses one that is not the noted one, or shorter than
// noted. Folders of releases that noted nothing, or less, are taken as they are where those would have taken them: nothing is known of them, 0.
func (m *manifests) inspect(marked string) (int64, error) {
	h := m.home
	m.opening, m.current = h.id.Opening, length{base: h.fs.PathBase(marked)}
	path := h.path(manifestNote)
	b, err := readFile(h.fs, path)
	switch {
	case oserror.IsNotExist(err) && h.id.Opening.Mark == 0:
		return 0, nil // releases that count openings note manifests
	case oserror.IsNotExist(err):
		return 0, refuse(path, errors.Join(ErrDamaged, err), "is missing, but the store has been in use")
	case err != nil:
		return 0, failed(path, "cannot be read", err)
	}
	line, ok := unsummed(b)
	var newest, before length
	var noted opening
	n, _ := fmt.Sscanf(string(line), noteFormat, &newest.base, &newest.size, &noted.Mark, &noted.Count, &before.base, &before.size)
	if words := len(strings.Fields(string(line))); !ok || n != words || n != 2 && n != 6 {
		return 0, refuse(path, ErrDamaged, "is damaged: its checksum is wrong")
	}
	full := n == 6 && h.id.Opening.Mark != 0
	if why := noted.follows(h.id.Opening); full && why != "" {
		return 0, refuse(path, ErrDamaged, "%s", why)
	}
	switch m.current.base {
	case newest.base:
		m.current.size = newest.size
	case before.base:
		m.current.size = before.size
	default:
		if full {
			return 0, refuse(marked, ErrDamaged, "is not the newest manifest, which is %s: a part of the folder was put back without the rest", newest.base)
		}
		return 0, nil
	}
	return m.current.size, m.current.lacksNothing(h.fs, marked)
}

// lacksNothing refuses a file that is shorter than it was.
func (l length) lacksNothing(fs vfs.FS, path string) error {
	info, err := fs.Stat(path)
	if err != nil {
		return failed(path, "cannot be read", err)
	}
	if info.Size() < l.size {
		return refuse(path, ErrDamaged, "is cut off: it has %d bytes and had %d", info.Size(), l.size)
	}
	return nil
}
