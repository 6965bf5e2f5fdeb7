package history

import (
	"fmt"
	"strings"
	"testing"

	"github.com/anishathalye/porcupine"
	"pgregory.net/rapid"
)

func TestAppendOnly(t *testing.T) {
	for _, test := range []struct {
		name, want string // want is part of the error; empty: none
		ops        []Op
	}{
		{"nothing", "", nil},
		{"good", "", []Op{
			get("k", Missing).at(1, 2), app("k", "a ", "a ").at(3, 10), app("k", "b ", "").blind().at(4, 11), app("k", "c ", "").unknown(5),
			app("k", "d ", "").unknown(5), get("k", Some("a ")).at(6, 12), get("k", Some("a c b ")).at(13, 14), get("j", Missing).at(1, 2),
		}},
		{"stale read", "took effect before", []Op{app("k", "a ", "a ").at(1, 2), app("k", "b ", "a b ").at(3, 4), get("k", Some("a ")).at(5, 6)}},
		{"reads go back", "took effect before", []Op{
			app("k", "a ", "").unknown(1), get("k", Some("a ")).at(3, 4), get("k", Missing).at(5, 6),
		}},
		{"lost", "in no value", []Op{app("k", "a ", "").blind().at(1, 2), get("k", Missing).at(3, 4)}},
		{"overwritten", "do not continue", []Op{app("k", "a ", "a ").at(1, 2), app("k", "b ", "b ").at(3, 4)}},
		{"lost in the middle", "do not continue", []Op{app("k", "a ", "a ").at(1, 2), app("k", "b ", "a b ").at(3, 4), app("k", "c ", "a c ").at(5, 6)}},
		{"never read", "in no value", []Op{app("k", "a ", "").blind().at(1, 2)}},
		{"twice", "stands twice", []Op{app("k", "a ", "a ").at(1, 2), get("k", Some("a a ")).at(3, 4)}},
		{"twice at once", "not the last", []Op{app("k", "a ", "a b ").at(1, 2), app("k", "b ", "a b ").at(1, 3)}},
		{"invented", "nobody appended", []Op{app("k", "a ", "a ").at(1, 2), get("k", Some("a b ")).at(3, 4)}},
		{"torn", "within a word", []Op{app("k", "ab ", "ab ").at(1, 2), get("k", Some("a")).at(1, 4)}},
		{"torn at the end", "nobody appended", []Op{app("k", "ab ", "ab ").at(1, 2), get("k", Some("ab a")).at(1, 4)}},
		{"there and empty", "there and empty", []Op{get("k", Some("")).at(1, 2)}},
		{"from the future", "took effect before", []Op{get("k", Some("a ")).at(1, 2), app("k", "a ", "a ").at(3, 4)}},
		{"against time", "took effect before", []Op{app("k", "a ", "").blind().at(1, 2), app("k", "b ", "b ").at(3, 4), get("k", Some("b a ")).at(5, 6)}},
		{"unknown, against time", "took effect before", []Op{app("k", "a ", "").blind().at(1, 2), app("k", "b ", "").unknown(3), get("k", Some("b a ")).at(5, 6)}},
		{"other writes", "not only appended", []Op{put("k", "a ").at(1, 2)}},
		{"equal words", "appended twice", []Op{app("k", "a ", "a ").at(1, 2), app("k", "a ", "").unknown(3)}},
		{"no words", "is no word", []Op{app("k", "a b ", "").at(1, 2)}},
		{"empty words", "is no word", []Op{app("k", "", "").at(1, 2)}},
	} {
		t.Run(test.name, func(t *testing.T) {
			err := AppendOnly(test.ops)
			if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
}

// spoil changes something in a history, which may or may not make it wrong.
func spoil(t *rapid.T, ops []Op) {
	o := &ops[rapid.IntRange(0, len(ops)-1).Draw(t, "spoiled")]
	words := strings.SplitAfter(o.Saw.Text, " ")
	switch rapid.SampledFrom([]string{"drop", "swap", "repeat", "earlier", "later", "lose", "see"}).Draw(t, "how") {
	case "drop":
		words = words[:len(words)-1]
		if len(words) > 0 {
			words = words[:len(words)-1]
		}
		o.Saw = Value{Text: strings.Join(words, ""), Exists: len(words) > 0}
	case "swap":
		if len(words) > 2 {
			words[0], words[1] = words[1], words[0]
			o.Saw.Text = strings.Join(words, "")
		}
	case "repeat":
		o.Saw.Text += words[0]
	case "earlier":
		o.Call = max(1, o.Call-rapid.Int64Range(1, 20).Draw(t, "by"))
	case "later":
		by := rapid.Int64Range(1, 40).Draw(t, "by")
		if o.Call += by; !o.Unknown() {
			o.Return += by
		}
	case "lose":
		word := Token(o.Client, 0)
		for i := range ops {
			ops[i].Saw.Text = strings.Replace(ops[i].Saw.Text, word, "", 1)
			ops[i].Saw.Exists = ops[i].Saw.Text != ""
		}
	case "see":
		o.Saw = ops[len(ops)-1].Saw
	}
}

// TestJudgesAgree draws histories, good and spoiled, and wants one verdict of the fast judge and of porcupine.
func TestJudgesAgree(t *testing.T) {
	counts := map[porcupine.CheckResult]int{}
	rapid.Check(t, func(t *rapid.T) {
		ops := draw(t, Get, Append)
		if AppendOnly(ops) != nil {
			t.Fatalf("a good history is refused: %v", AppendOnly(ops))
		}
		spoiled := rapid.Bool().Draw(t, "spoil")
		if spoiled {
			spoil(t, ops)
		}
		verdict, report := Check(ops, 1_000_000)
		counts[verdict]++
		if err := AppendOnly(ops); (err == nil) != (verdict == porcupine.Ok) {
			t.Fatalf("%v here, porcupine: %v\n%v", err, verdict, report)
		}
		if !spoiled && verdict != porcupine.Ok {
			t.Fatalf("a good history is refused:\n%v", report)
		}
		if report != nil && porcupine.CheckOperations(model(report.Free), Operations(report.Part)) {
			t.Fatalf("something explains\n%v", report)
		}
	})
	if counts[porcupine.Ok] == 0 || counts[porcupine.Illegal] == 0 {
		t.Errorf("verdicts %v: only one of them was tested", counts)
	}
}

// TestManyOverlap judges what porcupine could not in this time: thousands of operations that all overlap.
func TestManyOverlap(t *testing.T) {
	var ops []Op
	whole := ""
	for i := range 5000 {
		whole += Token(i, i)
		ops = append(ops, Op{Client: i, Kind: Append, Key: "k", Arg: Token(i, i), Call: int64(5000 - i), Return: 10_000, Blind: true})
	}
	ops = append(ops, get("k", Some(whole)).at(10_001, 10_002))
	if err := AppendOnly(ops); err != nil {
		t.Error(err)
	}
	ops = append(ops, get("k", Some(whole[:len(whole)-len(Token(4999, 4999))])).at(10_003, 10_004))
	if err := AppendOnly(ops); err == nil || len(fmt.Sprint(err)) > 1000 {
		t.Errorf("%v", err)
	}
}
