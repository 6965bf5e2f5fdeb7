package persister

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/troupe-raft/troupe/raft"
)

// Pebble's file system in memory spoils what it is given to write where the race detector is on, so that nobody keeps it: hence the clones.

// TestCutFiles cuts each file of a store that ended cleanly. It must be missed, or nothing be lost.
func TestCutFiles(t *testing.T) {
	cut, want := populate(t)
	closed := flushed(t, cut.CrashClone(vfs.CrashCloneCfg{}))
	for _, file := range files(t, closed) {
		content, err := readFile(closed, file)
		if err != nil {
			t.Fatal(err)
		}
		for _, length := range []int{0, 1, len(content) / 2, len(content) - 10, len(content) - 1} {
			copied := closed.CrashClone(vfs.CrashCloneCfg{})
			if err := writeFile(copied, file, bytes.Clone(content[:max(length, 0)])); err != nil {
				t.Fatal(err)
			}
			refused := outcome(t, copied, want, "cut "+file)
			if (file == manifest(t, closed) || isLog(file)) && !refused {
				t.Errorf("nobody misses what %s has from byte %d on", file, length)
			}
		}
	}
}

// manifest is the current one.
func manifest(t *testing.T, disk vfs.FS) string {
	t.Helper()
	desc, err := pebble.Peek("d/pebble", disk)
	if err != nil {
		t.Fatal(err)
	}
	return desc.ManifestFilename
}

// TestManifestIsMissedBeforePebbleGoesOnWithoutIt: it would remove the files that came after.
func TestManifestIsMissedBeforePebbleGoesOnWithoutIt(t *testing.T) {
	cut, want := populate(t)
	disk := flushed(t, cut.CrashClone(vfs.CrashCloneCfg{}))
	file := manifest(t, disk)
	whole, err := readFile(disk, file)
	if err != nil {
		t.Fatal(err)
	}
	if err := writeFile(disk, file, bytes.Clone(whole[:len(whole)-1])); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(config(disk, "d")); !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), file) {
		t.Errorf("one byte short: %v", err)
	}
	if err := writeFile(disk, file, bytes.Clone(whole)); err != nil {
		t.Fatal(err)
	}
	if outcome(t, disk, want, "made whole again") {
		t.Error("what the refused open left is damaged")
	}
}

// putBack copies some of a folder's parts from another image of it.
func putBack(t *testing.T, from, to *vfs.MemFS, parts ...string) {
	t.Helper()
	for _, part := range parts {
		path := to.PathJoin("d", part)
		if err := to.RemoveAll(path); err != nil {
			t.Fatal(err)
		}
		if ok, err := vfs.Clone(from, to, path, path); err != nil || !ok {
			t.Fatalf("%s: %v, %v", path, ok, err)
		}
	}
}

// TestPartsOfAnOlderCopy: whatever of a folder, but the snapshots, is put back without the rest to what it was two openings ago is noticed. Only IDENTITY, with
// or without PEERS, may be that of the opening before (TestOpeningCutShort). Single files of the database have tests of their own.
func TestPartsOfAnOlderCopy(t *testing.T) {
	older, _ := populate(t)
	s := opened(t, older)
	meet(t, s, meeting{2, acquaintance(1)})
	closed(t, s)
	disk := older.CrashClone(vfs.CrashCloneCfg{})
	older = flushed(t, older)
	for n := range uint64(3) {
		s := opened(t, disk)
		meet(t, s, meeting{2, acquaintance(2 + n)})
		closed(t, s)
	}
	r := start(t, config(disk, "d"))
	want := r.loaded(1)
	r.stopped()
	database := []string{databaseName, newestName, manifestNote}
	for _, parts := range [][]string{
		database, database[:1], database[:2], {identityName}, {peersName}, {identityName, peersName}, append(slices.Clone(database), identityName), append(slices.Clone(database), peersName),
	} {
		mixed := disk.CrashClone(vfs.CrashCloneCfg{})
		putBack(t, older, mixed, parts...)
		if !outcome(t, mixed, want, strings.Join(parts, ", ")) {
			t.Errorf("nobody notices that %v is an older copy's", parts)
		}
	}
	whole := disk.CrashClone(vfs.CrashCloneCfg{})
	putBack(t, older, whole, append(slices.Clone(database), identityName, peersName)...)
	if err := openClose(t, config(whole, "d")); err != nil {
		t.Errorf("the whole folder, which others tell: %v", err)
	}
	other, _ := populate(t)
	other = flushed(t, other)
	putBack(t, other, disk, database...)
	if _, err := Open(config(disk, "d")); !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), "another folder's") {
		t.Errorf("another folder's database: %v", err)
	}
}

// TestOpeningCutShort: a power cut after the database was counted and before IDENTITY was leaves a store that opens.
func TestOpeningCutShort(t *testing.T) {
	for _, first := range []bool{true, false} {
		disk := vfs.NewCrashableMem()
		if !first {
			disk = flushed(t, disk)
		}
		before := disk.CrashClone(vfs.CrashCloneCfg{})
		disk = flushed(t, disk)
		if first { // the database is there, and nothing was counted
			id, ok := decodeIdentity(must(readFile(disk, "d/IDENTITY")))
			if id.Opening = (opening{}); !ok {
				t.Fatal("no identity")
			}
			if err := writeFile(disk, "d/IDENTITY", id.encode()); err != nil {
				t.Fatal(err)
			}
		} else {
			putBack(t, before, disk, identityName)
		}
		if err := openClose(t, config(disk, "d")); err != nil {
			t.Errorf("the first opening %t: %v", first, err)
		}
	}
}

func must(b []byte, err error) []byte {
	if err != nil {
		panic(err)
	}
	return b
}

// TestOpeningsCutShort: nor do several of them in a row, as of a node that is killed, or whose disk is full, whenever it starts.
func TestOpeningsCutShort(t *testing.T) {
	disk := flushed(t, vfs.NewCrashableMem())
	before := disk.CrashClone(vfs.CrashCloneCfg{})
	for n := range 4 {
		if err := openClose(t, config(disk, "d")); err != nil {
			t.Fatalf("after %d that were cut short: %v", n, err)
		}
		putBack(t, before, disk, identityName)
	}
}

func TestOpeningFollows(t *testing.T) {
	for _, c := range []struct {
		database, identity opening
		why                string
	}{
		{opening{}, opening{}, ""},
		{opening{7, 3}, opening{}, ""}, // a release that counts none wrote IDENTITY
		{opening{7, 3}, opening{7, 3}, ""},
		{opening{7, 4}, opening{7, 3}, ""},
		{opening{7, 5}, opening{7, 3}, "newer"},
		{opening{7, 2}, opening{7, 3}, "older"},
		{opening{8, 3}, opening{7, 3}, "another"},
		{opening{}, opening{7, 3}, "lost"},
	} {
		why := c.database.follows(c.identity)
		if why == "" != (c.why == "") || !strings.Contains(why, c.why) {
			t.Errorf("%+v after %+v: %q", c.database, c.identity, why)
		}
	}
}

// TestZeroedManifest has the end of a manifest, which was synced, read as zeros. Pebble takes that for an end that a power cut tore, and a group
// that a table has which is named there for one that never was: it would vote again.
func TestZeroedManifest(t *testing.T) {
	disk := vfs.NewCrashableMem()
	cfg := config(disk, "d")
	cfg.MemTableBytes = 256 << 10
	r := start(t, cfg)
	r.loaded(1)
	for i := range raft.Index(48) { // several tables, each named by a record
		r.write(1, padded(1, 1+2*i, 2, 20_000))
		if i == 24 {
			r.loaded(2)
			r.send(&Write{Group: 2, Hard: &raft.HardState{Term: 3, Vote: 1}, Ack: &raft.Persisted{}, ReplyTo: r.me})
			expect[*Persisted](r)
		}
	}
	r.stopped()
	file := manifest(t, disk)
	whole := must(readFile(disk, file))
	s, records := scanner{bad: -1}, 0
	for at := 0; at < len(whole); records++ {
		c, ok := s.chunk(whole[at:])
		if !ok {
			t.Fatalf("no record at byte %d of %s", at, file)
		}
		zeroed := bytes.Clone(whole)
		clear(zeroed[at:])
		copied := disk.CrashClone(vfs.CrashCloneCfg{})
		if err := writeFile(copied, file, zeroed); err != nil {
			t.Fatal(err)
		}
		if err := openClose(t, config(copied, "d")); !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), file) {
			t.Errorf("zeros from byte %d of %d on: %v", at, len(whole), err)
		}
		at += c.size
	}
	if records < 4 {
		t.Errorf("%d records are too few", records)
	}
}
