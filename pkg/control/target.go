package control

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/rtap/rtap/pkg/bus"
	"github.com/rtap/rtap/pkg/config"
	"github.com/rtap/rtap/pkg/wire"
	rtapv1 "github.com/rtap/rtap/proto/gen/rtap/v1"
)

// Target is a running process that answers questions.
type Target struct {
	*rtapv1.ServiceStatus
	// Local: it answers on a socket of this host or container.
	Local bool

	socket string
	conn   *nats.Conn
}

// Find returns the processes that answer on sockets here or, when conn is not nil, over
// NATS within wait; in the order of the pipeline. Nobody knows whether these are all. Of
// those that answer only on sockets it leaves out what belongs to another server: with a
// connection those that were on another one and are not set to url, without it, where some
// are set to url, those that are not.
func Find(ctx context.Context, conn *nats.Conn, url string, wait time.Duration) []Target {
	found := map[string]Target{}
	var mu sync.Mutex
	var wg sync.WaitGroup
	add := func(s *rtapv1.ServiceStatus, socket string) {
		mu.Lock()
		defer mu.Unlock()
		t := found[s.GetInstance()]
		t.ServiceStatus = s
		if socket != "" {
			t.socket, t.Local = socket, true
		} else {
			t.conn = conn
		}
		found[s.GetInstance()] = t
	}
	for _, path := range sockets(ctx) {
		wg.Go(func() {
			ctx, cancel := context.WithTimeout(ctx, wait)
			defer cancel()
			raw, err := get(ctx, path, Status, nil)
			s := &rtapv1.ServiceStatus{}
			if err == nil && wire.UnmarshalJSON(raw, s) == nil && s.GetInstance()+suffix == filepath.Base(path) {
				add(s, path)
			}
		})
	}
	if conn != nil {
		// Who does not answer in time is not there; an error means that nobody can be asked.
		seen, _ := bus.AskStatuses(ctx, conn, wait)
		for _, s := range seen {
			add(s, "")
		}
	}
	wg.Wait()
	var out []Target
	for _, t := range found {
		out = append(out, t)
	}
	out = ours(out, conn, url)
	slices.SortFunc(out, func(a, b Target) int {
		return cmp.Or(cmp.Compare(rank(a.GetService()), rank(b.GetService())), cmp.Compare(a.GetInstance(), b.GetInstance()))
	})
	return out
}

// ours leaves out the processes of other pipelines on this host. A server has another name
// after each start, so who is set to its address counts as well.
func ours(all []Target, conn *nats.Conn, url string) []Target {
	url = config.WithoutSecrets(url)
	elsewhere := func(t Target) bool { return t.GetAttributes()[bus.AttributeURL] != url }
	if conn != nil {
		here := bus.ServerOf(conn)
		return slices.DeleteFunc(all, func(t Target) bool {
			there := t.GetAttributes()[bus.AttributeServer]
			return t.conn == nil && there != "" && there != here && elsewhere(t)
		})
	}
	if slices.ContainsFunc(all, func(t Target) bool { return !elsewhere(t) }) {
		all = slices.DeleteFunc(all, elsewhere)
	}
	return all
}

// rank is the place of a service in the pipeline.
func rank(service string) int {
	if i := slices.Index([]string{"capture", "vad", "stt", "egress"}, service); i >= 0 {
		return i
	}
	return 4
}

// Choose returns the targets of a service or the one of that instance, all for "".
func Choose(all []Target, process string) ([]Target, error) {
	if process == "" {
		if len(all) == 0 {
			return nil, errors.New("no process of RTAP answers, neither on a socket here nor over NATS: start it, or name the server with --nats")
		}
		return all, nil
	}
	var out []Target
	var names []string
	for _, t := range all {
		if t.GetService() == process || t.GetInstance() == process {
			out = append(out, t)
		}
		names = append(names, fmt.Sprintf("%s (%s)", t.GetInstance(), t.GetService()))
	}
	if len(out) == 0 {
		there := "none"
		if len(names) > 0 {
			there = strings.Join(names, ", ")
		}
		return nil, fmt.Errorf("no process answers to --process %s; those that answer: %s", process, there)
	}
	return out, nil
}

// Ask puts a question and returns the answer. The socket is taken where there is one.
func (t Target) Ask(ctx context.Context, question string, q url.Values) ([]byte, error) {
	if t.socket != "" {
		data, err := get(ctx, t.socket, question, q)
		if err == nil || t.conn == nil {
			return data, err
		}
	}
	if t.conn == nil {
		return nil, ErrAbsent
	}
	return ask(ctx, t.conn, t.GetInstance(), question, q)
}

// get asks over a socket.
func get(ctx context.Context, path, question string, q url.Values) ([]byte, error) {
	transport := &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{Timeout: time.Second}).DialContext(ctx, "unix", path)
		},
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://process/"+question+"?"+q.Encode(), nil)
	if err != nil {
		return nil, fmt.Errorf("asking: %w", err)
	}
	resp, err := (&http.Client{Transport: transport}).Do(req)
	if err != nil {
		return nil, fmt.Errorf("asking on %s: %w", path, err)
	}
	defer func() { _ = resp.Body.Close() }()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, fmt.Errorf("reading the answer on %s: %w", path, err)
	}
	if resp.StatusCode != http.StatusOK {
		return nil, errors.New(strings.TrimSpace(string(data)))
	}
	return data, nil
}
