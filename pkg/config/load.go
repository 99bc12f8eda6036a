package config

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Options says where values come from.
type Options struct {
	// File is the base file; empty means config/default.yaml in the working directory or
	// beside the executable's folder, or only the built-in defaults where neither exists.
	File string
	// Environ holds KEY=value pairs; nil means none.
	Environ []string
	// Set holds key=value pairs of the command line, keys with dots.
	Set []string
	// Running holds what was changed by `rtap config set`; it goes over everything else.
	Running map[string]string
}

// Loaded is an effective configuration and where its values came from.
type Loaded struct {
	*Config
	origin map[string]string
	files  []string
}

// Files returns the files that were read, base first.
func (l *Loaded) Files() []string { return l.files }

// Origin returns where the value of a dotted key came from.
func (l *Loaded) Origin(key string) string {
	if o, ok := l.origin[key]; ok {
		return o
	}
	return "built-in default"
}

// shortNames are the manual's variables and the keys that they set.
var shortNames = map[string]string{
	"RTAP_PROFILE":    "profile",
	"RTAP_LOG_LEVEL":  "log.level",
	"AUDIO_DEVICE":    "audio.device",
	"RTAP_AUDIO_MOCK": "audio.mock",
}

var overlayName = regexp.MustCompile(`^[A-Za-z0-9_-]+$`)

// Load builds the effective configuration. The error joins everything that is wrong.
func Load(opts Options) (*Loaded, error) {
	l, errs := load(opts, "")
	// Only now it is known which profile is asked for; its file goes under all but the base.
	if len(errs) == 0 {
		l, errs = load(opts, l.Profile)
	}
	errs = append(errs, l.validate()...)
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return l, nil
}

// load applies every layer, with that of the profile unless it is "".
func load(opts Options, profile string) (*Loaded, []error) {
	l := &Loaded{Config: Default(), origin: map[string]string{}}
	env := map[string]string{}
	for _, kv := range opts.Environ {
		if k, v, ok := strings.Cut(kv, "="); ok {
			env[k] = v
		}
	}
	base := opts.File
	if base == "" {
		base = env["RTAP_CONFIG"]
	}
	if base == "" {
		base = findDefault()
	}
	var errs []error
	if base != "" {
		errs = append(errs, l.file(base))
	}
	// The built-in defaults are those of the default profile, which needs no file.
	if _, err := os.Stat(overlayPath(base, profile)); profile != "" && (err == nil || profile != Default().Profile) {
		errs = append(errs, l.overlay(base, "profile: ", profile))
	}
	if name := env["RTAP_ENVIRONMENT"]; name != "" && name != "default" {
		errs = append(errs, l.overlay(base, "RTAP_ENVIRONMENT=", name))
	}
	errs = append(errs, l.environment(opts.Environ)...)
	for _, kv := range opts.Set {
		key, value, ok := strings.Cut(kv, "=")
		if !ok {
			errs = append(errs, fmt.Errorf("--set %s: want key=value", kv))
			continue
		}
		errs = append(errs, l.set(strings.TrimSpace(key), value, "--set"))
	}
	for key, value := range opts.Running {
		errs = append(errs, l.set(key, value, "rtap config set"))
	}
	return l, slices.DeleteFunc(errs, func(err error) bool { return err == nil })
}

func findDefault() string {
	candidates := []string{filepath.Join("config", "default.yaml")}
	if exe, err := os.Executable(); err == nil {
		candidates = append(candidates, filepath.Join(filepath.Dir(exe), "..", "config", "default.yaml"))
	}
	for _, c := range candidates {
		if _, err := os.Stat(c); err == nil {
			return c
		}
	}
	return ""
}

// overlayPath is that of an overlay beside the base file.
func overlayPath(base, name string) string {
	dir := "config"
	if base != "" {
		dir = filepath.Dir(base)
	}
	return filepath.Join(dir, name+".yaml")
}

// overlay reads the file of a name that the variable or key before it gave.
func (l *Loaded) overlay(base, asked, name string) error {
	if !overlayName.MatchString(name) {
		return fmt.Errorf("%s%q: want letters, digits, '_' or '-'", asked, name)
	}
	path := overlayPath(base, name)
	if _, err := os.Stat(path); err != nil {
		known, _ := filepath.Glob(filepath.Join(filepath.Dir(path), "*.yaml"))
		for i := range known {
			known[i] = strings.TrimSuffix(filepath.Base(known[i]), ".yaml")
		}
		return fmt.Errorf("%s%s: there is no %s (found: %s)", asked, name, path, strings.Join(known, ", "))
	}
	return l.file(path)
}

func (l *Loaded) file(path string) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("reading configuration: %w", err)
	}
	var doc yaml.Node
	if err := yaml.Unmarshal(data, &doc); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	l.files = append(l.files, path)
	if len(doc.Content) == 0 {
		return nil
	}
	return l.node(path, "", doc.Content[0])
}

// node applies a mapping; seen keys are checked for repeats by position.
func (l *Loaded) node(path, prefix string, n *yaml.Node) error {
	if n.Kind == yaml.ScalarNode && n.Tag == "!!null" {
		return nil
	}
	if n.Kind != yaml.MappingNode {
		return fmt.Errorf("%s:%d: %s: want a mapping", path, n.Line, orTop(prefix))
	}
	var errs []error
	seen := map[string]int{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, v := n.Content[i], n.Content[i+1]
		key := join(prefix, k.Value)
		where := fmt.Sprintf("%s:%d", path, k.Line)
		if line, twice := seen[k.Value]; twice {
			errs = append(errs, fmt.Errorf("%s: %s stands twice, first on line %d", where, key, line))
			continue
		}
		seen[k.Value] = k.Line
		f, err := l.find(key)
		switch {
		case err != nil:
			errs = append(errs, fmt.Errorf("%s: %w", where, err))
		case f.section():
			errs = append(errs, l.node(path, key, v))
		default:
			errs = append(errs, l.assign(f, v, where))
		}
	}
	return errors.Join(errs...)
}

// reserved variables begin like settings but are none.
var reserved = map[string]bool{
	"RTAP_ENVIRONMENT": true, "RTAP_CONFIG": true, "RTAP_MODELS_DIR": true, "RTAP_THIRD_PARTY": true,
	"RTAP_TEST_AUDIO": true, "RTAP_TEST_MODELS": true, "RTAP_REQUIRE_NATIVE": true,
}

func (l *Loaded) environment(environ []string) []error {
	var errs []error
	for _, kv := range environ {
		name, value, _ := strings.Cut(kv, "=")
		key, short := shortNames[name]
		switch {
		case short:
			if value == "" {
				continue
			}
		case !strings.HasPrefix(name, "RTAP_") || reserved[name] || !strings.Contains(name, "__"):
			continue
		default:
			key = strings.ToLower(strings.ReplaceAll(strings.TrimPrefix(name, "RTAP_"), "__", "."))
		}
		errs = append(errs, l.set(key, value, name))
	}
	return errs
}

// set applies one textual value.
func (l *Loaded) set(key, value, where string) error {
	f, err := l.find(key)
	if err != nil {
		return fmt.Errorf("%s: %w", where, err)
	}
	if f.section() {
		return fmt.Errorf("%s: %s is a section, not a value", where, key)
	}
	n := &yaml.Node{Kind: yaml.ScalarNode, Value: value}
	if f.list() {
		n = &yaml.Node{Kind: yaml.SequenceNode}
		for part := range strings.SplitSeq(value, ",") {
			if part = strings.TrimSpace(part); part != "" {
				n.Content = append(n.Content, &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: part})
			}
		}
	}
	return l.assign(f, n, where)
}

func join(prefix, key string) string {
	if prefix == "" {
		return key
	}
	return prefix + "." + key
}

func orTop(prefix string) string {
	if prefix == "" {
		return "the file"
	}
	return prefix
}
