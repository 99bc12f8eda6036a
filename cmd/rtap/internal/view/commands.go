package view

import (
	"context"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/rtap/rtap/cmd/rtap/internal/arguments"
	"github.com/rtap/rtap/pkg/bus"
	"github.com/rtap/rtap/pkg/config"
	"github.com/rtap/rtap/pkg/lifecycle"
	"github.com/rtap/rtap/pkg/service"
	"github.com/rtap/rtap/pkg/wire"
	rtapv1 "github.com/rtap/rtap/proto/gen/rtap/v1"
	"google.golang.org/protobuf/proto"
)

// connect parses flags and gives a bus that runs until stop is called.
func connect(ctx context.Context, env lifecycle.Env, name string, more func(*flag.FlagSet)) (b *bus.Bus, args []string, stop func(), err error) {
	fs := flag.NewFlagSet("rtap "+name, flag.ContinueOnError)
	fs.SetOutput(env.Stderr)
	var f service.Flags
	f.Register(fs)
	url := fs.String("nats", "", "`URL` of the server")
	more(fs)
	args, err = arguments.Parse(fs, env.Args)
	if err != nil {
		return nil, nil, nil, err
	}
	cfg, err := f.Load(env.Environ)
	if err != nil {
		return nil, nil, nil, err
	}
	if *url != "" {
		cfg.NATS.URL = *url
	}
	b, stop, err = await(ctx, cfg.Config, name, env.Stderr, 0)
	return b, args, stop, err
}

// Connect gives a bus that is ready and runs until stop is called, for a command that does
// one thing: where no server answers it fails at once.
func Connect(ctx context.Context, cfg *config.Config, name string, stderr io.Writer) (b *bus.Bus, stop func(), err error) {
	probe, err := bus.Dial(cfg.NATS, "rtap-"+name)
	if err != nil {
		return nil, nil, fmt.Errorf("%w: is the pipeline running there? `rtap doctor` looks, nats.url names another server", err)
	}
	probe.Close()
	return await(ctx, cfg, name, stderr, setUpAtMost)
}

// setUpAtMost is how long a server that answers may take until its streams can be used.
const setUpAtMost = 30 * time.Second

// await waits for the server, for no longer than atMost where that is not 0; one that is too old is an error.
func await(ctx context.Context, cfg *config.Config, name string, stderr io.Writer, atMost time.Duration) (b *bus.Bus, stop func(), err error) {
	b, err = bus.Connect(cfg, "rtap-"+name, slog.New(slog.NewTextHandler(stderr, &slog.HandlerOptions{Level: slog.LevelWarn})))
	if err != nil {
		return nil, nil, err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	done := make(chan struct{})
	go func() { defer close(done); cancel(b.Run(ctx)) }()
	stop = func() { cancel(nil); <-done; b.Conn().Close() }
	ready := ctx
	if atMost > 0 {
		var end context.CancelFunc
		ready, end = context.WithTimeout(ctx, atMost)
		defer end()
	}
	if b.Await(ready) != nil {
		err := context.Cause(ctx) // Run's reason, or the caller's
		if err == nil {
			err = fmt.Errorf("%s answers, but cannot be used after %s (%s): `rtap doctor` looks", cfg.NATS.URL, atMost, b.Problem())
		}
		stop()
		return nil, nil, err
	}
	return b, stop, nil
}

// Tail prints transcripts as they come.
func Tail(ctx context.Context, env lifecycle.Env) error {
	p := &Printer{Out: env.Stdout}
	b, _, stop, err := connect(ctx, env, "tail", func(fs *flag.FlagSet) {
		fs.BoolVar(&p.JSON, "json", false, "one JSON message a line")
		fs.StringVar(&p.Stream, "stream", "", "only this stream")
		fs.Uint64Var(&p.FromSeq, "from-seq", 0, "begin with this number of each stream")
	})
	if err != nil {
		return err
	}
	defer stop()
	return p.Run(ctx, b, nil)
}

// Tap prints every message of a subject, decoded.
func Tap(ctx context.Context, env lifecycle.Env) error {
	b, args, stop, err := connect(ctx, env, "tap", func(*flag.FlagSet) {})
	if err != nil {
		return err
	}
	defer stop()
	subject := "rtap.v1.>"
	if len(args) > 0 {
		subject = args[0]
	}
	msgs := make(chan *nats.Msg, 256)
	sub, err := b.Conn().ChanSubscribe(subject, msgs)
	if err != nil {
		return lifecycle.Usage(fmt.Errorf("subscribing to %s: %w", subject, err))
	}
	defer func() { _ = sub.Unsubscribe() }()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case m := <-msgs:
			fmt.Fprintf(env.Stdout, "%s %s\n", m.Subject, decode(m))
		}
	}
}

// decode renders a message as JSON; audio becomes its length.
func decode(m *nats.Msg) string {
	if m.Header.Get(wire.ContentTypeHeader) == wire.JSON {
		return string(m.Data)
	}
	out := message(m.Subject)
	if out == nil {
		return fmt.Sprintf("(%d bytes) %q", len(m.Data), m.Data[:min(len(m.Data), 200)])
	}
	if err := proto.Unmarshal(m.Data, out); err != nil {
		return fmt.Sprintf("(%d bytes, not readable: %v)", len(m.Data), err)
	}
	samples := ""
	switch x := out.(type) {
	case *rtapv1.Frame:
		samples, x.Pcm = fmt.Sprintf(" (%d samples)", len(x.GetPcm())/2), nil
	case *rtapv1.DraftJob:
		samples, x.Pcm = fmt.Sprintf(" (%d samples)", len(x.GetPcm())/2), nil
		forget(x.GetContext())
	case *rtapv1.FinalJob:
		samples, x.Pcm = fmt.Sprintf(" (%d samples)", len(x.GetPcm())/2), nil
		forget(x.GetContext())
	}
	raw, err := wire.MarshalJSON(out)
	if err != nil {
		return err.Error()
	}
	return string(raw) + samples
}

// forget drops the audio of a context, which its span tells the length of.
func forget(c *rtapv1.Context) {
	if c != nil {
		c.Pcm = nil
	}
}

// message returns an empty message of the kind that travels on a subject; nil for others.
func message(subject string) proto.Message {
	parts := append(strings.Split(subject, "."), "", "", "")
	switch parts[2] {
	case "audio":
		return &rtapv1.Frame{}
	case "draft":
		return &rtapv1.DraftResult{}
	case "result":
		return &rtapv1.Result{}
	case "dead":
		return &rtapv1.DeadJob{}
	case "job":
		switch parts[3] {
		case "draft", "speculative":
			return &rtapv1.DraftJob{}
		case "final", "ready":
			return &rtapv1.FinalJob{}
		}
	}
	return nil
}
