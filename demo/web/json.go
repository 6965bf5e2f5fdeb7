package web

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/troupe-raft/troupe/demo/words"
)

// encode is a 200 with a JSON body.
func encode(v any) reply {
	var body bytes.Buffer
	e := json.NewEncoder(&body)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		panic("web: an answer has no JSON: " + err.Error()) // the types in package api all have
	}
	return reply{status: http.StatusOK, body: body.Bytes()}
}

// body reads a whole request body of at most limit bytes.
func body(r *http.Request, limit int64) ([]byte, error) {
	if r.ContentLength > 2*limit { // else it is read: most clients hear of a refusal only once they have sent all
		return nil, &fault{status: http.StatusRequestEntityTooLarge, words: tooLarge(limit).words, hangUp: true}
	}
	b := &buffer{account: &accountsOf(r.Context()).bodies}
	_, err := io.Copy(b, http.MaxBytesReader(nil, r.Body, limit))
	var large *http.MaxBytesError
	if errors.As(err, &large) {
		return nil, tooLarge(limit)
	}
	if errors.Is(err, errBodies) {
		return nil, err
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return nil, malformed("the body did not arrive in time")
	}
	if err != nil {
		return nil, malformed("the body cannot be read: %s", words.Connection(err))
	}
	return b.b, nil
}

func tooLarge(limit int64) *fault {
	if limit < maxBody {
		return &fault{status: http.StatusRequestEntityTooLarge, words: fmt.Sprintf("the body has more than %d bytes", limit)}
	}
	return errTooLarge
}

// object splits a JSON object, which is to have the fields wanted, into its fields, whose names count by the letter. Text that is no UTF-8, even behind
// escapes, is refused: stored, it would come back as something else. So is a field that is there twice, at any depth.
func object(text []byte, wanted []string) (map[string]json.RawMessage, error) {
	if len(bytes.TrimSpace(text)) == 0 {
		return nil, malformed("the body is empty: want a JSON object with %s", listed(wanted))
	}
	var fields map[string]json.RawMessage
	err := json.Unmarshal(text, &fields)
	if wrong := (*json.SyntaxError)(nil); errors.As(err, &wrong) {
		if wrong.Offset >= int64(len(text)) && strings.Contains(wrong.Error(), "end of JSON") {
			return nil, malformed("the body is not JSON: it ends too soon")
		}
		return nil, malformed("the body is not JSON: byte %d does not fit", wrong.Offset)
	}
	if !utf8.Valid(text) || loneSurrogate(text) {
		return nil, notText(fields)
	}
	if err != nil || fields == nil {
		return nil, &fault{status: http.StatusBadRequest, words: "the body is not a JSON object: want one with " + listed(wanted), shape: true}
	}
	return fields, once(text)
}

// notText names the field whose text is not UTF-8.
func notText(fields map[string]json.RawMessage) error {
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		if raw := fields[name]; !utf8.Valid(raw) || loneSurrogate(raw) {
			return malformed("%.*s: not UTF-8", maxQuoted, name)
		}
	}
	return malformed("the body is not UTF-8")
}

// decode reads a JSON object that has the required fields, maybe the optional ones, and no others.
func decode(text []byte, into any, required, optional []string) error {
	fields, err := object(text, slices.Concat(required, optional))
	if err != nil {
		return err
	}
	return decodeFields(text, fields, into, required, optional)
}

// decodeFields is decode of a text whose fields are known.
func decodeFields(text []byte, fields map[string]json.RawMessage, into any, required, optional []string) error {
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		if !slices.Contains(required, name) && !slices.Contains(optional, name) {
			return malformed("unknown field %.*q: there %s", maxQuoted, name, are(slices.Concat(required, optional)))
		}
	}
	for _, name := range required {
		if _, ok := fields[name]; !ok {
			return malformed("field %q is missing", name)
		}
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return misfit(err)
	}
	return nil
}

// misfit says what is wrong with a value in the words of who wrote it: the decoder's are those of our types.
func misfit(err error) error {
	var wrong *json.UnmarshalTypeError
	if !errors.As(err, &wrong) {
		if name, ok := strings.CutPrefix(err.Error(), "json: unknown field "); ok {
			return malformed("unknown field %.*s", maxQuoted, name)
		}
		return malformed("the body does not fit: %v", err)
	}
	got, ok := gotten[wrong.Value]
	if !ok {
		got = strings.TrimPrefix(wrong.Value, "number ") // of which this type has none
	}
	return malformed("%s: want %s, got %.*s", wrong.Field, wantedOf(wrong.Type.Kind()), maxQuoted, got)
}

var gotten = map[string]string{
	"string": "text", "number": "a number", "bool": "true or false", "array": "a list", "object": "an object", "null": "null",
}

func wantedOf(kind reflect.Kind) string {
	switch kind {
	case reflect.String:
		return "text"
	case reflect.Bool:
		return "true or false"
	case reflect.Uint64:
		return "a whole number from 0 on"
	case reflect.Float64:
		return "a number"
	case reflect.Slice:
		return "a list"
	default:
		return "an object"
	}
}

// loneSurrogate finds half a surrogate pair among the escapes of valid JSON.
func loneSurrogate(text []byte) bool {
	for i := 0; i < len(text); i++ {
		if text[i] != '\\' {
			continue
		}
		i++ // at what is escaped
		if text[i] != 'u' {
			continue
		}
		unit := codeUnit(text[i+1:])
		i += 4
		if !utf16.IsSurrogate(unit) {
			continue
		}
		if i+2 >= len(text) || text[i+1] != '\\' || text[i+2] != 'u' || utf16.DecodeRune(unit, codeUnit(text[i+3:])) == utf8.RuneError {
			return true
		}
		i += 6
	}
	return false
}

func codeUnit(hex []byte) rune {
	n, _ := strconv.ParseUint(string(hex[:4]), 16, 16) // json.Valid has seen to it
	return rune(n)
}

// isNull reports whether a field is missing or null.
func isNull(field json.RawMessage) bool {
	return len(field) == 0 || bytes.Equal(bytes.TrimSpace(field), []byte("null"))
}
