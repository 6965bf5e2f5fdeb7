package main

import (
	"bytes"
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func machinesOf(logs ...string) []*machine {
	out := make([]*machine, len(logs))
	for i, log := range logs {
		out[i] = &machine{}
		for _, op := range strings.Fields(log) {
			out[i].apply([]byte(op))
		}
	}
	return out
}

func TestVerify(t *testing.T) {
	tests := map[string]struct {
		logs  [voters]string
		acked uint64
		want  string
	}{
		"all alike":         {logs: [voters]string{"a b", "a b", "a b"}, acked: 2},
		"more than acked":   {logs: [voters]string{"a b", "a b", "a b"}, acked: 1},
		"lost":              {logs: [voters]string{"a", "a", "a"}, acked: 2, want: "leader applied 1 operations, but 2 were acknowledged"},
		"follower behind":   {logs: [voters]string{"a b", "a b", "a"}, acked: 2, want: "follower 2 applied 1 operations, the leader 2"},
		"order":             {logs: [voters]string{"a b", "b a", "a b"}, acked: 2, want: "follower 1 has checksum"},
		"content":           {logs: [voters]string{"a b", "a b", "a c"}, acked: 2, want: "follower 2 has checksum"},
		"behind and losing": {logs: [voters]string{"a", "", ""}, acked: 2, want: "but 2 were acknowledged"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				err := verify(t.Context(), machinesOf(test.logs[:]...), test.acked, time.Minute)
				if test.want == "" && err != nil {
					t.Errorf("verify: %v", err)
				}
				if test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
					t.Errorf("verify: %v, want %q", err, test.want)
				}
			})
		})
	}
}

func TestVerifyWaitsForFollowers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		machines := machinesOf("a", "a", "")
		go func() {
			if pause(t.Context(), time.Second) == nil {
				machines[2].apply([]byte("a"))
			}
		}()
		if err := verify(t.Context(), machines, 1, time.Minute); err != nil {
			t.Error(err)
		}
	})
}

func TestMachineSaveLoad(t *testing.T) {
	m := machinesOf("a b c")[0]
	var copied machine
	if err := copied.load(m.save()); err != nil {
		t.Fatal(err)
	}
	m.apply([]byte("d"))
	copied.apply([]byte("d"))
	if err := diverged([]*machine{m, &copied}); err != nil {
		t.Error(err)
	}
	if err := copied.load([]byte("short")); err == nil {
		t.Error("a short snapshot was loaded")
	}
}

// TestMachineKeepsPayloads: what is kept travels with a snapshot, as it was when that was taken, and damage shows.
func TestMachineKeepsPayloads(t *testing.T) {
	m, copied := machine{keep: true}, machine{keep: true}
	data := []byte("first")
	m.apply(data)
	copy(data, "XXXXX") // the caller's again
	m.apply([]byte("second"))
	write := m.capture()
	m.apply([]byte("third"))
	var saved bytes.Buffer
	if err := write(&saved); err != nil {
		t.Fatal(err)
	}
	if err := copied.load(saved.Bytes()); err != nil {
		t.Fatal(err)
	}
	if got := string(bytes.Join(copied.kept, []byte(" "))); got != "first second" || !copied.restored.Load() {
		t.Errorf("restored %q", got)
	}
	copied.apply([]byte("third"))
	if err := diverged([]*machine{&m, &copied}); err != nil {
		t.Error(err)
	}
	for i := range saved.Len() {
		damaged := bytes.Clone(saved.Bytes())
		damaged[i] ^= 1
		if err := (&machine{keep: true}).load(damaged); err == nil {
			t.Errorf("a snapshot with byte %d changed was loaded", i)
		}
		if err := (&machine{keep: true}).load(saved.Bytes()[:i]); err == nil {
			t.Errorf("a snapshot of %d bytes was loaded", i)
		}
	}
}

func TestReached(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		machines := machinesOf("a b", "a")
		go func() {
			time.Sleep(time.Second)
			machines[1].apply([]byte("b"))
		}()
		if err := reached(t.Context(), machines, 2); err != nil {
			t.Error(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := reached(ctx, machines, 3); err == nil || !strings.Contains(err.Error(), "a voter applied 2 operations of 3") {
			t.Errorf("reached: %v", err)
		}
	})
}
