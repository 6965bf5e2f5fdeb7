package main

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
)

// A place names statements so that lines may move: a file, a function of it, and the line in whose block they stand. What is left out means all.
type place struct {
	file string // from the module's root, with slashes
	fn   string // "name" or "Type.name"
	line string // source lines joined by " / ", each without the space around it: the last one begins the block
	then bool   // the block begins with the line rather than being opened by it
}

func (p place) String() string {
	s := p.file
	if p.fn != "" {
		s += " " + p.fn
	}
	if p.then {
		s += " then"
	}
	if p.line != "" {
		s += " " + quote(p.line)
	}
	return s
}

// holds reports whether a block stands at this place.
func (p place) holds(b *block) bool {
	if p.file != b.file || p.fn != "" && p.fn != b.fn {
		return false
	}
	return p.line == "" || p.then == b.then && p.line == b.quoted(strings.Count(p.line, " / "))
}

// quote prefers backquotes, which leave Go's strings readable.
func quote(line string) string {
	if strings.Contains(line, "`") {
		return strconv.Quote(line)
	}
	return "`" + line + "`"
}

// An item is a line of the list.
type item struct {
	place
	reason string
	number int // of the line
}

// A list is what reach.txt says.
type list struct {
	demands []demand
	never   []item // cannot be reached by any simulation: the reason says why
	live    []item // not counted: needs goroutines, sockets or another caller than the simulator
}

// A demand is the least percentage of a package's statements that must be reached.
type demand struct {
	pkg     string
	percent float64
}

func (l *list) packages() (all []string) {
	for _, d := range l.demands {
		all = append(all, d.pkg)
	}
	return all
}

// readList reads the list. Its lines are, besides empty ones and comments after #:
//
//	demand PACKAGE PERCENT
//	live FILE [FUNCTION]: REASON
//	never FILE FUNCTION [[then] `LINE`]: REASON
//
// LINE is the source line that opens the block in which the statements stand, as an if or a case, without the space around it. What begins with LINE
// itself, as what follows an if that returned, has then before it. Where a function has more than one such line the one before it comes
// first, and " / " between them.
func readList(file string) (*list, error) {
	raw, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	l, err := parseList(string(raw))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return l, nil
}

func parseList(text string) (*list, error) {
	l := &list{}
	var faults error
	for i, line := range strings.Split(text, "\n") {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		if err := l.add(i+1, line); err != nil {
			faults = errors.Join(faults, fmt.Errorf("line %d: %w", i+1, err))
		}
	}
	return l, faults
}

func (l *list) add(number int, line string) error {
	kind, rest, _ := strings.Cut(line, " ")
	switch kind {
	case "demand":
		pkg, percent, _ := strings.Cut(rest, " ")
		n, err := strconv.ParseFloat(strings.TrimSpace(percent), 64)
		if err != nil {
			return fmt.Errorf("demand: %w", err)
		}
		l.demands = append(l.demands, demand{pkg, n})
		return nil
	case "live", "never":
		it, err := parseItem(rest)
		if err != nil {
			return err
		}
		it.number = number
		if kind == "live" {
			l.live = append(l.live, it)
			return nil
		}
		if it.fn == "" {
			return errors.New("never: a function is missing")
		}
		l.never = append(l.never, it)
		return nil
	}
	return fmt.Errorf("%q is none of demand, live and never", kind)
}

func parseItem(text string) (it item, err error) {
	var head string
	if at := strings.IndexAny(text, "`\""); at >= 0 && (!strings.Contains(text, ": ") || at < strings.Index(text, ": ")) {
		quoted, err := strconv.QuotedPrefix(text[at:])
		if err != nil {
			return it, fmt.Errorf("the quoted line does not end: %w", err)
		}
		if it.line, err = strconv.Unquote(quoted); err != nil {
			return it, err
		}
		head, text = text[:at], text[at+len(quoted):]
		if !strings.HasPrefix(text, ": ") {
			return it, errors.New("a colon and the reason belong after the quoted line")
		}
		it.reason = text[2:]
	} else {
		head, it.reason, _ = strings.Cut(text, ": ")
	}
	names := strings.Fields(head)
	if n := len(names); n == 3 && names[2] == "then" && it.line != "" {
		names, it.then = names[:2], true
	}
	if len(names) == 0 || len(names) > 2 || !strings.HasSuffix(names[0], ".go") {
		return it, fmt.Errorf("%q is not FILE or FILE FUNCTION", strings.TrimSpace(head))
	}
	it.file = names[0]
	if len(names) == 2 {
		it.fn = names[1]
	}
	if it.reason = strings.TrimSpace(it.reason); it.reason == "" {
		return it, errors.New("the reason is missing")
	}
	return it, nil
}
