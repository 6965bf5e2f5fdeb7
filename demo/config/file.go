package config

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"reflect"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/pelletier/go-toml/v2"

	"github.com/troupe-raft/troupe/demo/api"
	"github.com/troupe-raft/troupe/election"
	"github.com/troupe-raft/troupe/raft"
)

// Leaves are of type any, so that one value of a wrong type does not hide the faults after it.
type document struct {
	Cluster   any          `toml:"cluster"`
	Data      any          `toml:"data"`
	Election  any          `toml:"election_timeout"`
	Heartbeat any          `toml:"heartbeat_interval"`
	Snapshot  any          `toml:"snapshot_every"`
	Log       any          `toml:"log"`
	Token     any          `toml:"token"`
	TokenFile any          `toml:"token_file"`
	Conns     any          `toml:"max_connections"`
	Answers   any          `toml:"max_answer_bytes"`
	Chaos     any          `toml:"chaos"`
	Follow    any          `toml:"follow_addresses"`
	TLS       tlsTable     `toml:"tls"`
	Nodes     []nodeTables `toml:"node"`
}

type tlsTable struct {
	CA       any `toml:"ca"`
	Cert     any `toml:"cert"`
	Key      any `toml:"key"`
	HTTPCert any `toml:"http_cert"`
	HTTPKey  any `toml:"http_key"`
}

type nodeTables struct {
	ID   any `toml:"id"`
	Raft any `toml:"raft"`
	HTTP any `toml:"http"`
	RESP any `toml:"resp"`
	Join any `toml:"join"`
}

// Load reads a file and reports every fault in it at once. A non-empty levels replaces the file's log.
func Load(path, levels string) (Config, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return Config{}, err
	}
	c, err := Parse(text, levels)
	return c, prefixed(path, err)
}

// Parse is Load for text that is already in memory.
func Parse(text []byte, levels string) (Config, error) {
	if err := encoding(text); err != nil {
		return Config{}, err
	}
	var d document
	decoder := toml.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	var f faults
	err := decoder.Decode(&d)
	var unknown *toml.StrictMissingError
	var wrong *toml.DecodeError
	switch {
	case errors.As(err, &unknown):
		for _, e := range unknown.Errors {
			row, _ := e.Position()
			f.add("line %d: unknown key %s: there are %s", row, dotted(e.Key()), known(e.Key()))
		}
	case errors.As(err, &wrong):
		row, column := wrong.Position()
		f.add("line %d, column %d: %s", row, column, wrong.Error())
		return Config{}, f.err()
	case err != nil:
		f.add("%w", err)
		return Config{}, f.err()
	}
	c := d.config(&f, levels)
	c.check(&f)
	return c, f.err()
}

func dotted(key toml.Key) (name string) {
	for i, part := range key {
		if i > 0 {
			name += "."
		}
		name += part
	}
	return name
}

// known are the keys that may stand where an unknown one stands.
func known(key toml.Key) string {
	of := reflect.TypeFor[document]()
	if len(key) > 1 {
		switch key[0] {
		case "tls":
			of = reflect.TypeFor[tlsTable]()
		case "node":
			of = reflect.TypeFor[nodeTables]()
		}
	}
	var names []string
	for i := range of.NumField() {
		name := of.Field(i).Tag.Get("toml")
		switch {
		case name == "tls":
			name = "[tls]"
		case name == "node":
			name = "[[node]]"
		}
		names = append(names, name)
	}
	return strings.Join(names, ", ")
}

// quoted is a value of the file as it stands there.
func quoted(value any) string {
	if text, ok := value.(string); ok {
		return strconv.Quote(text)
	}
	return fmt.Sprint(value)
}

func (d document) config(f *faults, levels string) Config {
	c := Default()
	c.Cluster = text(f, "cluster", d.Cluster, c.Cluster)
	c.Data = text(f, "data", d.Data, c.Data)
	c.Heartbeat = duration(f, "heartbeat_interval", d.Heartbeat, c.Heartbeat)
	c.Token = token(f, text(f, "token", d.Token, c.Token), text(f, "token_file", d.TokenFile, ""))
	c.Chaos = boolean(f, "chaos", d.Chaos, c.Chaos)
	c.FollowAddresses = boolean(f, "follow_addresses", d.Follow, c.FollowAddresses)
	c.SnapshotEvery = number(f, "snapshot_every", d.Snapshot, c.SnapshotEvery)
	c.MaxConnections = number(f, "max_connections", d.Conns, c.MaxConnections)
	c.MaxAnswerBytes = number(f, "max_answer_bytes", d.Answers, c.MaxAnswerBytes)
	if d.Election != nil {
		c.ElectionTimeout = timeout(f, d.Election)
	}
	spec, source := cmp.Or(levels, text(f, "log", d.Log, "")), "log"
	if levels != "" {
		source = "TROUPE_LOG"
	}
	parsed, err := ParseLevels(spec)
	f.join(source, err)
	c.Log = parsed
	c.TLS = TLS{
		CA: text(f, "tls.ca", d.TLS.CA, ""), Cert: text(f, "tls.cert", d.TLS.Cert, ""), Key: text(f, "tls.key", d.TLS.Key, ""),
		HTTPCert: text(f, "tls.http_cert", d.TLS.HTTPCert, ""), HTTPKey: text(f, "tls.http_key", d.TLS.HTTPKey, ""),
	}
	for i, n := range d.Nodes {
		id, called := nodeID(f, i+1, n.ID)
		at := cmp.Or(called, fmt.Sprintf("node %d of the file", i+1)) + ": "
		c.Nodes = append(c.Nodes, Node{
			ID: id, called: called,
			Raft: text(f, at+"raft", n.Raft, ""),
			HTTP: text(f, at+"http", n.HTTP, ""),
			RESP: text(f, at+"resp", n.RESP, ""),
			Join: boolean(f, at+"join", n.Join, false),
		})
	}
	return c
}

func text(f *faults, key string, value any, otherwise string) string {
	switch v := value.(type) {
	case nil:
		return otherwise
	case string:
		return v
	default:
		f.add("%s: %v is not a string: write it in quotes", key, v)
		return otherwise
	}
}

// encoding refuses a file that an editor saved in another encoding, before each of its lines is found fault with.
func encoding(text []byte) error {
	switch {
	case bytes.HasPrefix(text, []byte("\xff\xfe")), bytes.HasPrefix(text, []byte("\xfe\xff")):
		return errors.New("the file is not UTF-8 but UTF-16: save it as UTF-8")
	case bytes.HasPrefix(text, []byte("\ufeff")):
		return errors.New("line 1: the file begins with a byte order mark: save it as UTF-8 without one")
	}
	row := 0
	for line := range bytes.Lines(text) {
		if row++; !utf8.Valid(line) {
			return fmt.Errorf("line %d: the file is not UTF-8: save it as UTF-8", row)
		}
	}
	return nil
}

const maxToken = 4096 // bytes

// token is the one that was written into the configuration or, when that names a file, the one that stands there, be it with a line's end.
func token(f *faults, written, file string) string {
	if file == "" {
		return written
	}
	if written != "" {
		f.add("token and token_file are both set: keep one")
		return written
	}
	from, err := os.Open(file)
	if err != nil {
		f.add("token_file: %w", err)
		return ""
	}
	defer from.Close()
	text, err := io.ReadAll(io.LimitReader(from, maxToken+1))
	found := strings.TrimSuffix(strings.TrimSuffix(string(text), "\n"), "\r")
	switch {
	case err != nil:
		f.add("token_file: %w", err)
	case found == "":
		f.add("token_file: %s is empty: write the token into it", file)
	case len(text) > maxToken:
		f.add("token_file: %s has more than %d bytes", file, maxToken)
	default:
		if err = api.CheckToken(found); err != nil {
			f.add("token_file: %s: %w", file, err)
			break
		}
		return found
	}
	return ""
}

func boolean(f *faults, key string, value any, otherwise bool) bool {
	if value == nil {
		return otherwise
	}
	v, ok := value.(bool)
	if !ok {
		f.add("%s: %s is neither true nor false", key, quoted(value))
	}
	return v
}

// nodeID is the id of an entry, or else what the node is called in faults; neither where the file says nothing.
func nodeID(f *faults, entry int, value any) (id raft.NodeID, called string) {
	if value == nil {
		return raft.None, ""
	}
	if v, ok := value.(int64); ok && v > 0 {
		return raft.NodeID(v), ""
	}
	called = fmt.Sprintf("node %s (entry %d of the file)", quoted(value), entry)
	f.add("%s: its id is not a whole number from 1 on", called)
	return raft.None, called
}

func number(f *faults, key string, value any, otherwise uint64) uint64 {
	if value == nil {
		return otherwise
	}
	v, ok := value.(int64)
	if !ok || v < 0 {
		f.add("%s: %s is not a whole number from 0 on", key, quoted(value))
		return otherwise
	}
	return uint64(v)
}

func duration(f *faults, key string, value any, otherwise time.Duration) time.Duration {
	if value == nil {
		return otherwise
	}
	s, _ := value.(string)
	d, err := time.ParseDuration(s)
	if err != nil || d <= 0 {
		f.add("%s: %s is not a positive duration like \"50ms\"", key, quoted(value))
		return otherwise
	}
	return d
}

func timeout(f *faults, value any) election.Timeout {
	t := Default().ElectionTimeout
	pair, _ := value.([]any)
	if len(pair) != 2 {
		f.add("election_timeout: %s is not two durations like [\"150ms\", \"300ms\"]", quoted(value))
		return t
	}
	return election.Timeout{
		Min: duration(f, "election_timeout", pair[0], t.Min),
		Max: duration(f, "election_timeout", pair[1], t.Max),
	}
}
