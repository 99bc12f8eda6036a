// Package diagnostics is `rtap diagnostics`: everything that a report of a fault should
// hold, of as much of the pipeline as is still there.
package diagnostics

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/rtap/rtap/cmd/rtap/internal/arguments"
	"github.com/rtap/rtap/cmd/rtap/internal/running"
	"github.com/rtap/rtap/pkg/config"
	"github.com/rtap/rtap/pkg/lifecycle"
)

// site is what sections are gathered from.
type site struct {
	env      lifecycle.Env
	options  running.Options
	cfg      *config.Loaded // the built-in defaults where it cannot be read
	cfgErr   error
	pipeline *running.Pipeline
	js       jetstream.JetStream // nil when there is no server
	since    time.Duration
	dataDir  string
}

// section is one part of the report.
type section struct {
	name  string // of its file
	title string
	limit time.Duration
	write func(ctx context.Context, s *site, w io.Writer) error
}

// sections are in the order in which one reads them.
var sections = []section{
	{"versions", "What runs, and in which version", 15 * time.Second, versions},
	{"configuration", "Effective configuration, without secrets", 5 * time.Second, configuration},
	{"doctor", "What is wrong on this machine (rtap doctor)", 2 * time.Minute, examination},
	{"health", "Health of the gateways", 10 * time.Second, health},
	{"status", "Status of every process", 5 * time.Second, statuses},
	{"overview", "Processes, queues, streams and latency (rtap top)", 15 * time.Second, overview},
	{"resources", "Resources of this host or container", 10 * time.Second, resources},
	{"streams", "JetStream: streams and consumers", 15 * time.Second, streams},
	{"state", "Leases, checkpoints, the last final of each stream", 15 * time.Second, state},
	{"events", "Recent events", 15 * time.Second, events},
	{"dead", "Given-up jobs", 15 * time.Second, dead},
	{"metrics", "Metrics of every process", 15 * time.Second, metrics},
	{"logs", "Last log lines", 15 * time.Second, logs},
	{"goroutines", "Goroutines of every process", 20 * time.Second, goroutines},
}

// Run is `rtap diagnostics`.
func Run(ctx context.Context, env lifecycle.Env) error {
	s := &site{env: env}
	fs := flag.NewFlagSet("rtap diagnostics", flag.ContinueOnError)
	fs.SetOutput(env.Stderr)
	s.options.Register(fs)
	out := fs.String("o", "", "`file`, ending in .tar.gz: an archive of files instead of one text")
	fs.DurationVar(&s.since, "since", time.Hour, "how far back logs and events go")
	fs.StringVar(&s.dataDir, "data-dir", "data", "`folder` of the data of `rtap up`")
	if err := arguments.None(fs, env.Args); err != nil {
		return err
	}
	if *out != "" && !strings.HasSuffix(*out, ".tar.gz") {
		return lifecycle.Usage(fmt.Errorf("-o %s: want a name that ends in .tar.gz", *out))
	}
	s.find(ctx)
	defer s.pipeline.Close()
	if *out == "" {
		for _, sec := range sections {
			text, _ := sec.gather(ctx, s)
			fmt.Fprintf(env.Stdout, "===== %s =====\n%s\n", sec.title, text)
		}
		return ctx.Err()
	}
	return s.archive(ctx, *out)
}

// find looks for configuration, server and processes; each may be missing.
func (s *site) find(ctx context.Context) {
	s.cfg, s.cfgErr = s.options.Load(s.env.Environ)
	if s.cfgErr != nil {
		s.cfg = &config.Loaded{Config: config.Default()}
		if s.options.URL != "" {
			s.cfg.NATS.URL = s.options.URL
		}
	}
	s.pipeline = running.Find(ctx, s.cfg.NATS, "diagnostics")
	if s.pipeline.Conn != nil {
		if js, err := jetstream.New(s.pipeline.Conn); err == nil {
			s.js = js
		}
	}
}

// jetStream gives the server's streams, or says why there are none.
func (s *site) jetStream() (jetstream.JetStream, error) {
	if s.js == nil {
		return nil, s.pipeline.Problem
	}
	return s.js, nil
}

// gather runs a section within its time. What it could not get stands in the text, and in
// why; a section that breaks or hangs costs only itself.
func (sec section) gather(ctx context.Context, s *site) (text []byte, why error) {
	ctx, cancel := context.WithTimeout(ctx, sec.limit)
	defer cancel()
	type outcome struct {
		text []byte
		err  error
	}
	done := make(chan outcome, 1)
	go func() {
		var b bytes.Buffer
		defer func() {
			if r := recover(); r != nil {
				done <- outcome{nil, fmt.Errorf("this part of the diagnostics broke: %v", r)}
			}
		}()
		err := sec.write(ctx, s, &b)
		done <- outcome{b.Bytes(), err}
	}()
	var got outcome
	select {
	case got = <-done:
	case <-time.After(sec.limit + time.Second):
		got.err = fmt.Errorf("no end within %s: a disk or a process that it asks hangs", sec.limit)
	}
	if got.err != nil {
		for line := range strings.Lines(got.err.Error()) {
			got.text = append(got.text, "not available: "+strings.TrimSpace(line)+"\n"...)
		}
	}
	return s.redact(got.text), got.err
}

var userinfo = regexp.MustCompile(`(://)[^/\s"'@]*@`)

// redact takes out what nobody else may read, wherever it stands.
func (s *site) redact(text []byte) []byte {
	text = userinfo.ReplaceAll(text, []byte("${1}(hidden)@"))
	for _, secret := range s.cfg.Secrets() {
		text = bytes.ReplaceAll(text, []byte(secret), []byte("(hidden)"))
	}
	return text
}

// archive writes a file for each section, and says of each whether it could be had.
func (s *site) archive(ctx context.Context, path string) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".rtap-diagnostics-*")
	if err != nil {
		return lifecycle.Usage(fmt.Errorf("writing the archive: %w", err))
	}
	defer func() { _ = os.Remove(f.Name()) }()
	gz := gzip.NewWriter(f)
	out := tar.NewWriter(gz)
	folder := strings.TrimSuffix(filepath.Base(path), ".tar.gz")
	var errs []error
	for i, sec := range sections {
		text, why := sec.gather(ctx, s)
		said := fmt.Sprintf("%d kB", (len(text)+1023)/1024)
		if why != nil {
			said += ", in part: " + strings.ReplaceAll(string(s.redact([]byte(why.Error()))), "\n", "; ")
		}
		fmt.Fprintf(s.env.Stdout, "%-14s %s\n", sec.name, said)
		errs = append(errs,
			out.WriteHeader(&tar.Header{Name: fmt.Sprintf("%s/%02d-%s.txt", folder, i+1, sec.name), Mode: 0o600, Size: int64(len(text)), ModTime: time.Now()}),
			second(out.Write(text)))
	}
	errs = append(errs, out.Close(), gz.Close(), f.Close())
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("writing the archive: %w", err)
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return fmt.Errorf("writing the archive: %w", err)
	}
	fmt.Fprintf(s.env.Stdout, "\n%s: look through it before you send it on; what was said is not in it, names of streams and hosts are\n", path)
	return ctx.Err()
}

func second(_ int, err error) error { return err }
