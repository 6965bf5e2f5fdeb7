package persister

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/atomicfs"
)

// contents are a disk's files, but for the lock.
func contents(t *testing.T, disk vfs.FS) map[string]string {
	t.Helper()
	found := map[string]string{}
	for _, file := range files(t, disk) {
		b, err := readFile(disk, file)
		if err != nil {
			t.Fatal(err)
		}
		found[file] = string(b)
	}
	return found
}

// wantOtherRelease opens a folder that another release wrote. The refusal names the folder, both formats and the remedy, says nothing of damage, and changes
// nothing.
func wantOtherRelease(t *testing.T, disk vfs.FS, words ...string) {
	t.Helper()
	before := contents(t, disk)
	err := openClose(t, config(disk, "d"))
	refusal(t, err, "d/", ErrRelease)
	if errors.Is(err, ErrDamaged) || errors.Is(err, ErrForeign) {
		t.Errorf("taken for something else: %v", err)
	}
	for _, word := range words {
		if err == nil || !strings.Contains(err.Error(), word) {
			t.Errorf("%v: nothing of %q", err, word)
		}
	}
	if err != nil && strings.Contains(err.Error(), "readmitted") {
		t.Errorf("the remedy for damage: %v", err)
	}
	if after := contents(t, disk); !reflect.DeepEqual(before, after) {
		t.Errorf("it was changed: %d files, were %d", len(after), len(before))
	}
}

// TestIdentityOfALaterRelease: whatever else such a release says in IDENTITY.
func TestIdentityOfALaterRelease(t *testing.T) {
	cut, _ := populate(t)
	b, err := readFile(cut, "d/"+identityName)
	if err != nil {
		t.Fatal(err)
	}
	id, ok := decodeIdentity(b)
	if !ok {
		t.Fatalf("%q", b)
	}
	id.Format++
	same, err := json.Marshal(id)
	if err != nil {
		t.Fatal(err)
	}
	for what, line := range map[string]string{
		"the same fields": string(same),
		"other fields":    fmt.Sprintf(`{"format":%d,"cluster":{"name":"test"},"node":"one"}`, identityFormat+1),
	} {
		t.Run(what, func(t *testing.T) {
			disk := cut.CrashClone(vfs.CrashCloneCfg{})
			if err := writeFile(disk, "d/"+identityName, summed([]byte(line))); err != nil {
				t.Fatal(err)
			}
			wantOtherRelease(t, disk, fmt.Sprintf("format %d", identityFormat+1), fmt.Sprintf("format %d", identityFormat), "start that release")
		})
	}
}

// TestDatabaseOfAnotherRelease: Pebble's formats have numbers of their own.
func TestDatabaseOfAnotherRelease(t *testing.T) {
	cut, want := populate(t)
	for _, c := range []struct {
		format pebble.FormatMajorVersion
		remedy string
	}{
		{pebble.FormatNewest + 1, "start that release"},
		{pebble.FormatMinSupported - 1, "start a release in between"},
	} {
		disk := cut.CrashClone(vfs.CrashCloneCfg{})
		mark(t, disk, c.format)
		wantOtherRelease(t, disk, fmt.Sprintf("database format %d", c.format), fmt.Sprintf("%d to %d", pebble.FormatMinSupported, pebble.FormatNewest), c.remedy)
		mark(t, disk, pebble.FormatNewest)
		if outcome(t, disk, want, "by its own release again") {
			t.Error("refused")
		}
	}
}

func mark(t *testing.T, disk vfs.FS, format pebble.FormatMajorVersion) {
	t.Helper()
	m, _, err := atomicfs.LocateMarker(disk, "d/"+databaseName, formatMarker)
	if err == nil {
		err = errors.Join(m.Move(fmt.Sprintf("%03d", format)), m.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
}
