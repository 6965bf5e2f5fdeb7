package main

import (
	"bytes"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

// TestSlowLink runs the benchmark briefly: bulk passes, quiet groups write, and nothing is left behind.
func TestSlowLink(t *testing.T) {
	var out, errs bytes.Buffer
	args := []string{"slowlink", "-rates", "20", "-quiet", "2", "-clients", "4", "-seconds", "0.5", "-warmup", "200ms", "-dir", t.TempDir()}
	if code := run(args, registry(), &out, &errs); code != exitOK {
		t.Fatalf("exit %d: %s", code, errs.String())
	}
	rows := strings.Split(strings.TrimSpace(out.String()), "\n")
	if last := rows[len(rows)-1]; !strings.HasPrefix(last, "| 20.0 | ") || strings.HasPrefix(last, "| 20.0 | 0.0 ") {
		t.Errorf("printed %s", out.String())
	}
	for _, bad := range [][]string{{"-rates", "fast"}, {"-rates", "-1"}, {"-bulk", "0"}, {"-size", "99999999"}, {"more"}} {
		if code := run(append([]string{"slowlink"}, bad...), registry(), &out, &errs); code != exitUsage {
			t.Errorf("%v: exit %d", bad, code)
		}
	}
}

// TestSlowLinkKeepsItsRate: a link carries what it is given, all of it, and no faster than it may.
func TestSlowLinkKeepsItsRate(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	const rate, size = 4e6, 1 << 20
	k, err := newSlowLink(l.Addr().String(), rate)
	if err != nil {
		t.Fatal(err)
	}
	defer k.stop()
	start := time.Now()
	for range 2 {
		go func() {
			conn, err := net.Dial("tcp", k.addr())
			if err != nil {
				return
			}
			defer conn.Close()
			_, _ = conn.Write(make([]byte, size))
		}()
	}
	got := make(chan int64, 2)
	for range 2 {
		conn, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			defer conn.Close()
			n, _ := io.Copy(io.Discard, conn)
			got <- n
		}()
	}
	if n := <-got + <-got; n != 2*size {
		t.Errorf("%d bytes of %d", n, 2*size)
	}
	if least := time.Duration(2*size/rate*1e9) - linkCredit; time.Since(start) < least {
		t.Errorf("took %v, not %v", time.Since(start), least)
	}
}
