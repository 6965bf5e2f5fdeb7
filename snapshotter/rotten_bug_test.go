package snapshotter

import (
	"bytes"
	"errors"
	"os"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/troupe-raft/troupe/raft"
)

// spoil flips a bit of the snapshot at an index.
func spoil(t testing.TB, fs vfs.FS, index raft.Index) {
	t.Helper()
	b := raw(t, fs, index)
	b[len(b)/2] ^= 1
	put(t, fs, fs.PathJoin(dir, fileName(index, 2)), b)
}

// among returns what of a type the parent was told, once.
func among[T any](t testing.TB, told []any) (found T) {
	t.Helper()
	n := 0
	for _, m := range told {
		if v, ok := m.(T); ok {
			found, n = v, n+1
		}
	}
	if n != 1 {
		t.Fatalf("told %d %T among %v, want one", n, found, told)
	}
	return found
}

// A leader whose newest snapshot has rotted takes another at once, also when nothing was applied since, and feeds the follower from it.
func TestRottenSnapshotIsTakenAnew(t *testing.T) {
	for _, index := range []raft.Index{9, 12} { // where the state machine stands by now
		w, _ := newSender(t, 1, 20_000, 2)
		spoil(t, w.nodes[1].fs, 9)
		w.tell(1, &Send{Peer: 2, Term: 2, Leader: 1})
		told := said[any](w, 1)
		rotten := among[*Unusable](t, told)
		if file := (*FileError)(nil); rotten.Meta.Index != 9 || !errors.As(rotten.Err, &file) {
			t.Errorf("%+v", rotten)
		}
		among[*WantCapture](t, told)
		w.tell(1, &Send{Peer: 2, Term: 2, Leader: 1}) // impatient: what is known to be rotten is not read again
		for _, m := range said[any](w, 1) {
			if sent, ok := m.(*Sent); !ok || !errors.Is(sent.Err, ErrNoSnapshot) {
				t.Errorf("%T %+v", m, m)
			}
		}
		b := content(uint64(index), 10_000)
		w.tell(1, &Captured{Meta: metaAt(index), Write: writes(b)})
		if taken := one[*Taken](w, 1); taken.Err != nil || taken.Meta.Index != index {
			t.Fatalf("%+v", taken)
		}
		w.send(1, &Send{Peer: 2, Term: 2, Leader: 1})
		w.until(1)
		if sent := one[*Sent](w, 1); sent.Err != nil || sent.Index != index {
			t.Fatalf("%+v", sent)
		}
		if got, err := payload(w.nodes[2].fs, metaAt(index)); err != nil || !bytes.Equal(got, b) {
			t.Fatalf("node 2 has %d bytes of %d: %v", len(got), len(b), err)
		}
	}
}

// A file that is gone, or that the disk does not give, is as good as rotten.
func TestMissingSnapshotIsTakenAnew(t *testing.T) {
	w := newWorld(t, 1, 1, 2)
	w.tell(1, &Kept{Meta: metaAt(9)})
	w.tell(1, &Send{Peer: 2, Term: 2, Leader: 1})
	told := said[any](w, 1)
	if u := among[*Unusable](t, told); !errors.Is(u.Err, os.ErrNotExist) {
		t.Errorf("%+v", u)
	}
	among[*WantCapture](t, told)
}

// What is taken anew replaces the rotten file only once it is whole; while that fails, it is tried again with each Send.
func TestTakingAnewIsTriedAgain(t *testing.T) {
	full := false
	w := newTaker(t, func(fs vfs.FS) vfs.FS {
		return errorfs.Wrap(fs, errorfs.InjectorFunc(func(o errorfs.Op) error {
			if full && o.Kind == errorfs.OpFileWrite {
				return errors.New("no space left on device")
			}
			return nil
		}))
	})
	mustWrite(t, w.nodes[1].fs, 9, content(1, 20_000))
	w.tell(1, &Kept{Meta: metaAt(9)})
	spoil(t, w.nodes[1].fs, 9)
	full = true
	w.tell(1, &Send{Peer: 2, Term: 2, Leader: 1})
	said[any](w, 1)
	w.tell(1, captured(9))
	if taken := one[*Taken](w, 1); taken.Err == nil {
		t.Fatal("a full disk was not noticed")
	}
	w.tell(1, &Send{Peer: 2, Term: 2, Leader: 1})
	if sent := one[*Sent](w, 1); !errors.Is(sent.Err, ErrNoSnapshot) {
		t.Errorf("%+v", sent)
	}
	full = false
	w.stage.Advance(time.Second)
	w.tell(1, &Send{Peer: 2, Term: 2, Leader: 1})
	among[*WantCapture](t, said[any](w, 1))
	w.tell(1, captured(9))
	if taken := one[*Taken](w, 1); taken.Err != nil || taken.Meta.Index != 9 {
		t.Errorf("%+v", taken)
	}
}
