package applier

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"testing"
	"testing/iotest"

	"github.com/troupe-raft/troupe/raft"
)

// A picky machine has words of its own for whatever is wrong with its snapshot.
type picky struct{ noop }

func (picky) Restore(r io.Reader) error {
	if r == nil {
		return nil
	}
	if _, err := io.ReadAll(r); err != nil {
		return errors.New("malformed")
	}
	return nil
}

// What is wrong with the file is told although the user's Restore says something else.
func TestBrokenIsTheFileWhateverTheMachineSays(t *testing.T) {
	var file bytes.Buffer
	if err := newSessions().capture().write(&file); err != nil {
		t.Fatal(err)
	}
	damaged := fmt.Errorf("snapshot p: damaged")
	in := io.MultiReader(&file, bytes.NewReader([]byte("state")), iotest.ErrReader(damaged))
	a := &applier{machine: picky{}}
	_, unreadable, err := a.restore(&Begin{Meta: raft.SnapshotMeta{Index: 3}, Open: func() (io.ReadCloser, error) { return io.NopCloser(in), nil }})
	if !errors.Is(err, damaged) || !unreadable {
		t.Error(unreadable, err)
	}
}
