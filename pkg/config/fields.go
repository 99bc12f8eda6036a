package config

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

var durationType = reflect.TypeFor[time.Duration]()

// field is one key of the configuration.
type field struct {
	key   string
	value reflect.Value
	tag   reflect.StructTag
}

func (f field) section() bool { return f.value.Kind() == reflect.Struct }
func (f field) list() bool    { return f.value.Kind() == reflect.Slice }
func (f field) secret() bool  { return f.tag.Get("secret") == "true" }

// fields lists all keys that hold values, in the order of the structs.
func (l *Loaded) fields() []field {
	var out []field
	var walk func(prefix string, v reflect.Value)
	walk = func(prefix string, v reflect.Value) {
		for i := range v.NumField() {
			f := field{join(prefix, v.Type().Field(i).Tag.Get("yaml")), v.Field(i), v.Type().Field(i).Tag}
			if f.section() {
				walk(f.key, f.value)
			} else {
				out = append(out, f)
			}
		}
	}
	walk("", reflect.ValueOf(l.Config).Elem())
	return out
}

// find returns the field or section at a dotted key.
func (l *Loaded) find(key string) (field, error) {
	f := field{value: reflect.ValueOf(l.Config).Elem()}
	for part := range strings.SplitSeq(key, ".") {
		if !f.section() {
			return field{}, fmt.Errorf("unknown key %q: %s holds a value, not a section", key, f.key)
		}
		found, names := false, []string(nil)
		for i := range f.value.NumField() {
			sf := f.value.Type().Field(i)
			name := sf.Tag.Get("yaml")
			names = append(names, name)
			if name == part {
				f, found = field{join(f.key, name), f.value.Field(i), sf.Tag}, true
				break
			}
		}
		if !found {
			return field{}, fmt.Errorf("unknown key %q: %s has %s", key, orTop(f.key), strings.Join(names, ", "))
		}
	}
	return f, nil
}

// assign decodes n into f and notes where it came from.
func (l *Loaded) assign(f field, n *yaml.Node, where string) error {
	bad := func(want string) error {
		return fmt.Errorf("%s: %s: bad value %q: want %s", where, f.key, n.Value, want)
	}
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	switch {
	case f.list():
		var list []string
		if err := n.Decode(&list); err != nil {
			return bad("a list of texts")
		}
		f.value.Set(reflect.ValueOf(list))
	case n.Kind != yaml.ScalarNode:
		return bad("a single value")
	case f.value.Type() == durationType:
		d, err := time.ParseDuration(n.Value)
		if err != nil {
			return bad("a duration such as 200ms, 5s or 10m")
		}
		f.value.SetInt(int64(d))
	case f.value.Kind() == reflect.String:
		f.value.SetString(n.Value)
	case f.value.Kind() == reflect.Bool:
		b, err := strconv.ParseBool(n.Value)
		if err != nil {
			return bad("true or false")
		}
		f.value.SetBool(b)
	case f.value.Kind() == reflect.Int:
		i, err := strconv.Atoi(n.Value)
		if err != nil {
			return bad("a whole number")
		}
		f.value.SetInt(int64(i))
	case f.value.Kind() == reflect.Float64:
		x, err := strconv.ParseFloat(n.Value, 64)
		if err != nil {
			return bad("a number")
		}
		f.value.SetFloat(x)
	}
	l.origin[f.key] = where
	return nil
}

func (l *Loaded) validate() []error {
	var errs []error
	for _, f := range l.fields() {
		for r := range strings.SplitSeq(f.tag.Get("rule"), ",") {
			if want := broken(f, r); want != "" {
				errs = append(errs, fmt.Errorf("%s: %s: bad value %q: want %s", l.Origin(f.key), f.key, f.text(), want))
			}
		}
	}
	if h := l.VAD.HangoverMS; h != 0 && h < 64 {
		errs = append(errs, fmt.Errorf("%s: vad.hangover_ms: bad value \"%d\": want 0 or at least 64", l.Origin("vad.hangover_ms"), h))
	}
	if l.VAD.UtteranceEndMS < l.VAD.HangoverMS {
		errs = append(errs, fmt.Errorf("%s: vad.utterance_end_ms: bad value \"%d\": want at least vad.hangover_ms (%d)",
			l.Origin("vad.utterance_end_ms"), l.VAD.UtteranceEndMS, l.VAD.HangoverMS))
	}
	return errs
}

// broken returns what a rule wants when the field does not obey it.
func broken(f field, rule string) string {
	name, arg, _ := strings.Cut(rule, "=")
	switch name {
	case "required":
		if f.value.IsZero() {
			return "a value"
		}
	case "oneof":
		if allowed := strings.Split(arg, "|"); !slices.Contains(allowed, f.value.String()) {
			return "one of " + strings.Join(allowed, ", ")
		}
	case "channel":
		if n, err := strconv.Atoi(f.value.String()); f.value.String() != "mix" && (err != nil || n < 1) {
			return "mix, or the number of a channel, from 1"
		}
	case "min", "max":
		value, bound := f.number(), parseBound(f, arg)
		if name == "min" && value < bound {
			return "at least " + arg
		}
		if name == "max" && value > bound {
			return "at most " + arg
		}
	}
	return ""
}

func (f field) number() float64 {
	if f.value.Kind() == reflect.Float64 {
		return f.value.Float()
	}
	return float64(f.value.Int())
}

func parseBound(f field, arg string) float64 {
	if f.value.Type() == durationType {
		d, _ := time.ParseDuration(arg)
		return float64(d)
	}
	x, _ := strconv.ParseFloat(arg, 64)
	return x
}

func (f field) text() string {
	if f.value.Type() == durationType {
		return time.Duration(f.value.Int()).String()
	}
	if f.list() {
		return strings.Join(f.value.Interface().([]string), ",")
	}
	return fmt.Sprint(f.value.Interface())
}

// Live checks that a running process would take value over for key.
func Live(key, value string) error {
	l := &Loaded{Config: Default(), origin: map[string]string{}}
	f, err := l.find(key)
	if err != nil {
		return err
	}
	if f.tag.Get("live") != "true" {
		return fmt.Errorf("%s cannot change while RTAP runs: change the configuration and restart; what can change: %s", key, strings.Join(LiveKeys(), ", "))
	}
	return errors.Join(append([]error{l.set(key, value, "rtap config set")}, l.validate()...)...)
}

// LiveKeys lists the keys that a running process takes over.
func LiveKeys() []string {
	var out []string
	for _, f := range (&Loaded{Config: Default()}).fields() {
		if f.tag.Get("live") == "true" {
			out = append(out, f.key)
		}
	}
	return out
}

// Allowed lists the values of a key that has only a few; nil for any other.
func Allowed(key string) []string {
	f, err := (&Loaded{Config: Default()}).find(key)
	if err != nil {
		return nil
	}
	for rule := range strings.SplitSeq(f.tag.Get("rule"), ",") {
		if list, ok := strings.CutPrefix(rule, "oneof="); ok {
			return strings.Split(list, "|")
		}
	}
	return nil
}

// Setting is one effective value.
type Setting struct{ Key, Value, Origin string }

// Settings lists all effective values, secrets hidden.
func (l *Loaded) Settings() []Setting {
	var out []Setting
	for _, f := range l.fields() {
		value := f.text()
		switch {
		case f.tag.Get("secret") == "within":
			value = WithoutSecrets(value)
		case f.secret() && value != "":
			value = "(hidden)"
		}
		out = append(out, Setting{f.key, value, l.Origin(f.key)})
	}
	return out
}

// WithoutSecrets is a list of URLs without users, passwords and tokens.
func WithoutSecrets(list string) string {
	urls := strings.Split(list, ",")
	for i, one := range urls {
		one = strings.TrimSpace(one)
		if at := strings.LastIndex(one, "@"); at >= 0 {
			scheme, _, ok := strings.Cut(one, "://")
			if one = one[at+1:]; ok {
				one = scheme + "://" + one
			}
		}
		urls[i] = one
	}
	return strings.Join(urls, ",")
}

// Secrets returns the values that nobody else may read.
func (l *Loaded) Secrets() []string {
	var out []string
	for _, f := range l.fields() {
		if value := f.text(); f.secret() && value != "" {
			out = append(out, value)
		}
	}
	return out
}
