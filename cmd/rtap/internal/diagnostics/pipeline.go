package diagnostics

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/rtap/rtap/cmd/rtap/internal/top"
	"github.com/rtap/rtap/pkg/control"
	"github.com/rtap/rtap/pkg/wire"
	"google.golang.org/protobuf/proto"
)

// standbyPort is the manual's port of the standby gateway on the same host.
const standbyPort = 8081

// health asks both gateways of this host over HTTP, as a load balancer does.
func health(ctx context.Context, s *site, w io.Writer) error {
	e := s.cfg.Egress
	host := e.Listen
	if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	var errs []error
	for _, g := range []struct {
		name string
		port int
	}{{"primary", e.HTTPPort}, {"standby", standbyPort}} {
		if g.name == "standby" && g.port == e.HTTPPort {
			continue
		}
		if err := fetch(ctx, "http://"+net.JoinHostPort(host, strconv.Itoa(g.port))+"/health", s.cfg.Egress.AuthToken, w); err != nil {
			errs = append(errs, fmt.Errorf("%s gateway: %w", g.name, err))
		}
	}
	return errors.Join(errs...)
}

func fetch(ctx context.Context, address, token string, w io.Writer) error {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return fmt.Errorf("asking %s: %w", address, err)
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	fmt.Fprintf(w, "%s: %s\n", address, resp.Status)
	if _, err := io.Copy(w, io.LimitReader(resp.Body, 1<<20)); err != nil {
		return fmt.Errorf("reading %s: %w", address, err)
	}
	fmt.Fprintln(w)
	return nil
}

func overview(ctx context.Context, s *site, w io.Writer) error {
	return top.Once(ctx, s.cfg.NATS, w)
}

// statuses are what the processes say of themselves.
func statuses(_ context.Context, s *site, w io.Writer) error {
	for _, t := range s.pipeline.Targets {
		if err := indented(w, t.ServiceStatus); err != nil {
			return err
		}
	}
	return s.nobody()
}

// nobody is the error of a pipeline without processes.
func (s *site) nobody() error {
	if len(s.pipeline.Targets) == 0 {
		return fmt.Errorf("no process of RTAP answers, neither on a socket in %s nor over NATS", control.Dir())
	}
	return nil
}

func indented(w io.Writer, m proto.Message) error {
	raw, err := wire.MarshalJSON(m)
	if err != nil {
		return err
	}
	var v any
	if err := json.Unmarshal(raw, &v); err != nil {
		return fmt.Errorf("reading back: %w", err)
	}
	return writeJSON(w, v)
}

func writeJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return fmt.Errorf("writing: %w", err)
	}
	return nil
}

// ask puts one question to every process and writes the answers one below the other.
func (s *site) ask(ctx context.Context, w io.Writer, question string, q url.Values) error {
	var errs []error
	for _, t := range s.pipeline.Targets {
		one, cancel := context.WithTimeout(ctx, 5*time.Second)
		raw, err := t.Ask(one, question, q)
		cancel()
		if err != nil {
			errs = append(errs, fmt.Errorf("%s %s: %w", t.GetService(), t.GetInstance(), err))
			continue
		}
		fmt.Fprintf(w, "----- %s %s -----\n%s\n", t.GetService(), t.GetInstance(), raw)
	}
	return errors.Join(append(errs, s.nobody())...)
}

func metrics(ctx context.Context, s *site, w io.Writer) error {
	return s.ask(ctx, w, control.Metrics, nil)
}

func goroutines(ctx context.Context, s *site, w io.Writer) error {
	return s.ask(ctx, w, control.Profile, url.Values{"kind": {"goroutines"}, "text": {"true"}})
}

// logTail is how much of a log file is shown, in bytes.
const logTail = 256 << 10

// logs are the lines that processes keep in memory, and the files in log.dir, which also
// hold what processes wrote that are gone.
func logs(ctx context.Context, s *site, w io.Writer) error {
	errs := []error{s.ask(ctx, w, control.Logs, url.Values{"lines": {"500"}})}
	if s.cfg.Log.Dir == "" {
		return errors.Join(errs...)
	}
	paths, err := filepath.Glob(filepath.Join(s.cfg.Log.Dir, "*.log"))
	errs = append(errs, err)
	for _, path := range paths {
		if st, err := os.Stat(path); err == nil && time.Since(st.ModTime()) > s.since {
			continue
		}
		errs = append(errs, tail(w, path))
	}
	return errors.Join(errs...)
}

func tail(w io.Writer, path string) error {
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("reading a log: %w", err)
	}
	defer func() { _ = f.Close() }()
	if st, err := f.Stat(); err == nil && st.Size() > logTail {
		if _, err := f.Seek(-logTail, io.SeekEnd); err != nil {
			return fmt.Errorf("reading a log: %w", err)
		}
	}
	fmt.Fprintf(w, "----- %s -----\n", path)
	if _, err := io.Copy(w, io.LimitReader(f, logTail)); err != nil {
		return fmt.Errorf("reading a log: %w", err)
	}
	return nil
}
