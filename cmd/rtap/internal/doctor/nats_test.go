package doctor_test

import (
	"errors"
	"net"
	"os"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/rtap/rtap/cmd/rtap/internal/doctor"
	"github.com/rtap/rtap/pkg/bus"
	"github.com/rtap/rtap/pkg/testkit"
)

func TestBus(t *testing.T) {
	whole := doctor.Bus{URL: "nats://h:4222", Version: "2.15.0", Replicas: 1, Limit: -1, Present: []string{"RTAP_AUDIO"}, Servers: 1}
	facts := func(change func(*doctor.Bus)) doctor.Bus {
		b := whole
		change(&b)
		return b
	}
	answers := want{"nats", doctor.OK, "answers, version", ""}
	js := want{"jetstream", doctor.OK, "holds 0 MB", ""}
	streams := want{"streams", doctor.OK, "all 1", ""}
	for name, tt := range map[string]struct {
		facts doctor.Bus
		wants []want
	}{
		"whole":      {whole, []want{answers, js, streams}},
		"own server": {doctor.Bus{Local: true, Err: nats.ErrNoServers}, []want{{"nats", doctor.Info, "`rtap up` starts its own", ""}}},
		"own server, replicas": {
			doctor.Bus{Local: true, Err: nats.ErrNoServers, Replicas: 3},
			[]want{{"nats", doctor.Info, "starts its own", ""}, {"replicas", doctor.Fail, "nats.replicas is 3, but the server stands alone", "to 1"}},
		},
		"remote":      {doctor.Bus{Err: nats.ErrNoServers}, []want{{"nats", doctor.Fail, "no servers", "nats.url"}}},
		"not NATS":    {doctor.Bus{Local: true, Err: nats.ErrNoInfoReceived}, []want{{"nats", doctor.Fail, "INFO", "nats.url"}}},
		"login":       {doctor.Bus{Local: true, Err: nats.ErrAuthorization}, []want{{"nats", doctor.Fail, "uthorization", "nats.user"}}},
		"credentials": {doctor.Bus{Local: true, Err: &os.PathError{Err: os.ErrNotExist}}, []want{{"nats", doctor.Fail, "not exist", "nats.credentials"}}},
		"old":         {facts(func(b *doctor.Bus) { b.Version = "2.9.30" }), []want{{"nats", doctor.Fail, "2.9.30", "2.14.3"}, js, streams}},
		"just old":    {facts(func(b *doctor.Bus) { b.Version = "v2.14.2-beta.1" }), []want{{"nats", doctor.Fail, "2.14.2", "2.14.3"}, js, streams}},
		"just new":    {facts(func(b *doctor.Bus) { b.Version = "2.14.3" }), []want{answers, js, streams}},
		"alone":       {facts(func(b *doctor.Bus) { b.Replicas = 3 }), []want{answers, {"replicas", doctor.Fail, "stands alone", "nats.replicas to 1"}, js, streams}},
		"two of three": {
			facts(func(b *doctor.Bus) { b.Replicas, b.Cluster, b.Servers = 3, "lab", 2 }), []want{answers, {"replicas", doctor.Warn, "shows 2", "start the others"}, js, streams},
		},
		"other replicas": {
			facts(func(b *doctor.Bus) { b.Differ = []string{"RTAP_JOBS (3)"} }), []want{answers, {"replicas", doctor.Warn, "RTAP_JOBS (3)", "changes"}, js, streams},
		},
		"no jetstream": {facts(func(b *doctor.Bus) { b.JetStream = jetstream.ErrJetStreamNotEnabled }), []want{answers, {"jetstream", doctor.Fail, "not enabled", "--jetstream"}}},
		"not allowed":  {facts(func(b *doctor.Bus) { b.JetStream = errors.New("permissions violation") }), []want{answers, {"jetstream", doctor.Fail, "permissions", "may do"}}},
		"disk too small": {
			facts(func(b *doctor.Bus) { b.Local, b.Limit, b.Stored, b.Free = true, 4<<30, 1<<30, 2<<30 }),
			[]want{answers, {"jetstream", doctor.Warn, "limit is 4096 MB, but the disk has only 2048 MB", "max_file_store"}, streams},
		},
		"some missing": {facts(func(b *doctor.Bus) { b.Missing = []string{"RTAP_JOBS"} }), []want{answers, js, {"streams", doctor.Warn, "RTAP_JOBS is missing", "restart"}}},
		"changed by hand": {
			facts(func(b *doctor.Bus) {
				b.Changed, b.Owners = []string{"RTAP_JOBS: discard DiscardOld, should be DiscardNew"}, []string{"rtap-vad"}
			}),
			[]want{answers, js, streams, {"stream settings", doctor.Warn, "DiscardOld, should be", "restart rtap-vad"}},
		},
		"of another configuration": {
			facts(func(b *doctor.Bus) { b.Limits = []string{"RTAP_AUDIO: max_age 1h0m0s, here 10m0s"} }),
			[]want{answers, js, streams, {"stream settings", doctor.Info, "max_age 1h0m0s, here 10m0s", "its owner's"}},
		},
		"cannot be changed": {
			facts(func(b *doctor.Bus) {
				b.Broken = map[string]error{"RTAP_JOBS": errors.New("it has storage Memory: stop RTAP")}
			}),
			[]want{answers, js, streams, {"stream settings", doctor.Fail, "RTAP_JOBS: it has storage Memory", "stop RTAP"}},
		},
		"none yet": {facts(func(b *doctor.Bus) { b.Present, b.Missing = nil, []string{"RTAP_JOBS"} }), []want{answers, js, {"streams", doctor.Info, "none yet", ""}}},
	} {
		t.Run(name, func(t *testing.T) { expect(t, tt.facts.Findings(), tt.wants...) })
	}
}

func TestBusGathered(t *testing.T) {
	s := site(t, t.TempDir())
	running := testkit.NATS(t)
	s.Config.NATS.URL = running.ClientURL()
	answers := want{"nats", doctor.OK, "answers, version " + server.VERSION, ""}
	js := want{"jetstream", doctor.OK, "holds", ""}
	expect(t, s.Check(t, "nats"), answers, js, want{"streams", doctor.Info, "none yet", ""})

	b := testkit.Connect(t, s.Config)
	expect(t, s.Check(t, "nats"), answers, js, want{"streams", doctor.OK, "all 11", ""})
	full(t, b)
	expect(t, s.Check(t, "nats"), answers, want{"jetstream", doctor.Fail, "it stores nothing: ", "restart the server"}, js, want{"streams", doctor.OK, "all 11", ""},
		want{"stream settings", doctor.Warn, "RTAP_EVENTS: discard DiscardNew, should be DiscardOld; RTAP_EVENTS: max_msgs 1, should be -1", "restart rtap-egress"})
	if err := b.JS().DeleteStream(t.Context(), "RTAP_EVENTS"); err != nil {
		t.Fatal(err)
	}
	s.Config.NATS.Replicas = 3
	expect(t, s.Check(t, "nats"), answers, want{"replicas", doctor.Fail, "stands alone", ""}, js, want{"streams", doctor.Warn, "RTAP_EVENTS is missing", ""},
		want{"stream settings", doctor.Fail, "RTAP_AUDIO: it has persist mode Async", "stop RTAP"})

	s.Config.NATS.Credentials = "/nowhere"
	expect(t, s.Check(t, "nats"), want{"nats", doctor.Fail, "nats.credentials", "a file that is there"})
	s.Config.NATS.Credentials = ""

	locked, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: -1, Username: "a", Password: "b", NoLog: true, NoSigs: true})
	if err != nil {
		t.Fatal(err)
	}
	locked.Start()
	defer func() { locked.Shutdown(); locked.WaitForShutdown() }()
	s.Config.NATS.URL = locked.ClientURL()
	expect(t, s.Check(t, "nats"), want{"nats", doctor.Fail, "uthorization", "nats.user"})
	s.Config.NATS.User, s.Config.NATS.Password, s.Config.NATS.Replicas = "a", "b", 1
	expect(t, s.Check(t, "nats"), answers, want{"jetstream", doctor.Fail, "not enabled", "--jetstream"})

	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	s.Config.NATS.URL = "nats://" + l.Addr().String()
	expect(t, s.Check(t, "nats"), want{"nats", doctor.Info, "`rtap up` starts its own", ""})
}

// full makes the stream of events take nothing more.
func full(t *testing.T, b *bus.Bus) {
	t.Helper()
	events, err := b.JS().Stream(t.Context(), bus.StreamEvents)
	if err != nil {
		t.Fatal(err)
	}
	cfg := events.CachedInfo().Config
	cfg.Discard, cfg.MaxMsgs = jetstream.DiscardNew, 1
	if _, err := b.JS().UpdateStream(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
}

// TestOfAServicesUser is what a worker's container sees: its user may look, but not write events.
func TestOfAServicesUser(t *testing.T) {
	s := site(t, t.TempDir())
	srv, err := server.NewServer(&server.Options{
		Host: "127.0.0.1", Port: server.RANDOM_PORT, JetStream: true, StoreDir: t.TempDir(), NoLog: true, NoSigs: true,
		Users: []*server.User{
			{Username: "operator", Password: "o"},
			{Username: "capture", Password: "c", Permissions: &server.Permissions{Publish: &server.SubjectPermission{Allow: []string{"$JS.API.>"}}}},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	srv.Start()
	t.Cleanup(func() { srv.Shutdown(); srv.WaitForShutdown() })
	if !srv.ReadyForConnections(10 * time.Second) {
		t.Fatal("the server is not ready")
	}
	s.Config.NATS.URL, s.Config.NATS.User, s.Config.NATS.Password = srv.ClientURL(), "operator", "o"
	testkit.Connect(t, s.Config)
	s.Config.NATS.User, s.Config.NATS.Password = "capture", "c"
	expect(t, s.Check(t, "nats"), want{"nats", doctor.OK, "answers", ""}, want{"jetstream", doctor.Info, "was not tried", "as the operator"},
		want{"jetstream", doctor.OK, "holds", ""}, want{"streams", doctor.OK, "all 11", ""})
}
