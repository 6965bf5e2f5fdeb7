package persister

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// namesOf returns what the folder d has that begins with one of some prefixes. Markers are empty.
func namesOf(t *testing.T, disk *vfs.MemFS, prefixes ...string) (parts []string) {
	t.Helper()
	for _, dir := range []string{"", databaseName + "/"} {
		names, err := disk.List("d/" + dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			if slices.ContainsFunc(prefixes, func(prefix string) bool { return strings.HasPrefix(dir+name, prefix) }) {
				parts = append(parts, dir+name)
			}
		}
	}
	return parts
}

// TestOlderManifest: the manifest before the current one stays beside it, and the logs that it would have replayed are gone. Whatever makes it
// the current one again is noticed.
func TestOlderManifest(t *testing.T) {
	const marker, manifests = "pebble/marker.manifest.", "pebble/MANIFEST-"
	cut, _ := populate(t)
	older := flushed(t, cut)
	disk := older.CrashClone(vfs.CrashCloneCfg{})
	r := start(t, config(disk, "d"))
	r.loaded(1)
	r.write(1, padded(10, 25, 2, 300))
	want := r.loaded(1)
	r.stopped()
	disk = flushed(t, disk) // the log before is gone
	for _, back := range [][]string{{marker}, {marker, manifests}, {manifestNote}, {marker, manifests, manifestNote}} {
		mixed := disk.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 100, RNG: rand.New(rand.NewPCG(1, 1))})
		for _, part := range namesOf(t, mixed, back...) {
			if err := mixed.RemoveAll("d/" + part); err != nil {
				t.Fatal(err)
			}
		}
		putBack(t, older, mixed, namesOf(t, older, back...)...)
		if !outcome(t, mixed, want, strings.Join(back, ", ")) {
			t.Errorf("nobody notices that %v are an older copy's", back)
		}
	}
	if outcome(t, disk, want, "untouched") {
		t.Error("a folder that lacks nothing is refused")
	}
}

// TestManifestNoteIsMissed: without it a manifest that was cut off would not be.
func TestManifestNoteIsMissed(t *testing.T) {
	cut, want := populate(t)
	disk := flushed(t, cut.CrashClone(vfs.CrashCloneCfg{}))
	if err := disk.Remove("d/" + manifestNote); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(config(disk, "d")); !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), manifestNote) {
		t.Errorf("without the note: %v", err)
	}
	// A release that noted nothing counted no openings.
	id, ok := decodeIdentity(must(readFile(disk, "d/IDENTITY")))
	if id.Opening = (opening{}); !ok {
		t.Fatal("no identity")
	}
	if err := writeFile(disk, "d/IDENTITY", id.encode()); err != nil {
		t.Fatal(err)
	}
	if outcome(t, disk, want, "of a release that noted nothing") {
		t.Error("a folder of a release that noted nothing is refused")
	}
}

// TestManifestNotesOfTheReleaseBefore name a manifest and its length only; the next one may have been noted when a power cut came.
func TestManifestNotesOfTheReleaseBefore(t *testing.T) {
	cut, want := populate(t)
	disk := flushed(t, cut.CrashClone(vfs.CrashCloneCfg{}))
	for line, refused := range map[string]bool{
		"MANIFEST-000777 12":                                           false,
		disk.PathBase(manifest(t, disk)) + " 12":                       false,
		disk.PathBase(manifest(t, disk)) + " 123456":                   true,
		disk.PathBase(manifest(t, disk)) + " 12 0":                     true,
		disk.PathBase(manifest(t, disk)) + " 12 1 1 - 0":               true,
		disk.PathBase(manifest(t, disk)) + " 12 1 1 - 0 and a seventh": true,
	} {
		copied := disk.CrashClone(vfs.CrashCloneCfg{})
		if err := writeFile(copied, "d/"+manifestNote, summed([]byte(line))); err != nil {
			t.Fatal(err)
		}
		if got := outcome(t, copied, want, line); got != refused {
			t.Errorf("%q is refused: %t", line, got)
		}
		if !refused && !bytes.HasPrefix(must(readFile(copied, "d/"+manifestNote)), []byte("MANIFEST-")) {
			t.Errorf("after %q nothing is noted", line)
		}
	}
}

// TestRefusalsSayWhatToDo, whatever of the folder is missing or damaged; of one that is another node's there is nothing to be done.
func TestRefusalsSayWhatToDo(t *testing.T) {
	cut, _ := populate(t)
	disk := flushed(t, cut.CrashClone(vfs.CrashCloneCfg{}))
	refused := 0
	for _, file := range files(t, disk) {
		copied := disk.CrashClone(vfs.CrashCloneCfg{})
		if err := writeFile(copied, file, []byte("damaged")); err != nil {
			t.Fatal(err)
		}
		store, err := Open(config(copied, "d"))
		if err == nil {
			if err := store.Close(); err != nil {
				t.Error(err)
			}
			continue
		}
		if refused++; strings.Count(err.Error(), "readmitted") != 1 {
			t.Errorf("damaged %s: %v", file, err)
		}
	}
	if refused < 5 {
		t.Errorf("%d of the files are missed", refused)
	}
	cfg := config(disk, "d")
	cfg.Node++
	if _, err := Open(cfg); !errors.Is(err, ErrForeign) || strings.Contains(err.Error(), "readmitted") {
		t.Errorf("another node's: %v", err)
	}
}
