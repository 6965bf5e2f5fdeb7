package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// historic is how many bugs of others there are: that list is meant to be whole. Those after them are our own.
const historic = 36

func repository(t *testing.T) (root string, bugs []Bug) {
	t.Helper()
	root, err := moduleRoot()
	if err != nil {
		t.Fatal(err)
	}
	bugs, err = readBugs(filepath.Join(root, "sim", "mutate", "bugs"))
	if err != nil {
		t.Fatal(err)
	}
	return root, bugs
}

// docs/bugs.md and bugs/ tell of the same bugs, references and tests.
func TestDocsAgreeWithInjections(t *testing.T) {
	root, bugs := repository(t)
	raw, err := os.ReadFile(filepath.Join(root, "docs", "bugs.md"))
	if err != nil {
		t.Fatal(err)
	}
	rows := map[int][]string{}
	for line := range strings.Lines(string(raw)) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), " | ")
		n, err := strconv.Atoi(strings.TrimSpace(cells[0]))
		if err != nil || !strings.HasPrefix(line, "| ") {
			continue
		}
		if rows[n] != nil || len(cells) != 5 {
			t.Errorf("row %d: %d cells, or told twice", n, len(cells))
		}
		rows[n] = cells
	}
	if len(bugs) < historic || len(rows) != len(bugs) {
		t.Errorf("%d injections, %d rows; %d historic bugs are known", len(bugs), len(rows), historic)
	}
	test := regexp.MustCompile("`(Test\\w+)`")
	for _, b := range bugs {
		cells := rows[b.Number]
		if len(cells) != 5 {
			t.Errorf("bug %d has no row", b.Number)
			continue
		}
		for _, url := range strings.Fields(b.Reference) {
			if url == "ours" {
				continue // nobody else has told of it
			}
			if !strings.Contains(cells[2], "("+url+")") {
				t.Errorf("bug %d: the row does not link %s", b.Number, url)
			}
		}
		var named []string
		for _, m := range test.FindAllStringSubmatch(cells[4], -1) {
			named = append(named, m[1])
		}
		var caught []string
		for _, c := range b.Catches {
			caught = append(caught, c.Test)
			if !strings.Contains(cells[4], c.Folder+": ") {
				t.Errorf("bug %d: the row does not say that a test is in %s", b.Number, c.Folder)
			}
		}
		slices.Sort(named)
		slices.Sort(caught)
		if !slices.Equal(named, caught) {
			t.Errorf("bug %d: the row names %v, the injection %v", b.Number, named, caught)
		}
	}
}

// Every test that an injection names is there, and so is, once, every text that it replaces.
func TestInjectionsFitTheCode(t *testing.T) {
	root, bugs := repository(t)
	for _, b := range bugs {
		if err := writeOverlay(root, b, filepath.Join(t.TempDir(), "mutated"), filepath.Join(t.TempDir(), "overlay.json")); err != nil {
			t.Error(err)
		}
		for _, c := range b.Catches {
			if !declared(t, filepath.Join(root, c.Folder), c.Test) {
				t.Errorf("bug %d: %s has no test %s", b.Number, c.Folder, c.Test)
			}
		}
	}
}

// declared reports whether a package has a test.
func declared(t *testing.T, folder, test string) bool {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(folder, "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(raw), fmt.Sprintf("\nfunc %s(t *testing.T) {", test)) {
			return true
		}
	}
	return false
}
