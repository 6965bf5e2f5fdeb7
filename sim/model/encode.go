package model

import (
	"encoding/binary"
	"fmt"
	"reflect"
	"slices"
	"time"

	"github.com/troupe-raft/troupe/raft"
)

// electionMin is two ticks of Scope.Clock. Without a clock each step is later than all before by more than any promise.
const electionMin = 2

// An encoder writes values such that two come out alike exactly if nothing can tell them apart later. It reaches into
// raft.Node by reflection, so that a field that is added there counts until somebody says here why it does not.
type encoder struct {
	scope  Scope
	rounds bool // read rounds matter
	plans  map[reflect.Type][]rule

	b     []byte
	now   time.Duration
	leads bool // the node being written is a leader
}

// A rule is how to write a field.
type rule uint8

const (
	plain    rule = iota
	never         // constant, or derived from what is written anyway
	moment        // a time of the past: how long ago, and nothing more once that is ElectionMin
	end           // of a promise: how long from now, and nothing more once it has come
	round         // of reads
	inLead        // meaningless unless leading
	lateSync      // meaningless unless leading, if writes are durable at once: whoever begins to lead confirms its log anew
	sorted        // a set
	doubt         // of servers that have gone back
)

// fieldRules names what is not plain. A name that no longer exists is a panic at the start.
var fieldRules = map[string]rule{
	"raft.Node.cfg":       never,
	"raft.Node.now":       never, // the clock is the model's
	"raft.Node.contact":   moment,
	"raft.Node.jumped":    moment,
	"raft.Node.round":     round,
	"raft.Node.termFirst": inLead,
	"raft.Node.ballots":   sorted,
	"raft.Node.durable":   lateSync,
	"raft.Node.backers":   doubt,
	"raft.Node.cut":       lateSync,
	"raft.Node.cutLast":   lateSync,
	"raft.peer.heard":     moment,
	"raft.peer.lease":     end,
	"raft.peer.sent":      never, // it orders what is said of Applied, which the model does not step
	"raft.peer.round":     round,
	"raft.peer.vitals":    never, // a change of the model's is forced
	"raft.peer.told":      moment,
	"raft.promise.binds":  end,
}

func newEncoder(s Scope) *encoder {
	e := &encoder{scope: s, rounds: s.Clock || s.Limit.Reads > 0, plans: map[reflect.Type][]rule{}}
	found := 0
	node := reflect.TypeFor[raft.Node]()
	for _, t := range []reflect.Type{node, fieldType(node, "peers").Elem(), fieldType(node, "promise")} {
		for _, r := range e.plan(t) {
			if r != plain {
				found++
			}
		}
	}
	if found != len(fieldRules) {
		panic(fmt.Sprintf("model: %d of %d fields with a rule of their own were found in raft.Node: encode.go is out of date", found, len(fieldRules)))
	}
	return e
}

func fieldType(t reflect.Type, name string) reflect.Type {
	f, ok := t.FieldByName(name)
	if !ok {
		panic(fmt.Sprintf("model: %v has no field %s any more", t, name))
	}
	return f.Type
}

func (e *encoder) plan(t reflect.Type) []rule {
	if p, ok := e.plans[t]; ok {
		return p
	}
	p := make([]rule, t.NumField())
	for i := range p {
		p[i] = fieldRules[t.String()+"."+t.Field(i).Name]
	}
	e.plans[t] = p
	return p
}

func (e *encoder) uint(u uint64) { e.b = binary.AppendUvarint(e.b, u) }

// value writes v, whatever it is made of.
func (e *encoder) value(v reflect.Value) {
	switch v.Kind() {
	case reflect.Bool:
		if v.Bool() {
			e.b = append(e.b, 1)
		} else {
			e.b = append(e.b, 0)
		}
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		e.b = binary.AppendVarint(e.b, v.Int())
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		e.uint(v.Uint())
	case reflect.String:
		e.uint(uint64(v.Len()))
		e.b = append(e.b, v.String()...)
	case reflect.Slice, reflect.Array:
		e.uint(uint64(v.Len()))
		for i := range v.Len() {
			e.value(v.Index(i))
		}
	case reflect.Pointer, reflect.Interface:
		if v.IsNil() {
			e.b = append(e.b, 0)
			return
		}
		e.b = append(e.b, 1)
		if v.Kind() == reflect.Interface {
			e.b = append(e.b, v.Elem().Type().String()...)
		}
		e.value(v.Elem())
	case reflect.Struct:
		for i, r := range e.plan(v.Type()) {
			e.field(v.Field(i), r)
		}
	default:
		panic(fmt.Sprintf("model: cannot encode a %v", v.Type()))
	}
}

func (e *encoder) field(v reflect.Value, r rule) {
	switch r {
	case plain:
		e.value(v)
	case moment:
		if e.scope.Clock {
			e.b = binary.AppendVarint(e.b, max(v.Int(), int64(e.now)-electionMin)-int64(e.now))
		}
	case end:
		if e.scope.Clock {
			e.b = binary.AppendVarint(e.b, max(v.Int(), int64(e.now))-int64(e.now))
		}
	case round:
		if e.rounds {
			e.value(v)
		}
	case inLead:
		if e.leads {
			e.value(v)
		}
	case lateSync:
		if e.leads || e.scope.HoldSync {
			e.value(v)
		}
	case sorted:
		e.set(v)
	case doubt:
		if e.scope.Limit.Losses > 0 {
			e.set(v)
		}
	}
}

// set writes the elements of a slice in the order of what they come to.
func (e *encoder) set(v reflect.Value) {
	outer := e.b
	var parts []string
	for i := range v.Len() {
		e.b = nil
		e.value(v.Index(i))
		parts = append(parts, string(e.b))
	}
	e.b = outer
	slices.Sort(parts)
	e.uint(uint64(len(parts)))
	for _, p := range parts {
		e.b = append(e.b, p...)
	}
}

// server writes everything that makes a server what it is. The result is valid until the next call.
func (e *encoder) server(s *server) []byte {
	e.b, e.now, e.leads = e.b[:0], s.now, s.node.Role() == raft.Leader
	e.uint(uint64(s.id))
	e.value(reflect.ValueOf(s.node).Elem())
	e.value(reflect.ValueOf(&s.disk).Elem())
	e.value(reflect.ValueOf(&s.pending).Elem())
	e.uint(uint64(s.spoken))
	e.uint(uint64(s.now))
	if e.scope.Limit.Losses > 0 {
		e.uint(s.life)
		e.value(reflect.ValueOf(&s.once).Elem())
	}
	return e.b
}

// message writes a message between two servers. The result is valid until the next call.
func (e *encoder) message(l letter) []byte {
	e.b = e.b[:0]
	e.uint(uint64(l.from))
	e.uint(uint64(l.to))
	e.value(reflect.ValueOf(&l.message).Elem())
	return e.b
}
