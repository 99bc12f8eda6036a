// Package backup is `rtap backup` and `rtap restore`: finals, given-up jobs, events and
// configuration in one file with sums, and back into an empty server.
package backup

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/rtap/rtap/cmd/rtap/internal/arguments"
	"github.com/rtap/rtap/pkg/bus"
	"github.com/rtap/rtap/pkg/config"
	"github.com/rtap/rtap/pkg/lifecycle"
)

// Run is `rtap backup DIR|FILE`.
func Run(ctx context.Context, env lifecycle.Env) error {
	var p place
	fs := flag.NewFlagSet("rtap backup", flag.ContinueOnError)
	fs.SetOutput(env.Stderr)
	p.register(fs)
	args, err := arguments.Parse(fs, env.Args)
	if err != nil {
		return err
	}
	if len(args) != 1 {
		return lifecycle.Usage(fmt.Errorf("rtap backup: want one folder, one file that ends in %s, or - for standard output, not %q", suffix, args))
	}
	path, err := target(args[0], time.Now())
	if err != nil {
		return err
	}
	cfg, err := p.Load(env.Environ)
	if err != nil {
		return err
	}
	if p.dataDir != "" {
		if _, err := os.Stat(filepath.Join(p.dataDir, "nats", "jetstream")); err != nil {
			return lifecycle.Usage(fmt.Errorf("there is no data of `rtap up` in %s: %w", p.dataDir, err))
		}
	}
	conn, stop, err := p.open(ctx, cfg.Config, "backup")
	if err != nil {
		return err
	}
	defer stop()
	w, say := to(env.Stdout), env.Stderr
	if path != stream {
		if w, err = create(path); err != nil {
			return err
		}
		say = env.Stdout
	}
	defer w.abandon()
	if err := fill(ctx, w, conn, cfg, env.Version); err != nil {
		return err
	}
	if err := w.finish(path); err != nil {
		return err
	}
	fmt.Fprintf(say, "%s: %s\n", path, w.manifest.summary())
	return nil
}

// target is the name of the file to be written.
func target(path string, now time.Time) (string, error) {
	if path == stream {
		return path, nil
	}
	st, err := os.Stat(path)
	switch {
	case err == nil && st.IsDir(), strings.HasSuffix(path, "/"):
		return filepath.Join(path, "rtap-backup-"+now.Format("20060102-150405")+suffix), nil
	case !strings.HasSuffix(path, suffix):
		return "", lifecycle.Usage(fmt.Errorf("%s is neither a folder nor a name that ends in %s", path, suffix))
	case err == nil:
		return "", lifecycle.Usage(fmt.Errorf("%s is there already: remove it, or take another name", path))
	}
	return path, nil
}

// fill reads everything that belongs into a backup.
func fill(ctx context.Context, w *writer, conn *nats.Conn, cfg *config.Loaded, version string) error {
	js, err := jetstream.New(conn)
	if err != nil {
		return fmt.Errorf("using jetstream: %w", err)
	}
	w.manifest.Version, w.manifest.Server = version, conn.ConnectedServerVersion()
	for _, name := range kept {
		if err := w.stream(ctx, js, name); err != nil {
			return fmt.Errorf("reading %s: %w", name, err)
		}
	}
	settings, err := settings(ctx, js)
	if err != nil {
		return err
	}
	raw, err := json.MarshalIndent(settings, "", "  ")
	if err != nil {
		return fmt.Errorf("encoding the settings: %w", err)
	}
	if err := w.add(settingsName, raw); err != nil {
		return err
	}
	return w.configuration(cfg)
}

// stream reads what a stream holds now, in parts of a bounded size; what comes later is
// the next backup's.
func (w *writer) stream(ctx context.Context, js jetstream.JetStream, name string) error {
	w.manifest.Messages[name] = 0
	s, err := js.Stream(ctx, name)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	info := s.CachedInfo()
	if name == bus.StreamTranscripts {
		w.manifest.LogID = bus.LogIDOf(info.Config)
	}
	if info.State.Msgs == 0 {
		return nil
	}
	c, err := js.OrderedConsumer(ctx, name, jetstream.OrderedConsumerConfig{})
	if err != nil {
		return err
	}
	msgs, err := c.Messages()
	if err != nil {
		return err
	}
	defer msgs.Stop()
	var part bytes.Buffer
	flush := func() error {
		defer part.Reset()
		return w.add(fmt.Sprintf("%s/%06d.jsonl", name, len(w.manifest.Files)+1), part.Bytes())
	}
	for {
		m, err := msgs.Next(jetstream.NextContext(ctx))
		if err != nil {
			return err
		}
		meta, err := m.Metadata()
		if err != nil {
			return err
		}
		if meta.Sequence.Stream > info.State.LastSeq {
			break
		}
		if err := newRecord(m, meta.Timestamp).append(&part); err != nil {
			return err
		}
		w.manifest.Messages[name]++
		if bus.IsFinal(m.Subject()) && bytes.Contains(m.Data(), []byte(`"type":"Results"`)) {
			w.manifest.Finals++
		}
		if part.Len() > partBytes {
			if err := flush(); err != nil {
				return err
			}
		}
		// The last message may have been removed, so that its number alone is no sign.
		if meta.NumPending == 0 || meta.Sequence.Stream == info.State.LastSeq {
			break
		}
	}
	if part.Len() == 0 {
		return nil
	}
	return flush()
}

// settings are those changed while running.
func settings(ctx context.Context, js jetstream.JetStream) (map[string]string, error) {
	out := map[string]string{}
	kv, err := js.KeyValue(ctx, bus.BucketConfig)
	if errors.Is(err, jetstream.ErrBucketNotFound) {
		return out, nil
	}
	if err != nil {
		return nil, fmt.Errorf("opening the settings: %w", err)
	}
	keys, err := kv.ListKeys(ctx)
	if err != nil {
		return nil, fmt.Errorf("listing the settings: %w", err)
	}
	defer func() { _ = keys.Stop() }()
	for key := range keys.Keys() {
		if e, err := kv.Get(ctx, key); err == nil {
			out[key] = string(e.Value())
		} else if !errors.Is(err, jetstream.ErrKeyNotFound) {
			return nil, fmt.Errorf("reading the setting %s: %w", key, err)
		}
	}
	return out, nil
}

// configuration takes the files in the folder of the base file: overlays are used by name.
func (w *writer) configuration(cfg *config.Loaded) error {
	files := cfg.Files()
	if len(files) == 0 {
		return nil
	}
	all, err := filepath.Glob(filepath.Join(filepath.Dir(files[0]), "*.yaml"))
	if err != nil {
		return fmt.Errorf("listing the configuration: %w", err)
	}
	for _, path := range all {
		raw, err := os.ReadFile(path)
		if err != nil {
			return fmt.Errorf("reading the configuration: %w", err)
		}
		if err := w.add(configFolder+filepath.Base(path), raw); err != nil {
			return err
		}
	}
	return nil
}

func (m *Manifest) summary() string {
	var size int64
	files := 0
	for _, f := range m.Files {
		size += f.Bytes
		if strings.HasPrefix(f.Name, configFolder) {
			files++
		}
	}
	return fmt.Sprintf("finals: %d, given-up jobs: %d, events: %d, configuration files: %d; %.1f MB before compression, made %s",
		m.Finals, m.Messages[bus.StreamDead], m.Messages[bus.StreamEvents], files, float64(size)/(1<<20), m.Made.Format(time.DateTime+" MST"))
}
