package main

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
)

// A transfer of leadership to a node that is down is refused, once, by name, and writes go on.
func TestTransferToADeadNode(t *testing.T) {
	s := newSite(t, 3, 3, "")
	s.start(0, 1, 2)
	s.ready(0, 1, 2)
	dead := (s.leader(0) + 1) % 3
	s.nodes[dead].kill()
	left := []int{(dead + 1) % 3, (dead + 2) % 3}
	eventually(t, "the leader misses it", func() bool {
		lead := s.leader(left[0])
		if lead == dead {
			return false
		}
		status, err := s.client(lead).Status(t.Context())
		return err == nil && status.Role == "leader" && !status.Members[dead].Active
	})
	var out, errs bytes.Buffer
	addrs := s.http[left[0]] + "," + s.http[left[1]]
	status := run([]string{"ctl", "--addr", addrs, "--timeout", patience.String(), "transfer", fmt.Sprint(dead + 1)}, &out, &errs)
	if words := errs.String(); status != exitFailed || out.Len() > 0 || strings.Count(words, "\n") != 1 ||
		!strings.Contains(words, fmt.Sprintf("server %d: it has not answered for", dead+1)) || strings.Contains(words, "may or may not") {
		t.Errorf("status %d: %s%s", status, &out, words)
	}
	if _, err := s.client(left...).Put(t.Context(), "k", "v"); err != nil {
		t.Error(err)
	}
}
