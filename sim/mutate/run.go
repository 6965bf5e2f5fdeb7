package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"time"
)

// A Result is what became of one injection.
type Result struct {
	Bug    Bug
	Failed []Failure // one for each of the bug's tests
	Err    error     // why it does not count as caught
	Took   time.Duration
}

// A Failure is a test that caught its bug.
type Failure struct {
	Catch
	Where string // file:line of the first complaint; empty when it panicked
}

// A runner runs injections.
type runner struct {
	root    string
	timeout time.Duration
	jobs    int
	verbose func(format string, args ...any)
}

// buildTimeout bounds a compilation; a cold cache has Pebble to compile.
const buildTimeout = 10 * time.Minute

// run injects every bug and passes the results to done, in the order of bugs.
func (r *runner) run(ctx context.Context, bugs []Bug, done func(Result)) {
	results := make([]chan Result, len(bugs))
	slots := make(chan struct{}, r.jobs)
	for i := range bugs {
		results[i] = make(chan Result, 1)
	}
	go func() {
		for i, b := range bugs {
			slots <- struct{}{}
			go func() {
				defer func() { <-slots }()
				start := time.Now()
				res := r.inject(ctx, b)
				res.Took = time.Since(start)
				results[i] <- res
			}()
		}
	}()
	for i := range results {
		done(<-results[i])
	}
}

// inject builds the packages that test for b with b in them, and demands that each of its tests fails.
func (r *runner) inject(ctx context.Context, b Bug) (res Result) {
	res.Bug = b
	if b.Absent != "" {
		return res
	}
	temp, err := os.MkdirTemp("", "mutate-")
	if err != nil {
		res.Err = err
		return res
	}
	defer func() { res.Err = errors.Join(res.Err, os.RemoveAll(temp)) }()
	overlay := filepath.Join(temp, "overlay.json")
	if res.Err = writeOverlay(r.root, b, filepath.Join(temp, "mutated"), overlay); res.Err != nil {
		return res
	}
	for i, folder := range b.folders() {
		binary := filepath.Join(temp, fmt.Sprintf("%d.test", i))
		if res.Err = r.build(ctx, folder, overlay, binary); res.Err != nil {
			return res
		}
		for _, test := range b.tests(folder) {
			where, err := r.fails(ctx, binary, overlay, folder, test, timeoutOf(b, r.timeout))
			if err != nil {
				res.Err = errors.Join(res.Err, err)
				continue
			}
			res.Failed = append(res.Failed, Failure{Catch: Catch{Folder: folder, Test: test}, Where: where})
		}
	}
	return res
}

func timeoutOf(b Bug, otherwise time.Duration) time.Duration {
	if b.Timeout > 0 {
		return b.Timeout
	}
	return otherwise
}

// build compiles the tests of folder as the overlay has them. What does not compile catches nothing.
func (r *runner) build(ctx context.Context, folder, overlay, binary string) error {
	ctx, cancel := context.WithTimeout(ctx, buildTimeout)
	defer cancel()
	// Without debugging information, which nobody looks at, a build takes two thirds of the time.
	cmd := exec.CommandContext(ctx, "go", "test", "-c", "-ldflags=-w", "-overlay", overlay, "-o", binary, "./"+folder)
	cmd.Dir = r.root
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("the injection is broken, %s does not compile with it: %w\n%s", folder, err, bytes.TrimSpace(out))
	}
	return nil
}

// fails runs one test of a test binary, which sees the overlay in what it builds itself, and returns where it first complained, or an error unless it failed.
func (r *runner) fails(ctx context.Context, binary, overlay, folder, test string, timeout time.Duration) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout+10*time.Second) // the test's own timeout tells more
	defer cancel()
	cmd := exec.CommandContext(ctx, binary, "-test.run", "^"+test+"$", "-test.v", "-test.failfast", "-test.timeout", timeout.String())
	cmd.Dir, cmd.Env = filepath.Join(r.root, folder), append(os.Environ(), "GOFLAGS=-overlay="+overlay, "RAPID_NOFAILFILE=1") // what fails here is no failure to remember
	out, err := cmd.CombinedOutput()
	r.verbose("%s %s under the injection:\n%s", folder, test, out)
	return verdict(folder, test, out, err)
}

var complaint = regexp.MustCompile(`^\s+(\w+_test\.go:[0-9]+): `)

// verdict reads the output of one test that ended with err.
func verdict(folder, test string, out []byte, err error) (where string, _ error) {
	failed := false
	for scan := bufio.NewScanner(bytes.NewReader(out)); scan.Scan(); {
		line := scan.Text()
		if strings.HasPrefix(line, "--- FAIL: "+test+" ") {
			failed = true
		}
		if strings.HasPrefix(line, "panic: test timed out after") {
			return "", fmt.Errorf("%s %s hung under the injection, which is no verdict: give the test a bound of its own", folder, test)
		}
		if at := complaint.FindStringSubmatch(line); at != nil && where == "" {
			where = folder + "/" + at[1]
		}
	}
	switch {
	case failed:
		return where, nil
	case err != nil:
		return "", fmt.Errorf("%s %s did not fail but ended otherwise: %w\n%s", folder, test, err, tail(out))
	case !bytes.Contains(out, []byte("=== RUN   "+test+"\n")):
		return "", fmt.Errorf("%s has no test %s: name an existing one", folder, test)
	}
	return "", fmt.Errorf("%s %s passes under the injection", folder, test)
}

// tail is the end of a long output.
func tail(out []byte) []byte {
	const most = 2000
	out = bytes.TrimSpace(out)
	return out[max(0, len(out)-most):]
}

// clean runs all tests that bugs name without any injection, one go command a package, and reports those that do not pass.
func (r *runner) clean(ctx context.Context, bugs []Bug) error {
	tests := map[string]map[string]bool{}
	for _, b := range bugs {
		for _, c := range b.Catches {
			if tests[c.Folder] == nil {
				tests[c.Folder] = map[string]bool{}
			}
			tests[c.Folder][c.Test] = true
		}
	}
	var mu sync.Mutex
	var faults error
	var wait sync.WaitGroup
	slots := make(chan struct{}, r.jobs)
	for _, folder := range sortedKeys(tests) {
		wait.Go(func() {
			slots <- struct{}{}
			err := r.passes(ctx, folder, sortedKeys(tests[folder]))
			<-slots
			mu.Lock()
			defer mu.Unlock()
			faults = errors.Join(faults, err)
		})
	}
	wait.Wait()
	return faults
}

// passes demands that the named tests of folder exist and pass on the code as it is.
func (r *runner) passes(ctx context.Context, folder string, tests []string) error {
	ctx, cancel := context.WithTimeout(ctx, buildTimeout+r.timeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, "go", "test", "-v", "-timeout", r.timeout.String(), "-run", "^("+strings.Join(tests, "|")+")$", "./"+folder)
	cmd.Dir = r.root
	out, err := cmd.CombinedOutput()
	r.verbose("%s without any injection:\n%s", folder, out)
	var faults error
	for _, test := range tests {
		if !bytes.Contains(out, []byte("--- PASS: "+test+" ")) {
			faults = errors.Join(faults, fmt.Errorf("%s %s does not pass on the code as it is", folder, test))
		}
	}
	if err != nil || faults != nil {
		return errors.Join(faults, fmt.Errorf("go test of %s without injection: %v\n%s", folder, err, tail(out)))
	}
	return nil
}
