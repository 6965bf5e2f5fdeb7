package sim

import (
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"time"
)

// drawField draws some value of a field's type, small ones that a run could have. Types that no field of a Config has had are named: say
// how to draw them.
func drawField(t *testing.T, r *rand.Rand, v reflect.Value) {
	t.Helper()
	switch v.Kind() {
	case reflect.Bool:
		v.SetBool(r.IntN(2) == 0)
	case reflect.String:
		v.SetString([]string{"crash", "it's", `"<a> & \b"`}[r.IntN(3)])
	case reflect.Int, reflect.Int64:
		v.SetInt(r.Int64N(12) - 3)
	case reflect.Uint64:
		v.SetUint(r.Uint64())
	case reflect.Float64:
		v.SetFloat(r.NormFloat64())
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		drawField(t, r, v.Elem())
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), r.IntN(3), 2)) // empty ones too: they are not the same as none
		for i := range v.Len() {
			drawField(t, r, v.Index(i))
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if r.IntN(2) == 0 {
				drawField(t, r, v.Field(i))
			}
		}
	case reflect.Interface: // Out
	default:
		t.Fatalf("no test draws a %v", v.Type())
	}
}

func drawConfig(t *testing.T, r *rand.Rand) (c Config) {
	drawField(t, r, reflect.ValueOf(&c).Elem())
	return c
}

// TestDefaultsAreFilledInOnce: what was filled in, or explicitly chosen, is not drawn again.
func TestDefaultsAreFilledInOnce(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		c := drawConfig(t, r).withDefaults()
		if again := c.withDefaults(); !reflect.DeepEqual(again, c) {
			t.Fatalf("the second time it is\n%+v, was\n%+v", again, c)
		}
	}
	none := Config{Seed: 3, Spares: -1, Clients: -1, Nodes: 3}
	if got := Run(Config{Seed: 3, Spares: -1, Clients: -1, Nodes: 3, Length: time.Millisecond}).Config; len(none.withDefaults().ids()) != 3 || len(got.ids()) != 3 || got.Clients > 0 {
		t.Errorf("%+v", got)
	}
}

// TestLeast: of a configuration it keeps all that makes a difference and nothing else, whatever fields there are.
func TestLeast(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for range 2000 {
		c := drawConfig(t, r)
		least := c.least()
		if full := c.withDefaults(); !reflect.DeepEqual(least.withDefaults(), full) {
			t.Fatalf("of\n%+v\nremains\n%+v", full, least)
		}
		if again := least.withDefaults().least(); !reflect.DeepEqual(again, least) {
			t.Fatalf("of\n%+v\nremains\n%+v", least, again)
		}
	}
	if got := (Config{Seed: 9}).withDefaults().least(); !reflect.DeepEqual(got, Config{Seed: 9}) {
		t.Errorf("more than the seed: %+v", got)
	}
}

// TestMerge refuses what is no Config, so that a command that lost a part shows no other run.
func TestMerge(t *testing.T) {
	for _, text := range []string{"", "{", `{"Nodes": 3} {}`, `{"Node": 3}`, `{"Out": 1}`, `{"Nodes": "3"}`, `[]`} {
		var c Config
		if err := c.Merge(text); err == nil || !strings.Contains(err.Error(), "sim: ") {
			t.Errorf("%q: %v", text, err)
		}
	}
	c := Config{Seed: 5, Nodes: 3}
	if err := c.Merge(`{"Nodes":4,"Only":[],"Hasty":false,"Broken":[{"From":1,"To":2}]}`); err != nil {
		t.Fatal(err)
	}
	if no := false; !reflect.DeepEqual(c, Config{Seed: 5, Nodes: 4, Only: []int{}, Hasty: &no, Broken: []Link{{1, 2}}}) {
		t.Errorf("%+v", c)
	}
}
