package web

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"unicode"
)

// An open is an object or a list of which the end has not been read.
type open struct {
	object bool
	naming bool              // what comes next is a name
	names  map[string]string // so far, by what the decoder takes for the same
	name   string            // of the field at hand
	index  int               // of the element at hand
}

// fewNames are so few that a map that held them is emptied sooner than made.
const fewNames = 8

// reopened is what is opened where another one was that has ended, whose map it has.
func (o *open) reopened(object bool) open {
	names := o.names
	if len(names) > fewNames || names == nil && object {
		names = make(map[string]string)
	}
	clear(names)
	return open{object: object, naming: object, names: names}
}

// once refuses valid JSON in which an object has a field twice: the decoder would take the last one, and names that differ only in case for the same.
func once(text []byte) error {
	var within []open
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case '{', '[':
			depth := len(within)
			if depth == cap(within) {
				within = append(within, open{})
			}
			within = within[:depth+1]
			within[depth] = within[depth].reopened(text[i] == '{')
		case '}', ']':
			within = within[:len(within)-1]
		case ',':
			in := &within[len(within)-1]
			in.naming = in.object
			in.index++
		case '"':
			end := stringEnd(text, i)
			if len(within) > 0 && within[len(within)-1].naming {
				in := &within[len(within)-1]
				in.name, in.naming = nameOf(text[i:end]), false
				same := folded(in.name)
				if before, again := in.names[same]; again {
					return twice(within, before)
				}
				in.names[same] = in.name
			}
			i = end - 1
		}
	}
	return nil
}

// twice refuses the field at hand, which was given before by the name before.
func twice(within []open, before string) error {
	var path strings.Builder // of the object that has it
	for _, in := range within[:len(within)-1] {
		if in.object {
			path.WriteString("." + in.name)
		} else {
			fmt.Fprintf(&path, "[%d]", in.index)
		}
	}
	name := within[len(within)-1].name
	full := func(name string) string { return strings.TrimPrefix(path.String()+"."+name, ".") }
	if name == before {
		return malformed("field %.*q is given twice", maxQuoted, full(name))
	}
	return malformed("field %.*q is %.*q given twice: names that differ in case are the same", maxQuoted, full(name), maxQuoted, full(before))
}

// stringEnd is behind the string that begins at start.
func stringEnd(text []byte, start int) int {
	quote := start + 1 + bytes.IndexByte(text[start+1:], '"')
	if bytes.IndexByte(text[start:quote], '\\') < 0 {
		return quote + 1
	}
	for i := start + 1; ; i++ {
		switch text[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
}

// nameOf is what a string in JSON says.
func nameOf(quoted []byte) string {
	if bytes.IndexByte(quoted, '\\') < 0 {
		return string(quoted[1 : len(quoted)-1])
	}
	var name string
	_ = json.Unmarshal(quoted, &name) // which is valid
	return name
}

// folded is one of all names that encoding/json takes for the same.
func folded(name string) string {
	return strings.Map(func(r rune) rune {
		for next := unicode.SimpleFold(r); ; r, next = next, unicode.SimpleFold(next) {
			if next <= r {
				return next
			}
		}
	}, name)
}
