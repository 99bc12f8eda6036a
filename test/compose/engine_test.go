//go:build compose

package compose

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// engine returns the DOCKER_HOST for the tests. Podman 4 names a container's networks where
// Docker gives their ids, so that Compose takes every container for one on the wrong network
// and makes it anew each time; and it does not say in its lists whether one is healthy. What
// belongs to Podman alone must not be tested: a proxy puts both in.
func engine(t *testing.T) string {
	t.Helper()
	host := os.Getenv("DOCKER_HOST")
	if host == "" {
		host = "unix:///var/run/docker.sock"
	}
	socket, ok := strings.CutPrefix(host, "unix://")
	if !ok {
		return host
	}
	p := &proxy{socket: socket}
	p.client = &http.Client{Transport: p.transport(), Timeout: 10 * time.Second}
	var version struct{ Components []struct{ Name string } }
	if err := p.get("/version", &version); err != nil {
		t.Fatalf("no Docker or Podman answers at %s: %v", host, err)
	}
	if len(version.Components) == 0 || !strings.Contains(version.Components[0].Name, "Podman") {
		return host
	}
	return "unix://" + p.serve(t)
}

type proxy struct {
	socket string
	client *http.Client
}

func (p *proxy) transport() *http.Transport {
	return &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", p.socket)
	}}
}

func (p *proxy) get(path string, into any) error {
	res, err := p.client.Get("http://engine" + path) //nolint:noctx // the client has a timeout
	if err != nil {
		return err
	}
	defer func() { _ = res.Body.Close() }()
	return json.NewDecoder(res.Body).Decode(into)
}

func (p *proxy) serve(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "rtap-engine")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "docker.sock")
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "unix", path)
	if err != nil {
		t.Fatal(err)
	}
	reverse := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: "engine"})
	reverse.Transport, reverse.FlushInterval, reverse.ModifyResponse = p.transport(), -1, p.amend
	srv := &http.Server{Handler: reverse, ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = srv.Serve(l) }()
	t.Cleanup(func() { _ = srv.Close(); _ = os.RemoveAll(dir) })
	return path
}

// health adds what Docker says in brackets behind the status of a running container.
func (p *proxy) health(c map[string]any) {
	id, _ := c["Id"].(string)
	status, _ := c["Status"].(string)
	var seen struct {
		State struct{ Health struct{ Status string } }
	}
	if strings.HasPrefix(status, "Up") && p.get("/v1.41/containers/"+id+"/json", &seen) == nil && seen.State.Health.Status != "" {
		c["Status"] = status + " (" + strings.Replace(seen.State.Health.Status, "starting", "health: starting", 1) + ")"
	}
}

// amend puts network ids and health into lists of containers.
func (p *proxy) amend(res *http.Response) error {
	if !strings.HasSuffix(res.Request.URL.Path, "/containers/json") || res.StatusCode != http.StatusOK {
		return nil
	}
	raw, err := io.ReadAll(res.Body)
	if err != nil {
		return err
	}
	_ = res.Body.Close()
	var list []map[string]any
	if json.Unmarshal(raw, &list) == nil {
		var networks []struct{ ID, Name string }
		if err := p.get("/v1.41/networks", &networks); err != nil {
			return err
		}
		ids := map[string]string{}
		for _, n := range networks {
			ids[n.Name] = n.ID
		}
		for _, c := range list {
			settings, _ := c["NetworkSettings"].(map[string]any)
			connected, _ := settings["Networks"].(map[string]any)
			for name, n := range connected {
				if n, ok := n.(map[string]any); ok && ids[name] != "" {
					n["NetworkID"] = ids[name]
				}
			}
			p.health(c)
		}
		if raw, err = json.Marshal(list); err != nil {
			return err
		}
	}
	res.Body = io.NopCloser(bytes.NewReader(raw))
	res.ContentLength = int64(len(raw))
	res.Header.Set("Content-Length", strconv.Itoa(len(raw)))
	return nil
}
