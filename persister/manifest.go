package persister

import (
	"fmt"
	"strings"

	"github.com/cockroachdb/errors/oserror"
)

// A manifest tells Pebble which files hold what. One that ends early, or whose end reads as zeros, looks like one whose last records were torn by a power
// cut: Pebble goes on from the record before, and removes the files that came after it. So its length is noted whenever it was synced.

func isManifest(base string) bool { return strings.HasPrefix(base, "MANIFEST-") }

// noteManifest remembers how long a manifest is.
func (h *home) noteManifest(base string, size int64) error {
	line := fmt.Appendf(nil, "%s %d", base, size)
	return replaceFile(h.fs, h.path(manifestTemp), h.path(manifestNote), summed(line))
}

// syncedManifest returns how many bytes of the current manifest were synced, and refuses it if it is shorter. Nothing is known, 0, of folders of a release
// that noted nothing, and of a manifest that was in place at a moment when a power cut came and the next one had been noted.
func (h *home) syncedManifest(manifest string) (int64, error) {
	path := h.path(manifestNote)
	b, err := readFile(h.fs, path)
	if oserror.IsNotExist(err) {
		return 0, nil
	}
	if err != nil {
		return 0, failed(path, "cannot be read", err)
	}
	line, ok := unsummed(b)
	var base string
	var size int64
	if _, err := fmt.Sscanf(string(line), "%s %d", &base, &size); !ok || err != nil {
		return 0, refuse(path, ErrDamaged, "is damaged: its checksum is wrong")
	}
	if h.fs.PathBase(manifest) != base {
		return 0, nil
	}
	info, err := h.fs.Stat(manifest)
	if err != nil {
		return 0, failed(manifest, "cannot be read", err)
	}
	if info.Size() < size {
		return 0, refuse(manifest, ErrDamaged, "is cut off: it has %d bytes and had %d", info.Size(), size)
	}
	return size, nil
}
