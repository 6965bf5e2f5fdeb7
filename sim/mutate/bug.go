package main

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/tools/txtar"
)

// A Bug is one injection: a file of bugs/ (its format is told in the package's comment).
type Bug struct {
	Number    int
	Name      string // of the file, without number and ending
	Title     string
	Reference string // where the bug was told: addresses, or "ours"
	Catches   []Catch
	Edits     []Edit
	Absent    string        // why it cannot be injected, if so
	Timeout   time.Duration // of each of its tests; zero: the command line's
}

// A Catch is a top-level test that must fail under the injection.
type Catch struct {
	Folder string // of the package, relative to the module
	Test   string
}

func (c Catch) String() string { return c.Folder + " " + c.Test }

// An Edit replaces whole lines of one file. Find must occur exactly once.
type Edit struct {
	Path          string // relative to the module
	Find, Replace string
}

var fileName = regexp.MustCompile(`^([0-9]{2,3})-([a-z0-9-]+)\.txtar$`)

// readBugs reads the injections in folder, by number.
func readBugs(folder string) ([]Bug, error) {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return nil, fmt.Errorf("cannot list the injections: %w", err)
	}
	var bugs []Bug
	var faults error
	seen := map[int]string{}
	for _, e := range entries {
		name := fileName.FindStringSubmatch(e.Name())
		if name == nil {
			faults = errors.Join(faults, fmt.Errorf("%s: a file of bugs/ is named NN-short-name.txtar", e.Name()))
			continue
		}
		archive, err := txtar.ParseFile(filepath.Join(folder, e.Name()))
		if err != nil {
			faults = errors.Join(faults, err)
			continue
		}
		b, err := parseBug(archive)
		if err != nil {
			faults = errors.Join(faults, fmt.Errorf("%s: %w", e.Name(), err))
			continue
		}
		b.Number, _ = strconv.Atoi(name[1])
		b.Name = name[2]
		if other, twice := seen[b.Number]; twice {
			faults = errors.Join(faults, fmt.Errorf("%s has the number of %s", e.Name(), other))
		}
		seen[b.Number] = e.Name()
		bugs = append(bugs, b)
	}
	slices.SortFunc(bugs, func(a, b Bug) int { return cmp.Compare(a.Number, b.Number) })
	return bugs, faults
}

// parseBug takes an injection's header and edits apart.
func parseBug(archive *txtar.Archive) (b Bug, err error) {
	header, _, _ := strings.Cut(string(archive.Comment), "\n\n")
	for line := range strings.Lines(header) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
		if err := b.set(key, strings.TrimSpace(value)); err != nil {
			return b, err
		}
	}
	files := archive.Files
	for len(files) > 0 {
		path, found := strings.CutPrefix(files[0].Name, "find ")
		if !found || len(files) < 2 || files[1].Name != "replace" {
			return b, fmt.Errorf("section %q: a section `find PATH` is followed by one `replace`", files[0].Name)
		}
		b.Edits = append(b.Edits, Edit{Path: path, Find: string(files[0].Data), Replace: string(files[1].Data)})
		files = files[2:]
	}
	switch {
	case b.Title == "" || b.Reference == "":
		return b, errors.New("the header must have a title and a reference")
	case b.Absent == "" && (len(b.Edits) == 0 || len(b.Catches) == 0):
		return b, errors.New("an injection needs an edit and a `catch: FOLDER TEST`, or `absent: REASON`")
	}
	return b, nil
}

func (b *Bug) set(key, value string) error {
	switch key {
	case "title":
		b.Title = value
	case "reference":
		b.Reference = value
	case "absent":
		b.Absent = value
	case "catch":
		folder, tests, _ := strings.Cut(value, " ")
		for _, test := range strings.Fields(tests) {
			b.Catches = append(b.Catches, Catch{Folder: folder, Test: test})
		}
	case "timeout":
		d, err := time.ParseDuration(value)
		if err != nil {
			return fmt.Errorf("timeout: %w", err)
		}
		b.Timeout = d
	default:
		return fmt.Errorf("header line %q: the keys are title, reference, catch, timeout and absent", key)
	}
	return nil
}

// apply makes e in text. A search text that is not there exactly once means that the code has moved on and the injection
// must follow, lest it proves nothing.
func (e Edit) apply(text string) (string, error) {
	if n := strings.Count(text, e.Find); e.Find == "" || n != 1 {
		first, _, _ := strings.Cut(strings.TrimSpace(e.Find), "\n")
		return "", fmt.Errorf("%s: the text to replace, beginning with %q, occurs %d times: bring the injection up to date with the code, adding lines until it is unique", e.Path, first, n)
	}
	return strings.Replace(text, e.Find, e.Replace, 1), nil
}
