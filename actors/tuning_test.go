package actors

import (
	"reflect"
	"strings"
	"testing"
	"time"
)

// Every field of Tuning and HostTuning is validated: a negative one is named.
func TestTuningIsValidated(t *testing.T) {
	each := func(v reflect.Value, name string, f func(name string, field reflect.Value)) {}
	each = func(v reflect.Value, name string, f func(string, reflect.Value)) {
		for i := range v.NumField() {
			field, name := v.Field(i), strings.TrimPrefix(name+"."+v.Type().Field(i).Name, ".")
			if field.Kind() == reflect.Struct {
				each(field, name, f)
				continue
			}
			f(name, field)
		}
	}
	validated := func(tuning any, validate func() error) {
		v := reflect.ValueOf(tuning).Elem()
		each(v, "Tuning", func(name string, field reflect.Value) {
			field.SetInt(-1)
			err := validate()
			field.SetInt(0)
			if parts := strings.Split(name, "."); err == nil || !strings.Contains(err.Error(), parts[len(parts)-1]) {
				t.Errorf("%s -1: %v", name, err)
			}
		})
		if err := validate(); err != nil {
			t.Errorf("all defaults: %v", err)
		}
	}
	group := GroupConfig{Group: 1, Apply: func(Command) []byte { return nil }, NoRestart: true}
	validated(&group.Tuning, func() error { return group.withDefaults().Validate() })
	host := HostConfig{Node: 1, Dir: "d", Listen: "127.0.0.1:0"}
	validated(&host.Tuning, func() error { return host.withDefaults().Validate() })
	group.Tuning.SnapshotPieceBytes = 2 << 20
	if err := group.withDefaults().Validate(); err == nil || !strings.Contains(err.Error(), "SnapshotPieceBytes") {
		t.Errorf("pieces that no reader takes: %v", err)
	}
}

// What is set of Restarts stays, and what is not fits it.
func TestRestartsDefaults(t *testing.T) {
	usual := Restarts{Limit: 5, Window: time.Minute, First: 100 * time.Millisecond, Max: 5 * time.Second}
	for _, c := range []struct{ set, want Restarts }{
		{Restarts{}, usual},
		{Restarts{Limit: 2}, Restarts{2, usual.Window, usual.First, usual.Max}},
		{Restarts{Max: time.Millisecond}, Restarts{5, usual.Window, time.Millisecond, time.Millisecond}},
		{Restarts{First: time.Hour}, Restarts{5, usual.Window, time.Hour, time.Hour}},
	} {
		if got := c.set.or(usual); got != c.want {
			t.Errorf("%+v became %+v, not %+v", c.set, got, c.want)
		}
	}
	for failures, want := range map[int]time.Duration{0: 100 * time.Millisecond, 1: 100 * time.Millisecond, 2: 200 * time.Millisecond, 7: 5 * time.Second, 10_000: 5 * time.Second} {
		if got := usual.pause(failures); got != want {
			t.Errorf("after %d failures %v, not %v", failures, got, want)
		}
	}
}
