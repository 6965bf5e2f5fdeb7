package persister

import (
	"os"
	"path"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
)

// A store's folder may lie in folders that are new as well: whatever is acknowledged survives a power cut with all of them, also when
// an earlier start made them and ended before their names were on the disk.
func TestAcknowledgedNodeSurvivesInNewFolders(t *testing.T) {
	for _, dir := range []string{"d", "data/1", "/data/1", "/srv/troupe/data/1"} {
		for _, made := range []string{"", dir, path.Dir(dir)} {
			disk := vfs.NewCrashableMem()
			if made != "" {
				if err := disk.MkdirAll(made, 0o755); err != nil {
					t.Fatal(err)
				}
			}
			r := start(t, config(disk, dir))
			r.loaded(1)
			r.write(1, block(1, 1, 3))
			cut := disk.CrashClone(vfs.CrashCloneCfg{})
			r.stopped()
			r = start(t, config(cut, dir))
			if l := r.load(1); l.Fresh || l.State.Hard.Term != 1 || len(l.State.Runs) != 1 {
				t.Errorf("%s, where %q was there but not on the disk: after the power cut fresh %v, %+v", dir, made, l.Fresh, l.State)
			}
			r.stopped()
		}
	}
}

// A folder above that was there before and may not be read is somebody else's to keep; one whose new entry cannot be synced is not.
func TestFoldersThatMayNotBeRead(t *testing.T) {
	for _, there := range []bool{true, false} {
		mem := vfs.NewMem()
		if there {
			if err := mem.MkdirAll("/srv/troupe", 0o755); err != nil {
				t.Fatal(err)
			}
		}
		closed := errorfs.InjectorFunc(func(op errorfs.Op) error {
			if op.Kind == errorfs.OpOpenDir && (op.Path == "/" || op.Path == "/srv") {
				return os.ErrPermission
			}
			return nil
		})
		err := makeDir(errorfs.Wrap(mem, closed), "/srv/troupe/data/1")
		if (err == nil) != there {
			t.Errorf("/srv/troupe was there: %v; got %v", there, err)
		}
	}
}
