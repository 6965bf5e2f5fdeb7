package sim

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"
)

// Command is what repeats the run: flags for what is often looked at, --config for every other field that the seed does not draw by
// itself. Nothing that a field can hold is left out but Out, where the trace goes.
func (r *Report) Command() string {
	c := r.Config.least()
	var b strings.Builder
	fmt.Fprintf(&b, "go run ./sim/soak replay --seed %d", r.Config.Seed)
	if c.Salt != 0 {
		fmt.Fprintf(&b, " --salt %d", c.Salt)
	}
	if c.Liveness {
		b.WriteString(" --liveness")
	}
	if c.Nodes != 0 {
		fmt.Fprintf(&b, " --nodes %d", c.Nodes)
	}
	if c.Clients != 0 {
		fmt.Fprintf(&b, " --clients %d", c.Clients)
	}
	if c.Only != nil {
		var only []string
		for _, i := range c.Only {
			only = append(only, fmt.Sprint(i))
		}
		fmt.Fprintf(&b, " --only=%s", strings.Join(only, ","))
	}
	c.Seed, c.Salt, c.Liveness, c.Nodes, c.Clients, c.Only, c.Out = 0, 0, false, 0, 0, nil, nil
	if rest := sparse(reflect.ValueOf(c)).(map[string]any); len(rest) > 0 {
		text, err := json.Marshal(rest)
		if err != nil {
			return fmt.Sprintf("%s (and no flag for %+v: %v)", &b, c, err)
		}
		fmt.Fprintf(&b, " --config '%s'", strings.ReplaceAll(string(text), "'", `\u0027`))
	}
	return b.String()
}

// Merge sets the fields of c that a JSON object names, as Command writes it.
func (c *Config) Merge(text string) error {
	d := json.NewDecoder(strings.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(c); err != nil {
		return fmt.Errorf("sim: not a Config: %w", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("sim: more follows the Config")
	}
	return nil
}

// least is c without the fields that withDefaults fills in by itself. It asks withDefaults, so that no field can be forgotten: what one
// field's default depends on is kept as long as the field needs it.
func (c Config) least() Config {
	c.Out = nil
	full := c.withDefaults()
	least := full
	for v, i := reflect.ValueOf(&least).Elem(), 0; i < v.NumField(); i++ {
		kept := reflect.New(v.Field(i).Type()).Elem()
		kept.Set(v.Field(i))
		v.Field(i).SetZero()
		if !reflect.DeepEqual(least.withDefaults(), full) {
			v.Field(i).Set(kept)
		}
	}
	return least
}

// sparse is what encoding/json writes a value from when it is to leave out fields that are zero, which tells an empty slice from none.
func sparse(v reflect.Value) any {
	switch v.Kind() {
	case reflect.Struct:
		fields := map[string]any{}
		for i := range v.NumField() {
			if f := v.Type().Field(i); f.IsExported() && !v.Field(i).IsZero() {
				fields[f.Name] = sparse(v.Field(i))
			}
		}
		return fields
	case reflect.Slice:
		all := make([]any, v.Len())
		for i := range all {
			all[i] = sparse(v.Index(i))
		}
		return all
	}
	return v.Interface()
}
