package kv

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode/utf8"
)

// An Op says what a Command does. The numbers are part of the log's format.
type Op uint8

// The operations.
const (
	Put    Op = 1 // sets Key to Value
	Append Op = 2 // adds Value to what Key holds; a missing key holds nothing
	CAS    Op = 3 // sets Key to Value if it holds Expect
	Delete Op = 4 // removes Key
)

// A Command is one change of the map.
type Command struct {
	Op     Op
	Key    string
	Value  []byte
	Expect []byte // CAS only; nil: the key must be missing
	Whole  bool   // Append only: answer with the whole value, not just its length
}

// ErrCommand is returned for bytes that are no Command.
var ErrCommand = errors.New("kv: malformed command")

const commandFields = 5

// Encode returns c as the msgpack array [op, key, value, expect, whole], in which value and expect may be nil.
func (c Command) Encode() []byte {
	b := make([]byte, 0, len(c.Key)+len(c.Value)+len(c.Expect)+24)
	b = appendUint(append(b, mpFixArr|commandFields), uint64(c.Op))
	b = append(appendBinHeader(b, len(c.Key)), c.Key...)
	b = appendBin(b, c.Value)
	b = appendBin(b, c.Expect)
	return appendBool(b, c.Whole)
}

// DecodeCommand is the inverse of Encode. Value and Expect are parts of b. The error is ErrCommand.
func DecodeCommand(b []byte) (Command, error) {
	d := cursor{b: b}
	if d.array() != commandFields {
		return Command{}, ErrCommand
	}
	op := d.uint()
	key := d.bin()
	c := Command{Op: Op(op), Key: string(key), Value: d.bin(), Expect: d.bin(), Whole: d.bool()}
	if !d.done() || key == nil || op < uint64(Put) || op > uint64(Delete) {
		return Command{}, ErrCommand
	}
	return c, nil
}

// String is the command in words, for people who read the log.
func (c Command) String() string {
	var b strings.Builder
	_ = c.Describe(&b) // which takes everything
	return b.String()
}

// Describe writes what String is, in small pieces, each of whole characters. The error is the writer's.
func (c Command) Describe(w io.Writer) error {
	switch c.Op {
	case Put:
		return describe(w, "put", c.Key, c.Value)
	case Append:
		return describe(w, "append", c.Key, c.Value)
	case CAS:
		if c.Expect == nil {
			return cmp.Or(describe(w, "cas", c.Key), said(w, " missing "), Quote(w, c.Value))
		}
		return describe(w, "cas", c.Key, c.Expect, c.Value)
	case Delete:
		return describe(w, "delete", c.Key)
	default:
		return said(w, fmt.Sprintf("operation %d", c.Op))
	}
}

func describe(w io.Writer, op, key string, values ...[]byte) error {
	if err := cmp.Or(said(w, op+" "), Quote(w, []byte(key))); err != nil {
		return err
	}
	for _, value := range values {
		if err := cmp.Or(said(w, " "), Quote(w, value)); err != nil {
			return err
		}
	}
	return nil
}

func said(w io.Writer, words string) error {
	_, err := io.WriteString(w, words)
	return err
}

// quotePart is how much of what is quoted makes one piece, which may be four times as long.
const quotePart = 4 << 10 // bytes

// Quote writes b in quotes, as %q has it, in small pieces, each of whole characters. The error is the writer's.
func Quote(w io.Writer, b []byte) error {
	if err := said(w, `"`); err != nil {
		return err
	}
	var quoted []byte
	for len(b) > 0 {
		n := wholeCharacters(b)
		quoted = strconv.AppendQuote(quoted[:0], string(b[:n]))
		if _, err := w.Write(quoted[1 : len(quoted)-1]); err != nil {
			return err
		}
		b = b[n:]
	}
	return said(w, `"`)
}

// wholeCharacters is where a piece of b ends: where no character goes on. What is none is quoted byte by byte.
func wholeCharacters(b []byte) int {
	if len(b) <= quotePart {
		return len(b)
	}
	for n := quotePart; n > quotePart-utf8.UTFMax; n-- {
		if utf8.RuneStart(b[n]) {
			return n
		}
	}
	return quotePart
}

// A Fault says why a command changed nothing.
type Fault uint8

// The faults. The numbers are part of the results' format.
const (
	OK       Fault = 0
	Bad      Fault = 1 // not a command this version knows
	TooLarge Fault = 2 // key above MaxKey, or the value would exceed MaxValue
)

// A Result is what a command answered.
type Result struct {
	Fault  Fault
	Done   bool   // CAS: swapped; Delete: there was such a key; else true
	Value  []byte // Append with Whole: the value; CAS: the value now, nil when missing
	Length int    // Append: bytes of the value
}

// ErrResult is returned for bytes that are no Result.
var ErrResult = errors.New("kv: malformed result")

const resultFields = 4

// Encode returns r as the msgpack array [fault, done, value, length].
func (r Result) Encode() []byte {
	b := make([]byte, 0, len(r.Value)+20)
	b = appendUint(append(b, mpFixArr|resultFields), uint64(r.Fault))
	b = appendBool(b, r.Done)
	b = appendBin(b, r.Value)
	return appendUint(b, uint64(r.Length))
}

// DecodeResult is the inverse of Encode. Value is a part of b. The error is ErrResult.
func DecodeResult(b []byte) (Result, error) {
	d := cursor{b: b}
	if d.array() != resultFields {
		return Result{}, ErrResult
	}
	fault := d.uint()
	r := Result{Fault: Fault(fault), Done: d.bool(), Value: d.bin()}
	r.Length = int(d.uint())
	if !d.done() || fault > uint64(TooLarge) {
		return Result{}, ErrResult
	}
	return r, nil
}
