package doctor_test

import (
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"syscall"
	"testing"

	"github.com/rtap/rtap/cmd/rtap/internal/doctor"
	"github.com/rtap/rtap/pkg/testkit"
)

func TestPorts(t *testing.T) {
	free := doctor.Port{Key: "egress.http_port", Host: "127.0.0.1", Number: 8080}
	held := func(key string, n int, err error, holder, speaks string) doctor.Port {
		return doctor.Port{Key: key, Host: "0.0.0.0", Number: n, Err: err, Holder: holder, PID: 7, Speaks: speaks}
	}
	nats := "nats.embedded.port"
	for name, tt := range map[string]struct {
		ports   []doctor.Port
		gateway *doctor.Gateway
		wants   []want
	}{
		"free":            {[]doctor.Port{free}, nil, []want{{"ports", doctor.OK, "8080 is free", ""}}},
		"another's":       {[]doctor.Port{held("egress.http_port", 8080, syscall.EADDRINUSE, "nginx", "")}, nil, []want{{"ports", doctor.Fail, "8080 is held by nginx (process 7)", "egress.http_port"}}},
		"a stage's":       {[]doctor.Port{held("http.vad", 9102, syscall.EADDRINUSE, "nginx", "")}, nil, []want{{"ports", doctor.Warn, "9102 is held by nginx (process 7)", "http.vad"}}},
		"somebody's":      {[]doctor.Port{held("egress.http_port", 8080, syscall.EADDRINUSE, "", "")}, nil, []want{{"ports", doctor.Fail, "does not show", "stop"}}},
		"our own process": {[]doctor.Port{held(nats, 4222, syscall.EADDRINUSE, "rtap", "")}, nil, []want{{"ports", doctor.OK, "RTAP is running: it holds 4222", ""}}},
		"a gateway outside": {
			[]doctor.Port{free, held("egress.websocket.port", 5802, syscall.EADDRINUSE, "docker-proxy", "rtap")},
			&doctor.Gateway{Status: "unhealthy", Reasons: []string{"vad: no process answers"}},
			[]want{{"ports", doctor.OK, "8080 is free", ""}, {"ports", doctor.OK, "holds 5802", ""}, {"pipeline", doctor.Warn, "vad: no process answers", "logs"}},
		},
		"another NATS server": {[]doctor.Port{held(nats, 4222, syscall.EADDRINUSE, "nats-server", "nats")}, nil, []want{{"ports", doctor.Warn, "nats-server", "rtap up --nats nats://127.0.0.1:4222"}}},
		"no NATS server":      {[]doctor.Port{held(nats, 4222, syscall.EADDRINUSE, "python3", "")}, nil, []want{{"ports", doctor.Fail, "python3", nats}}},
		"below 1024":          {[]doctor.Port{held("egress.http_port", 80, syscall.EACCES, "", "")}, nil, []want{{"ports", doctor.Fail, "80 may not be listened on", "1024"}}},
		"foreign address":     {[]doctor.Port{held("egress.zmq.event_port", 80, syscall.EADDRNOTAVAIL, "", "")}, nil, []want{{"ports", doctor.Fail, "no address of this machine", "egress.listen"}}},
		"foreign NATS":        {[]doctor.Port{held(nats, 80, syscall.EADDRNOTAVAIL, "", "")}, nil, []want{{"ports", doctor.Fail, "no address of this machine", "nats.embedded.listen"}}},
		"anything else":       {[]doctor.Port{held(nats, 80, syscall.EMFILE, "", "")}, nil, []want{{"ports", doctor.Fail, "too many open files", nats}}},
		"the same twice": {
			[]doctor.Port{free, {Key: "egress.websocket.port", Number: 8080}}, &doctor.Gateway{Status: "healthy", Version: "1"},
			[]want{{"ports", doctor.OK, "8080", ""}, {"ports", doctor.Fail, "egress.http_port and egress.websocket.port are both 8080", "own"}, {"pipeline", doctor.OK, "healthy", ""}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			expect(t, doctor.Ports{Ports: tt.ports, Gateway: tt.gateway}.Findings(), tt.wants...)
		})
	}
}

// portOf returns the number of a listener's port.
func portOf(t *testing.T, addr string) int {
	t.Helper()
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.Atoi(port)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestPortsGathered(t *testing.T) {
	server := testkit.NATS(t)
	stranger, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = stranger.Close() }()
	gateway := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusServiceUnavailable)
		_, _ = w.Write([]byte(`{"status":"unhealthy","reasons":["stt: no process answers"],"stages":{}}`))
	}))
	defer gateway.Close()

	s := site(t, t.TempDir())
	e := &s.Config.Egress
	e.HTTPPort, e.WebSocket.Port, e.ZMQ.EventPort, e.ZMQ.TranscriptPort = portOf(t, gateway.Listener.Addr().String()), portOf(t, stranger.Addr().String()), 0, 0
	s.Config.NATS.Embedded.Port = portOf(t, server.Addr().String())
	// This test's own process holds all three and is called after the package.
	expect(t, s.Check(t, "ports"),
		want{"ports", doctor.Fail, "doctor.test", "egress.http_port"},
		want{"ports", doctor.Fail, "doctor.test", "egress.websocket.port"},
		want{"ports", doctor.Warn, "doctor.test", "rtap up --nats nats://127.0.0.1:"},
		want{"pipeline", doctor.Warn, "stt: no process answers", ""})
}
