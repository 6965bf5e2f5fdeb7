package remote

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"
)

// TestRefusalsAreToldSeldom: whoever calls again and again and is refused for the same reason fills no log; other reasons are told at once, and all are counted.
func TestRefusalsAreToldSeldom(t *testing.T) {
	b := start(t, 2, nil)
	lines := func() (n int) {
		b.log.mu.Lock()
		defer b.log.mu.Unlock()
		for _, line := range b.log.items {
			if strings.Contains(line, "connection refused") {
				n++
			}
		}
		return n
	}
	call := func(words string) {
		conn, err := net.Dial("tcp", b.Addr())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if _, err := conn.Write([]byte(words)); err != nil {
			t.Fatal(err)
		}
		_ = conn.SetReadDeadline(time.Now().Add(patience))
		if _, err := io.Copy(io.Discard, conn); errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatal("not refused")
		}
	}
	other := hello{speaks: Speaks(), cluster: "another", from: 1, to: 2}
	for i := range 20 {
		call(fmt.Sprintf("GET /%d HTTP/1.1\r\n\r\n", i))
		call(string(other.append(nil)))
	}
	if n := lines(); n != 2 || b.Stats().Refused != 40 {
		t.Errorf("%d lines of %d refusals, want one of each kind", n, b.Stats().Refused)
	}
}

// TestComplaints: the first of a kind is told at once, and then one in half a minute, with how many were not.
func TestComplaints(t *testing.T) {
	var c complaints
	now := time.Unix(1000, 0)
	told := func(who, reason string) string {
		suppressed, ok := c.allow(now, who, reason)
		return fmt.Sprint(suppressed, ok)
	}
	for i := range 300 { // a connection a second
		want := "0 false"
		switch i {
		case 0:
			want = "0 true"
		case 30, 60, 90, 120, 150, 180, 210, 240, 270:
			want = "29 true"
		}
		if got := told("h", fmt.Sprintf(`node 3 is connected already, from 127.0.0.1:%d: two`, 40000+i)); got != want {
			t.Errorf("after %d s: %s, want %s", i, got, want)
		}
		now = now.Add(time.Second)
	}
	for _, other := range [][2]string{{"h", "node 4 is connected already"}, {"i", "node 3 is connected already, from 127.0.0.1:40000: two"}, {"h", `this is cluster "a"`}} {
		if got := told(other[0], other[1]); got != "0 true" {
			t.Errorf("%s: %s", other, got)
		}
	}
}

// TestComplaintsAreBounded: callers without number, or reasons, take no more memory, and the log gets a line a second of them at most; what is forgotten is counted.
func TestComplaintsAreBounded(t *testing.T) {
	var c complaints
	now := time.Unix(1000, 0)
	lines, suppressed := 0, 0
	const calls = 100_000
	for i := range calls {
		if n, ok := c.allow(now, fmt.Sprint(i), "x"); ok {
			lines, suppressed = lines+1, suppressed+n
		}
		if len(c.told) > maxKinds+1 {
			t.Fatalf("%d kinds are remembered", len(c.told))
		}
		now = now.Add(time.Millisecond)
	}
	if seconds := calls / 1000; lines > seconds+5 || lines < 5 {
		t.Errorf("%d lines in %d seconds", lines, seconds)
	}
	suppressed += c.forgotten
	for _, of := range c.told {
		suppressed += of.suppressed
	}
	if lines+suppressed != calls {
		t.Errorf("%d lines and %d suppressed of %d", lines, suppressed, calls)
	}
}
