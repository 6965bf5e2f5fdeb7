package web

import (
	"fmt"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/troupe-raft/troupe/demo/kv"
)

// maxQuoted is how much of what a client wrote stands in an answer.
const maxQuoted = 64 // characters

// strict is a handler that passes over nothing in a query: a parameter that the route does not know, or that would be dropped, may have been meant.
func (s *Server) strict(h handler, parameters []string) handler {
	return func(r *http.Request) reply {
		if err := checkQuery(r.URL.RawQuery, parameters); err != nil {
			return s.refusal(err)
		}
		return h(r)
	}
}

func checkQuery(raw string, parameters []string) error {
	if strings.Contains(raw, ";") {
		return malformed(`query: ";" is not taken here: write %%3B`)
	}
	seen := make([]int, len(parameters))
	for part := range strings.SplitSeq(raw, "&") {
		if part == "" {
			continue
		}
		name, value, _ := strings.Cut(part, "=")
		name, err := url.QueryUnescape(name)
		if err == nil {
			value, err = url.QueryUnescape(value)
		}
		if err != nil {
			return malformed("query: %.*q is not escaped as it should be: write %%25 for %%", maxQuoted, part)
		}
		i := slices.Index(parameters, name)
		if i < 0 {
			return malformed("query: unknown parameter %.*q: there %s", maxQuoted, name, are(parameters))
		}
		if seen[i]++; seen[i] > 1 {
			return malformed("%s: given %d times", name, strings.Count("&"+raw, "&"+name+"="))
		}
		if !utf8.ValidString(value) {
			return malformed("%s: not UTF-8", name)
		}
	}
	return nil
}

// are lists what there is.
func are(names []string) string {
	if len(names) == 0 {
		return "are none here"
	}
	return isOrAre(names) + listed(names)
}

func isOrAre(names []string) string {
	if len(names) == 1 {
		return "is "
	}
	return "are "
}

// listed is a sentence's list of names, in order.
func listed(names []string) string {
	names = slices.Sorted(slices.Values(names))
	if len(names) < 2 {
		return strings.Join(names, "")
	}
	return strings.Join(names[:len(names)-1], ", ") + " and " + names[len(names)-1]
}

var errEmptyKey = malformed("key: empty: a key has one byte at least")

// checkPath refuses a path in which a key is missing, or that another reader, of a URL's parts, might take for another one.
func checkPath(r *http.Request) error {
	escaped := r.URL.EscapedPath()
	switch {
	case !strings.HasPrefix(escaped, "/"):
		return nil // no route has such a path
	case escaped == "/v1/kv/", escaped == "/kvstore/get/", strings.HasPrefix(escaped, "/v1/kv//"):
		return errEmptyKey
	}
	clean := path.Clean(escaped)
	if clean != "/" && strings.HasSuffix(escaped, "/") {
		clean += "/"
	}
	if clean != escaped {
		return malformed("path: %.*q has a part that is empty, . or ..: in a key write %%2E for . and %%2F for /", maxQuoted, escaped)
	}
	return nil
}

// checkKey is the one rule for keys, of every route.
func checkKey(key string) error {
	switch {
	case key == "":
		return errEmptyKey
	case !utf8.ValidString(key):
		return malformed("key: not UTF-8")
	}
	return tooLong("key", len(key), kv.MaxKey)
}

// tooLong refuses what has more than so many bytes.
func tooLong(field string, length, most int) error {
	if length <= most {
		return nil
	}
	return &fault{status: http.StatusRequestEntityTooLarge, words: fmt.Sprintf("%s: %d bytes, at most %d", field, length, most)}
}
