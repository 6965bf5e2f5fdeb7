package exit

import (
	"bytes"
	"errors"
	"fmt"
	"testing"

	"github.com/spf13/cobra"
)

func TestStatus(t *testing.T) {
	for _, test := range []struct {
		args   []string
		err    error
		status int
		said   string
	}{
		{nil, nil, OK, ""},
		{nil, ErrFound, Found, ""},
		{nil, fmt.Errorf("two of them: %w", ErrFound), Found, ""},
		{nil, errors.New("no such file"), Usage, "judge: no such file\n"},
		{[]string{"--loud"}, nil, Usage, "judge: unknown flag: --loud\n"},
	} {
		root := &cobra.Command{Use: "judge", RunE: func(*cobra.Command, []string) error { return test.err }}
		var out, errs bytes.Buffer
		if got := Status(t.Context(), root, test.args, &out, &errs); got != test.status || errs.String() != test.said || out.Len() > 0 {
			t.Errorf("%v, %v: status %d, %q, %q", test.args, test.err, got, &out, &errs)
		}
	}
}
