package backup

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/rtap/rtap/cmd/rtap/internal/arguments"
	"github.com/rtap/rtap/cmd/rtap/internal/running"
	"github.com/rtap/rtap/pkg/bus"
	"github.com/rtap/rtap/pkg/config"
	"github.com/rtap/rtap/pkg/control"
	"github.com/rtap/rtap/pkg/lifecycle"
	rtapv1 "github.com/rtap/rtap/proto/gen/rtap/v1"
	"google.golang.org/protobuf/types/known/timestamppb"
)

type restoring struct {
	place
	file      string
	configDir string
	check     bool
	replace   bool
}

// Restore is `rtap restore DIR|FILE`.
func Restore(ctx context.Context, env lifecycle.Env) error {
	var r restoring
	fs := flag.NewFlagSet("rtap restore", flag.ContinueOnError)
	fs.SetOutput(env.Stderr)
	r.register(fs)
	fs.BoolVar(&r.check, "check", false, "only say whether the backup is whole, and what is in it")
	fs.BoolVar(&r.replace, "replace", false, "remove the finals, given-up jobs and events that the server holds")
	fs.StringVar(&r.configDir, "config-dir", "", "also put the configuration files into this `folder`, which must not have them")
	args, err := arguments.Parse(fs, env.Args)
	if err != nil {
		return err
	}
	if len(args) != 1 {
		return lifecycle.Usage(fmt.Errorf("rtap restore: want one folder or file, or - for standard input, not %q", args))
	}
	if args[0] == stream {
		path, remove, err := spool(env.Stdin)
		if err != nil {
			return lifecycle.Usage(err)
		}
		defer remove()
		r.file = path
	} else if r.file, err = choose(args[0]); err != nil {
		return err
	}
	m, err := Check(r.file)
	if err != nil {
		return lifecycle.Usage(err)
	}
	fmt.Fprintf(env.Stdout, "%s is whole: %s\n", r.file, m.summary())
	if r.check {
		return nil
	}
	cfg, err := r.Load(env.Environ)
	if err != nil {
		return err
	}
	conn, stop, err := r.open(ctx, cfg.Config, "restore")
	if err != nil {
		return err
	}
	defer stop()
	return r.run(ctx, env, cfg.Config, conn, m)
}

func (r *restoring) run(ctx context.Context, env lifecycle.Env, cfg *config.Config, conn *nats.Conn, m *Manifest) error {
	js, err := jetstream.New(conn)
	if err != nil {
		return fmt.Errorf("using jetstream: %w", err)
	}
	if err := r.allowed(ctx, cfg, conn, js); err != nil {
		return lifecycle.Usage(err)
	}
	// From here on an end before the end leaves a part behind.
	unfinished := func(err error) error {
		return fmt.Errorf("%w: the restore is not complete; run it again with --replace before anything is started", err)
	}
	if err := empty(ctx, js); err != nil {
		return unfinished(err)
	}
	b, err := bus.Connect(cfg, "rtap-restore", slog.New(slog.DiscardHandler))
	if err != nil {
		return unfinished(err)
	}
	defer b.Conn().Close()
	if err := setUp(ctx, b); err != nil {
		return unfinished(err)
	}
	logID, err := b.LogID(ctx)
	if err != nil {
		return unfinished(err)
	}
	into := filler{js: js, bus: b, logID: logID}
	if _, err := walk(r.file, func(name string, data []byte) error { return into.part(ctx, name, data) }); err != nil {
		return unfinished(err)
	}
	if err := compare(ctx, js, m); err != nil {
		return unfinished(err)
	}
	b.Emit(&rtapv1.ServiceEvent{
		Type: "Event", At: timestamppb.Now(), Service: "rtap", Instance: "restore", Kind: "restore", Severity: rtapv1.ServiceEvent_SEVERITY_WARNING,
		Message: "restored from a backup made " + m.Made.Format(time.RFC3339), From: m.LogID, To: logID,
	})
	if err := b.Conn().FlushTimeout(5 * time.Second); err != nil {
		return fmt.Errorf("recording the restore: %w", err)
	}
	fmt.Fprintf(env.Stdout, "restored; the working streams are empty, and the log of finals is %s now (it was %s)\n", logID, m.LogID)
	if r.configDir != "" {
		return r.configuration(env)
	}
	return nil
}

// allowed refuses what would do harm, before anything is changed.
func (r *restoring) allowed(ctx context.Context, cfg *config.Config, conn *nats.Conn, js jetstream.JetStream) error {
	if r.dataDir == "" {
		var names []string
		for _, t := range control.Find(ctx, conn, cfg.NATS.URL, running.AskFor) {
			names = append(names, fmt.Sprintf("%s (%s)", t.GetService(), t.GetInstance()))
		}
		if len(names) > 0 {
			return fmt.Errorf("stop these processes first, they would go on numbering where they are: %s", strings.Join(names, ", "))
		}
	}
	for _, name := range kept {
		s, err := js.Stream(ctx, name)
		if errors.Is(err, jetstream.ErrStreamNotFound) {
			continue
		}
		if err != nil {
			return fmt.Errorf("looking at %s: %w", name, err)
		}
		if n := s.CachedInfo().State.Msgs; n > 0 && name != bus.StreamEvents && !r.replace {
			return fmt.Errorf("the server holds %d messages in %s already: --replace removes them (`rtap backup` keeps them)", n, name)
		}
	}
	if r.configDir != "" {
		if files, _ := filepath.Glob(filepath.Join(r.configDir, "*.yaml")); len(files) > 0 {
			return fmt.Errorf("%s is there already: name an empty folder with --config-dir", files[0])
		}
	}
	return nil
}

// empty removes every stream and bucket of RTAP, the working ones and those to be filled.
func empty(ctx context.Context, js jetstream.JetStream) error {
	names := js.StreamNames(ctx)
	var errs []error
	for name := range names.Name() {
		if strings.HasPrefix(name, "RTAP_") || strings.HasPrefix(name, "KV_rtap_") {
			if err := js.DeleteStream(ctx, name); err != nil && !errors.Is(err, jetstream.ErrStreamNotFound) {
				errs = append(errs, fmt.Errorf("emptying %s: %w", name, err))
			}
		}
	}
	if err := names.Err(); err != nil {
		errs = append(errs, fmt.Errorf("listing streams: %w", err))
	}
	return errors.Join(errs...)
}

// setUp makes the streams again. The server clears the folder of the last stream that was
// removed after it has answered, and a stream made in that moment cannot be stored: so a
// few tries.
func setUp(ctx context.Context, b *bus.Bus) error {
	const tries, pause = 10, 100 * time.Millisecond
	for try := 1; ; try++ {
		err := b.Setup(ctx)
		if err == nil || try == tries {
			return err
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return errors.Join(err, ctx.Err())
		}
	}
}

// filler stores what an archive holds.
type filler struct {
	js    jetstream.JetStream
	bus   *bus.Bus
	logID string
}

// atOnce is how many messages may be on their way to the server.
const atOnce = 256

func (f filler) part(ctx context.Context, name string, data []byte) error {
	stream, _, inStream := strings.Cut(name, "/")
	switch {
	case name == settingsName:
		return f.settings(ctx, data)
	case !inStream || strings.HasPrefix(name, configFolder):
		return nil
	}
	var waiting []jetstream.PubAckFuture
	settle := func() error {
		for _, w := range waiting {
			select {
			case <-w.Ok():
			case err := <-w.Err():
				return fmt.Errorf("storing into %s: %w", stream, err)
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		waiting = waiting[:0]
		return nil
	}
	for _, line := range lines(data) {
		var r record
		if err := json.Unmarshal(line, &r); err != nil {
			return fmt.Errorf("reading %s: %w", name, err)
		}
		w, err := f.js.PublishMsgAsync(r.message(f.logID), jetstream.WithExpectStream(stream))
		if err != nil {
			return fmt.Errorf("storing into %s: %w", stream, err)
		}
		if waiting = append(waiting, w); len(waiting) == atOnce {
			if err := settle(); err != nil {
				return err
			}
		}
	}
	return settle()
}

func (f filler) settings(ctx context.Context, data []byte) error {
	var all map[string]string
	if err := json.Unmarshal(data, &all); err != nil {
		return fmt.Errorf("reading the settings: %w", err)
	}
	for key, value := range all {
		if _, err := f.bus.SetSetting(ctx, key, value); err != nil {
			return err
		}
	}
	return nil
}

// compare says whether the server has taken everything.
func compare(ctx context.Context, js jetstream.JetStream, m *Manifest) error {
	for _, name := range kept {
		s, err := js.Stream(ctx, name)
		if err != nil {
			return fmt.Errorf("looking at %s: %w", name, err)
		}
		if have, want := int(s.CachedInfo().State.Msgs), m.Messages[name]; have < want {
			return fmt.Errorf("%s holds %d messages, %d were to come: look at streams.* in the configuration, which bounds it", name, have, want)
		}
	}
	return nil
}

// configuration writes the files of the backup.
func (r *restoring) configuration(env lifecycle.Env) error {
	if err := os.MkdirAll(r.configDir, 0o750); err != nil {
		return fmt.Errorf("restoring the configuration: %w", err)
	}
	_, err := walk(r.file, func(name string, data []byte) error {
		base, ok := strings.CutPrefix(name, configFolder)
		if !ok || base != path.Base(base) {
			return nil
		}
		to := filepath.Join(r.configDir, base)
		if err := os.WriteFile(to, data, 0o600); err != nil {
			return fmt.Errorf("restoring the configuration: %w", err)
		}
		fmt.Fprintln(env.Stdout, "restored", to)
		return nil
	})
	return err
}
