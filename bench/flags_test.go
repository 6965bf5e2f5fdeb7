package main

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestParseDefaults(t *testing.T) {
	o, err := parse(nil, registry(), &bytes.Buffer{})
	if err != nil {
		t.Fatal(err)
	}
	if len(o.peers) != len(registry()) || len(o.sizes) != 3 || len(o.clients) != 3 {
		t.Errorf("%d peers, sizes %v, clients %v", len(o.peers), o.sizes, o.clients)
	}
	if o.seconds != 5 || o.rounds != 3 || o.warmup != 500*time.Millisecond || o.dir != os.TempDir() {
		t.Errorf("%+v", o)
	}
}

func TestParseLists(t *testing.T) {
	o, err := parse([]string{"-peers", "etcdraft, hashicorp", "-size", "1,2", "-clients", "3", "-seconds", "0.5", "-rounds", "7"}, registry(), &bytes.Buffer{})
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(names(o.peers), " "); got != "etcdraft hashicorp" {
		t.Errorf("peers %s", got)
	}
	if len(o.sizes) != 2 || o.sizes[1] != 2 || len(o.clients) != 1 || o.clients[0] != 3 || o.seconds != 0.5 || o.rounds != 7 {
		t.Errorf("%+v", o)
	}
}

func TestParseWork(t *testing.T) {
	o, err := parse([]string{"-work", "write,read, lease,mixed", "-size", "1,2", "-clients", "3"}, registry(), &bytes.Buffer{})
	if err != nil {
		t.Fatal(err)
	}
	want := []cell{{1, 3, write}, {2, 3, write}, {1, 3, read}, {1, 3, lease}, {1, 3, mixed}, {2, 3, mixed}}
	if got := o.cells(); !slices.Equal(got, want) {
		t.Errorf("cells %v", got)
	}
}

func TestParseQuick(t *testing.T) {
	o, err := parse([]string{"-quick", "-seconds", "2"}, registry(), &bytes.Buffer{})
	if err != nil {
		t.Fatal(err)
	}
	if o.seconds != 2 || o.rounds != 1 || o.warmup != 200*time.Millisecond || !slices.Equal(o.cells(), quickCells) {
		t.Errorf("%+v", o)
	}
}

func TestBadFlagsAreAllNamed(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		args []string
		want []string
	}{
		"all at once": {
			args: []string{"-peers", "nobody,hashicorp,hashicorp", "-size", "0,x,16", "-clients", "-1", "-seconds", "NaN", "-rounds", "0", "-warmup", "soon", "-dir", file, "extra"},
			want: []string{
				"unexpected arguments: extra",
				`"nobody" is unknown; known are ` + strings.Join(names(registry()), ", "),
				`names "hashicorp" twice`,
				`-size: "0" is not`,
				`-size: "x" is not`,
				`-clients: "-1" is not`,
				`-seconds "NaN" is not`,
				`-rounds: "0" is not`,
				`-warmup "soon" is not`,
				"is not a folder",
			},
		},
		"unknown flag":  {args: []string{"-sise", "1"}, want: []string{"flag provided but not defined: -sise"}},
		"no value":      {args: []string{"-size"}, want: []string{"flag needs an argument"}},
		"empty list":    {args: []string{"-clients", ""}, want: []string{`-clients: "" is not`}},
		"too large":     {args: []string{"-size", "1048577"}, want: []string{"is not a whole number from 1 to 1048576"}},
		"unknown work":  {args: []string{"-work", "write,sleep,rest"}, want: []string{`-work: "sleep" is unknown; known are write, read, lease, mixed`, `"rest" is unknown`}},
		"quick, cells":  {args: []string{"-quick", "-size", "1", "-work", "read"}, want: []string{"leave out -size", "leave out -work"}},
		"folder absent": {args: []string{"-dir", file + "/no"}, want: []string{"-dir: stat"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			if code := run(test.args, registry(), &stdout, &stderr); code != exitUsage {
				t.Errorf("exit %d", code)
			}
			for _, want := range test.want {
				if !strings.Contains(stderr.String(), want) {
					t.Errorf("stderr lacks %q:\n%s", want, stderr.String())
				}
			}
			if stdout.Len() > 0 {
				t.Errorf("stdout: %s", stdout.String())
			}
		})
	}
}

func TestHelp(t *testing.T) {
	var stdout, stderr bytes.Buffer
	if code := run([]string{"-h"}, registry(), &stdout, &stderr); code != exitOK {
		t.Errorf("exit %d", code)
	}
	if !strings.Contains(stderr.String(), "-clients numbers") {
		t.Errorf("help:\n%s", stderr.String())
	}
}

func TestProfilesAreWritten(t *testing.T) {
	dir := t.TempDir()
	o := options{cpuProfile: filepath.Join(dir, "cpu"), memProfile: filepath.Join(dir, "mem")}
	finish, err := profile(o)
	if err != nil {
		t.Fatal(err)
	}
	if err := finish(); err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{o.cpuProfile, o.memProfile} {
		if info, err := os.Stat(file); err != nil || info.Size() == 0 {
			t.Errorf("%s: %v, %v", file, info, err)
		}
	}
}
