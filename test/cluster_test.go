package test

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/rtap/rtap/pkg/bus"
	"github.com/rtap/rtap/pkg/config"
	"github.com/rtap/rtap/pkg/testkit"
	rtapv1 "github.com/rtap/rtap/proto/gen/rtap/v1"
)

// TestClusterOutlivesAnyServer runs the three servers of deploy/nats/cluster and stops one
// after the other for a while: what is written meanwhile is there afterwards.
func TestClusterOutlivesAnyServer(t *testing.T) {
	ports := freePorts(t, 6)
	servers := make([]*server.Server, 3)
	var urls []string
	for _, u := range users {
		t.Setenv("NATS_"+strings.ToUpper(u)+"_PASSWORD", password(u))
	}
	t.Setenv("NATS_CLUSTER_PASSWORD", "r0ute")
	dirs := []string{t.TempDir(), t.TempDir(), t.TempDir()}
	start := func(n int) {
		t.Setenv("NATS_STORE_DIR", dirs[n])
		for i, other := range []int{(n + 1) % 3, (n + 2) % 3} {
			t.Setenv(fmt.Sprintf("NATS_ROUTE_%d", i+1), fmt.Sprintf("nats-route://route:r0ute@127.0.0.1:%d", ports[3+other]))
		}
		opts, err := server.ProcessConfigFile(filepath.Join(testkit.Root(t), fmt.Sprintf("deploy/nats/cluster/nats-%d.conf", n+1)))
		if err != nil {
			t.Fatal(err)
		}
		if len(opts.Users) != len(users) || opts.NoAuthUser != "" || opts.JetStreamMaxStore == 0 {
			t.Fatalf("users %d, store %d", len(opts.Users), opts.JetStreamMaxStore)
		}
		opts.Host, opts.Port, opts.HTTPPort, opts.NoSigs, opts.NoLog = "127.0.0.1", ports[n], 0, true, true
		opts.Cluster.Host, opts.Cluster.Port = "127.0.0.1", ports[3+n]
		s, err := server.NewServer(opts)
		if err != nil {
			t.Fatal(err)
		}
		s.Start()
		t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
		servers[n] = s
	}
	for n := range 3 {
		urls = append(urls, fmt.Sprintf("nats://127.0.0.1:%d", ports[n]))
		start(n)
	}
	cfg := config.Default()
	cfg.NATS.URL, cfg.NATS.Replicas = strings.Join(urls, ","), 3
	cfg.NATS.User, cfg.NATS.Password, cfg.NATS.InboxPrefix = "stt", password("stt"), "_INBOX_stt"
	b, err := bus.Connect(cfg, "rtap-stt test", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer b.Conn().Close()
	eventually := func(what string, do func() error) {
		t.Helper()
		for deadline := time.Now().Add(time.Minute); ; time.Sleep(200 * time.Millisecond) {
			err := do()
			if err == nil {
				return
			}
			if time.Now().After(deadline) {
				t.Fatalf("%s: %v", what, err)
			}
		}
	}
	eventually("setting up", func() error { return b.Setup(t.Context()) })
	audio, err := b.JS().Stream(t.Context(), bus.StreamAudio)
	if err != nil {
		t.Fatal(err)
	}
	if c := audio.CachedInfo().Config; c.Replicas != 3 || c.PersistMode != jetstream.DefaultPersistMode {
		t.Errorf("audio has %d replicas and persist mode %v", c.Replicas, c.PersistMode)
	}
	for n := range 3 {
		servers[n].Shutdown()
		servers[n].WaitForShutdown()
		ordinal := uint64(n + 1)
		eventually("writing without a server", func() error {
			if has, err := b.HasResult(t.Context(), "s", ordinal); has || err != nil {
				return err
			}
			return b.StoreResult(t.Context(), &rtapv1.Result{StreamId: "s", Ordinal: ordinal})
		})
		start(n)
		eventually("waiting for its copies", func() error {
			if h := servers[n].Healthz(&server.HealthzOptions{}); h.StatusCode != http.StatusOK {
				return errors.New(h.Error)
			}
			return nil
		})
	}
	for ordinal := range uint64(3) {
		if has, err := b.HasResult(t.Context(), "s", ordinal+1); !has || err != nil {
			t.Errorf("result %d: %v %v", ordinal+1, has, err)
		}
	}
}
