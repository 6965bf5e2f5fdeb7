package persister

import (
	"fmt"
	"strings"

	"github.com/cockroachdb/errors/oserror"
)

// A manifest tells Pebble which files hold what. One that ends early looks like one whose last record was torn by a power cut: Pebble goes
// on from the record before, and removes the files that came after it. So its length is noted whenever it was synced.

func isManifest(base string) bool { return strings.HasPrefix(base, "MANIFEST-") }

// noteManifest remembers how long a manifest is.
func (h *home) noteManifest(base string, size int64) error {
	line := fmt.Appendf(nil, "%s %d", base, size)
	return replaceFile(h.fs, h.path(manifestTemp), h.path(manifestNote), summed(line))
}

// lacksNothing refuses the current manifest if it is shorter than it was. Folders of a release that noted nothing, and a manifest that took
// the place of the noted one at a moment when a power cut came, are taken as they are.
func (h *home) lacksNothing(manifest string) error {
	path := h.path(manifestNote)
	b, err := readFile(h.fs, path)
	if oserror.IsNotExist(err) {
		return nil
	}
	if err != nil {
		return failed(path, "cannot be read", err)
	}
	line, ok := unsummed(b)
	var base string
	var size int64
	if _, err := fmt.Sscanf(string(line), "%s %d", &base, &size); !ok || err != nil {
		return refuse(path, ErrDamaged, "is damaged: its checksum is wrong")
	}
	if h.fs.PathBase(manifest) != base {
		return nil
	}
	info, err := h.fs.Stat(manifest)
	if err != nil {
		return failed(manifest, "cannot be read", err)
	}
	if info.Size() < size {
		return refuse(manifest, ErrDamaged, "is cut off: it has %d bytes and had %d", info.Size(), size)
	}
	return nil
}
