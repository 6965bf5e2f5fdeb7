package history

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/anishathalye/porcupine"
	"pgregory.net/rapid"
)

// Operations of these tests. Their times are set by at.
func get(key string, saw Value) Op { return Op{Kind: Get, Key: key, Saw: saw} }
func put(key, value string) Op     { return Op{Kind: Put, Key: key, Arg: value} }
func app(key, word, whole string) Op {
	return Op{Kind: Append, Key: key, Arg: word, Saw: Some(whole)}
}
func cas(key string, expect Value, value string, done bool, now Value) Op {
	return Op{Kind: CAS, Key: key, Expect: expect, Arg: value, Done: done, Saw: now}
}
func del(key string, done bool) Op { return Op{Kind: Delete, Key: key, Done: done} }

func (o Op) at(call, ret int64) Op {
	o.Call, o.Return = call, ret
	return o
}

func (o Op) blind() Op {
	o.Blind, o.Saw, o.Done = true, Value{}, false
	return o
}

// unknown forgets the answer.
func (o Op) unknown(call int64) Op {
	o.Saw, o.Done = Value{}, false
	return o.at(call, Never)
}

var verdicts = []struct {
	name string
	want porcupine.CheckResult
	ops  []Op
}{
	{"nothing", porcupine.Ok, nil},
	{"each kind in turn", porcupine.Ok, []Op{
		get("k", Missing).at(1, 2), app("k", "a", "a").at(3, 4), app("k", "b", "ab").at(5, 6), get("k", Some("ab")).at(7, 8),
		put("k", "c").at(9, 10), cas("k", Some("x"), "d", false, Some("c")).at(11, 12), cas("k", Some("c"), "d", true, Some("d")).at(13, 14),
		del("k", true).at(15, 16), del("k", false).at(17, 18), cas("k", Some(""), "e", false, Missing).at(19, 20),
		cas("k", Missing, "", true, Some("")).at(21, 22), get("k", Some("")).at(23, 24), app("k", "f", "").blind().at(25, 26), get("k", Some("f")).at(27, 28),
	}},
	{"keys do not know each other", porcupine.Ok, []Op{put("a", "1").at(1, 2), get("b", Missing).at(3, 4), get("a", Some("1")).at(5, 6)}},
	{"reads under way with a write see it or not", porcupine.Ok, []Op{put("k", "1").at(1, 10), get("k", Some("1")).at(3, 4), get("k", Missing).at(2, 5)}},
	{"a value comes and goes", porcupine.Illegal, []Op{put("k", "1").at(1, 10), get("k", Some("1")).at(2, 3), get("k", Missing).at(4, 5)}},
	{"equal times order nothing", porcupine.Ok, []Op{put("k", "1").at(1, 2), get("k", Missing).at(2, 3)}},
	{"stale read", porcupine.Illegal, []Op{put("k", "1").at(1, 2), put("k", "2").at(3, 4), get("k", Some("1")).at(5, 6)}},
	{"stale read of a missing key", porcupine.Illegal, []Op{put("k", "").at(1, 2), get("k", Missing).at(3, 4)}},
	{"stale answer to an append", porcupine.Illegal, []Op{app("k", "a", "a").at(1, 2), app("k", "b", "b").at(3, 4)}},
	{"stale cas", porcupine.Illegal, []Op{put("k", "1").at(1, 2), cas("k", Some("2"), "3", true, Some("3")).at(3, 4)}},
	{"stale refusal of a cas", porcupine.Illegal, []Op{put("k", "1").at(1, 2), cas("k", Some("1"), "3", false, Missing).at(3, 4)}},
	{"stale delete", porcupine.Illegal, []Op{put("k", "1").at(1, 2), del("k", false).at(3, 4)}},
	{"lost append", porcupine.Illegal, []Op{app("k", "a", "").blind().at(1, 2), app("k", "b", "").blind().at(3, 4), get("k", Some("b")).at(5, 6)}},
	{"lost put", porcupine.Illegal, []Op{put("k", "1").at(1, 2), del("k", true).at(3, 4), put("k", "2").at(5, 6), get("k", Missing).at(7, 8)}},
	{"lost delete", porcupine.Illegal, []Op{put("k", "1").at(1, 2), del("k", true).at(3, 4), get("k", Some("1")).at(5, 6)}},
	{"an append to something else", porcupine.Illegal, []Op{put("k", "1").at(1, 2), app("k", "a", "2a").at(3, 4)}},
	{"a cas that lies about having set", porcupine.Illegal, []Op{put("k", "1").at(1, 2), cas("k", Some("1"), "1", false, Some("1")).at(3, 4)}},
	{"a cas that lies about the value", porcupine.Illegal, []Op{put("k", "1").at(1, 2), cas("k", Some("1"), "2", true, Some("3")).at(3, 4)}},
	{"a cas that lies by itself", porcupine.Illegal, []Op{cas("k", Missing, "2", true, Some("3")).at(3, 4)}},
	{"a cas that refuses what it expects", porcupine.Illegal, []Op{cas("k", Some("1"), "2", false, Some("1")).at(3, 4)}},
	{"double append", porcupine.Illegal, []Op{app("k", "a", "").blind().at(1, 2), get("k", Some("aa")).at(3, 4)}},
	{"double append that answered so", porcupine.Illegal, []Op{app("k", "a", "aa").at(1, 2)}},
	{"invented value", porcupine.Illegal, []Op{put("k", "1").at(1, 2), get("k", Some("2")).at(3, 4)}},
	{"read from the future", porcupine.Illegal, []Op{get("k", Some("1")).at(1, 2), put("k", "1").at(3, 4)}},
	{"unknown and never seen", porcupine.Ok, []Op{put("k", "1").at(1, 2), put("k", "2").unknown(3), get("k", Some("1")).at(5, 6)}},
	{"unknown and seen late", porcupine.Ok, []Op{
		put("k", "1").at(1, 2), app("k", "x", "").unknown(3), get("k", Some("1")).at(5, 6), get("k", Some("1x")).at(70, 80), del("k", true).unknown(81), get("k", Missing).at(82, 83),
	}},
	{"unknown and seen twice", porcupine.Illegal, []Op{app("k", "x", "").unknown(3), get("k", Some("xx")).at(5, 6)}},
	{"unknown and seen, then gone", porcupine.Illegal, []Op{app("k", "x", "").unknown(3), get("k", Some("x")).at(5, 6), get("k", Missing).at(7, 8)}},
	{"unknown and seen before it was called", porcupine.Illegal, []Op{get("k", Some("x")).at(1, 2), put("k", "x").unknown(3)}},
	{"unknown cas that explains a value", porcupine.Ok, []Op{put("k", "1").at(1, 2), cas("k", Some("1"), "2", false, Missing).unknown(3), get("k", Some("2")).at(4, 5)}},
	{"unknown cas that could not", porcupine.Illegal, []Op{put("k", "1").at(1, 2), cas("k", Some("0"), "2", false, Missing).unknown(3), get("k", Some("2")).at(4, 5)}},
	{"a read that was never answered", porcupine.Ok, []Op{get("k", Some("nonsense")).unknown(1), put("k", "1").at(2, 3), get("k", Some("1")).at(4, 5)}},
}

func TestCheck(t *testing.T) {
	for _, test := range verdicts {
		t.Run(test.name, func(t *testing.T) {
			got, report := Check(test.ops, 1_000_000)
			if got != test.want {
				t.Errorf("got %v, want %v\n%v", got, test.want, report)
			}
			if (report != nil) != (got != porcupine.Ok) {
				t.Errorf("%v with report %v", got, report)
			}
		})
	}
}

// TestKindsUnknown: an operation that the model does not know fits nowhere.
func TestKindsUnknown(t *testing.T) {
	if got, _ := Check([]Op{{Kind: 9, Key: "k", Call: 1, Return: 2}}, 0); got != porcupine.Illegal {
		t.Error(got)
	}
	if got := Kind(9).String(); got != "kind 9" {
		t.Error(got)
	}
}

// stale is a long history of two keys whose only fault is one read of a value that had been replaced.
func stale() (ops []Op) {
	whole, time := "", int64(0)
	add := func(o Op, client int) {
		o.Client, o.Via = client, "node 1"
		ops = append(ops, o.at(time, time+5))
		time += 10
	}
	for i := range 300 {
		word := Token(1, i)
		add(put("other", word), 2)
		if i == 200 {
			add(app("k", "late ", "").unknown(time), 3)
			ops[len(ops)-1].Return = Never
		}
		whole += word
		add(app("k", word, whole), 1)
		if i == 250 {
			add(get("k", Some(strings.TrimSuffix(whole, word))), 4) // the fault
			continue
		}
		add(get("k", Some(whole)), 4)
	}
	return ops
}

func TestReport(t *testing.T) {
	result, report := Check(stale(), 1_000_000)
	if result != porcupine.Illegal {
		t.Fatal(result)
	}
	if report.Key != "k" || report.Total != 601 || !report.Free {
		t.Errorf("key %q with %d operations, free %t", report.Key, report.Total, report.Free)
	}
	report.Notes = []Note{{Time: 1, Text: "long before"}, {Time: report.Part[1].Call + 1, Text: "node 2 was stopped"}, {Time: 1e9, Text: "long after"}}
	text := report.String()
	t.Log(text)
	for _, want := range []string{`1:250 `, "client 4 node 1: get k", "no order explains this answer", "-- node 2 was stopped", "601 operations", "anything"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	if lines := strings.Count(text, "\n"); lines > 6 || len(text) > 2000 || strings.Contains(text, "long ") || strings.Contains(text, "other") {
		t.Errorf("%d lines of\n%s", lines, text)
	}
	file := filepath.Join(t.TempDir(), "picture.html")
	if err := report.WriteHTML(file); err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile(file)
	if err != nil || !strings.Contains(string(page), "node 2 was stopped") || !strings.Contains(string(page), "1:249") {
		t.Errorf("%d bytes, %v", len(page), err)
	}
}

// TestPartsAreFaultsThemselves: what a report shows is not linearizable when it is all there is, and without its last answer it is.
func TestPartsAreFaultsThemselves(t *testing.T) {
	for _, test := range verdicts {
		if test.want != porcupine.Illegal {
			continue
		}
		_, report := Check(test.ops, 0)
		if porcupine.CheckOperations(model(report.Free), Operations(report.Part)) {
			t.Errorf("%s: something explains\n%v", test.name, report)
		}
		last := report.last()
		if last == nil {
			t.Fatalf("%s: no last answer in\n%v", test.name, report)
		}
		if !porcupine.CheckOperations(model(report.Free), Operations(until(report.Part, last.Return-1))) {
			t.Errorf("%s: the fault came before\n%v", test.name, report)
		}
	}
}

// TestFree: from a value that is not known, answers must still agree with themselves.
func TestFree(t *testing.T) {
	for _, test := range []struct {
		want bool
		ops  []Op
	}{
		{true, []Op{get("k", Some("x")).at(1, 2), app("k", "y", "xy").at(3, 4)}},
		{true, []Op{app("k", "y", "xy").at(1, 2), get("k", Some("xy")).at(3, 4)}},
		{true, []Op{app("k", "y", "").blind().at(1, 2), get("k", Some("xy")).at(3, 4)}},
		{true, []Op{del("k", true).at(1, 2), get("k", Missing).at(3, 4)}},
		{true, []Op{cas("k", Some("1"), "2", false, Missing).at(1, 2), del("k", false).at(3, 4)}},
		{false, []Op{app("k", "y", "x").at(1, 2)}},
		{false, []Op{del("k", true).at(1, 2), get("k", Some("x")).at(3, 4)}},
		{false, []Op{cas("k", Some("1"), "2", true, Some("3")).at(1, 2)}},
		{false, []Op{cas("k", Some("1"), "2", false, Some("1")).at(1, 2)}},
		{false, []Op{put("k", "1").at(1, 2), get("k", Some("2")).at(3, 4)}},
	} {
		if got := porcupine.CheckOperations(model(true), Operations(test.ops)); got != test.want {
			t.Errorf("got %t: %v", got, test.ops)
		}
	}
}

// TestNoTries gives a checker a hard history and few tries: it must not say that all is well, and each time say the same.
func TestNoTries(t *testing.T) {
	var ops []Op
	for i := range 25 {
		ops = append(ops, put("k", fmt.Sprint(i)).at(1, 1000))
	}
	ops = append(ops, get("k", Some("nobody's")).at(2, 1001))
	result, report := Check(ops, 10_000)
	if result != porcupine.Unknown || report == nil || !strings.Contains(report.String(), "no verdict on its 26 operations") {
		t.Errorf("%v, %v", result, report)
	}
	easy := put("a", "1").at(1, 2)
	if result, _ := Check(append(ops, easy), 10_000); result != porcupine.Unknown {
		t.Errorf("%v beside a key that is easy", result)
	}
	stale := []Op{put("z", "1").at(1, 2), get("z", Missing).at(3, 4)}
	if result, report := Check(append(ops, stale...), 10_000); result != porcupine.Illegal || report.Key != "z" {
		t.Errorf("%v: a key that is too hard hides the fault of another", result)
	}
}

// TestTriesAreCounted: what a verdict takes is the same every time, one try less is too few, and it is never called a fault.
func TestTriesAreCounted(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ops := ByKey(draw(t, Get, Put, Append, CAS, Delete))["k"]
		if rapid.Bool().Draw(t, "a fault") {
			ops = append(ops, get("k", Some("nobody's")).at(20_000, 20_001))
		}
		left := math.MaxInt
		want := place(Model(), ops, &left)
		need := math.MaxInt - left
		for tries := range need {
			if got := place(Model(), ops, &tries); got != porcupine.Unknown {
				t.Fatalf("%v after %d of %d tries", got, tries, need)
			}
			if got := check(Model(), ops, &tries); got != porcupine.Unknown && got != want {
				t.Fatalf("%v with %d tries, %v with as many as it takes", got, tries, want)
			}
		}
		if got := place(Model(), ops, &need); got != want || need != 0 {
			t.Fatalf("%v with %d tries left, %v without a limit", got, need, want)
		}
	})
}

// TestUnseenWritesAreNoBurden: writes whose outcome is unknown and that nobody saw, which may stand in any order, do not keep a history
// from being explained. One that was seen is not left out, and neither is the delete that explains a missing key.
func TestUnseenWritesAreNoBurden(t *testing.T) {
	var ops []Op
	for i := range 25 {
		ops = append(ops, put("k", fmt.Sprint("lost ", i)).unknown(int64(2*i)))
	}
	for i := range 5 {
		ops = append(ops, put("k", fmt.Sprint("kept ", i)).at(100, 200))
	}
	ops = append(ops, get("k", Some("kept 3")).at(300, 301))
	if result, report := Check(ops, 10_000); result != porcupine.Ok {
		t.Errorf("%v, %v", result, report)
	}
	seen := append(slices.Clone(ops), get("k", Some("lost 7")).at(302, 303))
	if result, report := Check(seen, 10_000); result != porcupine.Ok {
		t.Errorf("one was seen: %v, %v", result, report)
	}
	few := []Op{put("k", "1").at(1, 2), del("k", false).unknown(3), get("k", Missing).at(4, 5)}
	if result, report := Check(few, 10_000); result != porcupine.Ok {
		t.Errorf("%v, %v", result, report)
	}
}
