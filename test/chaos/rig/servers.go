package rig

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/rtap/rtap/pkg/bus"
)

// Nodes are the processes of a cluster of servers.
var Nodes = []string{"nats-1", "nats-2", "nats-3"}

// password of every user of the cluster.
const password = "chaos"

// servers starts the server with a proxy for each service, or the three of a cluster.
func (r *Rig) servers() error {
	if r.kind == Cluster {
		return r.cluster()
	}
	r.add(NATS, "rtap", "nats-server", "-port", strconv.Itoa(r.ports[8]), "-dir", filepath.Join(r.Dir, "nats")).start()
	for _, service := range []string{"capture", "vad", "stt", "egress"} {
		proxy, err := newProxy(service, "127.0.0.1:"+strconv.Itoa(r.ports[8]))
		if err != nil {
			return err
		}
		r.Proxies[service] = proxy
	}
	return nil
}

// cluster runs the configuration that is shipped, on ports of its own.
func (r *Rig) cluster() error {
	shipped := filepath.Join("deploy", "nats")
	users, err := os.ReadFile(filepath.Join(shipped, "users.conf"))
	if err != nil {
		return fmt.Errorf("reading the users: %w", err)
	}
	conf, err := os.ReadFile(filepath.Join(shipped, "cluster", "cluster.conf"))
	if err != nil {
		return fmt.Errorf("reading the cluster's configuration: %w", err)
	}
	clients, routes := r.ports[8:11], r.ports[11:14]
	var urls []string
	for n, name := range Nodes {
		urls = append(urls, "nats://127.0.0.1:"+strconv.Itoa(clients[n]))
		dir := filepath.Join(r.Dir, name)
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return fmt.Errorf("making a server's folder: %w", err)
		}
		text := strings.NewReplacer(
			"0.0.0.0:4222", "127.0.0.1:"+strconv.Itoa(clients[n]), "0.0.0.0:6222", "127.0.0.1:"+strconv.Itoa(routes[n]),
			`http: "127.0.0.1:8222"`, "", "../users.conf", "users.conf",
		).Replace("server_name: " + name + "\n" + string(conf))
		for file, content := range map[string]string{"server.conf": text, "users.conf": string(users)} {
			if err := os.WriteFile(filepath.Join(dir, file), []byte(content), 0o600); err != nil {
				return fmt.Errorf("writing a server's configuration: %w", err)
			}
		}
		p := r.add(name, "nats-server", "-c", filepath.Join(dir, "server.conf"))
		p.environ = append(p.environ, "NATS_STORE_DIR="+filepath.Join(dir, "store"), "NATS_CLUSTER_PASSWORD="+password)
		for i, other := range []int{(n + 1) % 3, (n + 2) % 3} {
			p.environ = append(p.environ, fmt.Sprintf("NATS_ROUTE_%d=nats-route://route:%s@127.0.0.1:%d", i+1, password, routes[other]))
		}
		for _, user := range []string{"CAPTURE", "VAD", "STT", "EGRESS", "OPERATOR"} {
			p.environ = append(p.environ, "NATS_"+user+"_PASSWORD="+password)
		}
		p.start()
	}
	r.URL = strings.Join(urls, ",")
	return nil
}

// Leader is the server that leads the transcript log's three. An election is waited for.
func (r *Rig) Leader(ctx context.Context) (name string, err error) {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	for {
		if name, err = r.leads(ctx); err == nil {
			return name, nil
		}
		select {
		case <-ctx.Done():
			return "", fmt.Errorf("finding the server that leads: %w", err)
		case <-time.After(200 * time.Millisecond):
		}
	}
}

func (r *Rig) leads(ctx context.Context) (name string, err error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	s, err := r.Bus.JS().Stream(ctx, bus.StreamTranscripts)
	if err != nil {
		return "", err
	}
	if c := s.CachedInfo().Cluster; c != nil && slices.Contains(Nodes, c.Leader) {
		return c.Leader, nil
	}
	return "", errors.New("nobody leads")
}
