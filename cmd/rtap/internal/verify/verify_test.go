package verify_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rtap/rtap/cmd/rtap/internal/verify"
	"github.com/rtap/rtap/pkg/lifecycle"
	"github.com/rtap/rtap/pkg/testkit"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// clip is a short recording with the text that the fake gateway hears.
func clip(t *testing.T) string {
	t.Helper()
	path := testkit.WriteWAV(t, testkit.Noise(1600, 0.1))
	text := "And so my fellow Americans, ask not what your country can do for you, ask what you can do for your country."
	if err := os.WriteFile(strings.TrimSuffix(path, ".wav")+".txt", []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func run(t *testing.T, g *fake, args ...string) (code int, out string) {
	t.Helper()
	for key, port := range map[string]int{
		"egress.http_port": g.httpPort, "egress.websocket.port": g.wsPort, "egress.zmq.transcript_port": g.zmqPort, "egress.zmq.event_port": g.eventPort,
	} {
		args = append(args, "--set", fmt.Sprintf("%s=%d", key, port))
	}
	var b bytes.Buffer
	err := verify.Run(t.Context(), lifecycle.Env{Args: args, Stdout: &b, Stderr: &b})
	if err != nil {
		b.WriteString(err.Error())
	}
	return lifecycle.Code(err), b.String()
}

func TestAllIsWell(t *testing.T) {
	code, out := run(t, start(t, faults{}), "--clip", clip(t), "--token", "right", "--standby", "none", "--json")
	var got struct {
		OK     bool
		Checks []struct{ Name, Status, Detail string }
	}
	if err := json.Unmarshal([]byte(out), &got); err != nil || code != 0 || !got.OK || len(got.Checks) != 12 {
		t.Errorf("code %d, %v: %s", code, err, out)
	}
	for _, c := range got.Checks {
		if c.Status != "ok" {
			t.Errorf("%+v", c)
		}
	}
}

// TestFaults: each makes its check fail, with the reason, and the exit code 1.
func TestFaults(t *testing.T) {
	recording := clip(t)
	for name, tt := range map[string]struct {
		faults
		want string
	}{
		"nobody is active":     {faults{health: strings.Replace(rightHealth, `"state":"active"`, `"state":"standby"`, 1)}, "FAIL  active gateway     no gateway is active, finals are not released"},
		"a stage is missing":   {faults{health: strings.Replace(rightHealth, `"vad"`, `"vid"`, 1)}, "FAIL  stages             no process of vad is ready"},
		"a stage is not ready": {faults{health: strings.Replace(rightHealth, `"instance":"c","version":"v1","ready":true`, `"instance":"c","version":"v1","ready":false`, 1)}, "no process of stt is ready"},
		"unhealthy":            {faults{health: `{"status":"unhealthy","reasons":["vad: no process answers"],"stages":{}}`}, "FAIL  primary health     /health answers 503, unhealthy: vad: no process answers"},
		"not a gateway":        {faults{health: `{"status":"healthy"}`}, "not that of a gateway"},
		"audio is refused":     {faults{refuse: "start one with --source listen"}, "FAIL  audio in           503 Service Unavailable: start one with --source listen"},
		"it hangs up":          {faults{abrupt: true}, "FAIL  audio in           the gateway closed the connection"},
		"other words":          {faults{texts: []string{"mumble"}}, "FAIL  words              22 of 22 words are wrong: mumble"},
		"no word":              {faults{texts: []string{""}}, "FAIL  words              no word came back"},
		"a hole":               {faults{hole: true}, "FAIL  primary WebSocket  final 2 has the number 3"},
		"feeds differ":         {faults{otherWords: true}, `final 1 is "something else", /v1/listen gave "And so`},
		"third frame":          {faults{thirdFrame: 9}, "the third frame of final 1 says 9"},
		"no events":            {faults{noEvents: true}, "FAIL  events             none came on port"},
		"no metrics":           {faults{noMetrics: true}, "FAIL  primary metrics    /metrics lacks rtap_pipeline_latency_seconds"},
		"ZeroMQ is shut":       {faults{mechanism: "CURVE"}, "it wants the mechanism CURVE"},
	} {
		t.Run(name, func(t *testing.T) {
			code, out := run(t, start(t, tt.faults), "--clip", recording, "--token", "right", "--standby", "none")
			if code != lifecycle.ExitFailure || !strings.Contains(out, tt.want) || !strings.Contains(out, "checks failed") {
				t.Errorf("code %d, want %q in:\n%s", code, tt.want, out)
			}
		})
	}
}

func TestStandby(t *testing.T) {
	recording := clip(t)
	// Nothing listens at port 1.
	code, out := run(t, start(t, faults{}), "--clip", recording, "--token", "right", "--standby", "127.0.0.1:1,1,1,1")
	if code != lifecycle.ExitFailure || !strings.Contains(out, "FAIL  standby health") {
		t.Errorf("it must be there: code %d: %s", code, out)
	}
}

// TestPorts: a configured HTTP port stands for the configured others, and all four may be named.
func TestPorts(t *testing.T) {
	recording := clip(t)
	g := start(t, faults{})
	for host, configured := range map[string]*fake{
		fmt.Sprintf("127.0.0.1:%d", g.httpPort):                                            g,
		fmt.Sprintf("127.0.0.1:%d,%d,%d,%d", g.httpPort, g.wsPort, g.eventPort, g.zmqPort): {httpPort: 1, wsPort: 1, zmqPort: 2, eventPort: 3},
	} {
		if code, out := run(t, configured, "--clip", recording, "--token", "right", "--standby", "none", "--host", host); code != 0 {
			t.Errorf("--host %s: code %d: %s", host, code, out)
		}
	}
}

func TestWrongUse(t *testing.T) {
	g := start(t, faults{})
	for args, want := range map[string]string{
		"--host a:b:c":                     "want HOST, HOST:PORT",
		"--standby a:0":                    "want HOST, HOST:PORT",
		"--host a:8080,5802":               "want HOST, HOST:PORT",
		"--host localhost:28090":           "cannot be told from 28090: name them, as localhost:28090,5802,6552,6553",
		"--clip /nowhere.wav":              "/nowhere.wav",
		"--clip " + filepath.Join("x.txt"): "x.txt",
		"extra":                            "takes only flags",
	} {
		if code, out := run(t, g, strings.Fields(args)...); code != lifecycle.ExitUsage || !strings.Contains(out, want) {
			t.Errorf("%s: code %d: %s", args, code, out)
		}
	}
	if code, out := run(t, g, "--clip", clip(t), "--standby", "none"); code != lifecycle.ExitFailure || !strings.Contains(out, ": a token is required") {
		t.Errorf("without a token: code %d: %s", code, out)
	}
	if code, out := run(t, g, "--host", "127.0.0.1:1,1,1,1"); code != lifecycle.ExitFailure || !strings.Contains(out, "connection refused") {
		t.Errorf("nobody there: code %d: %s", code, out)
	}
}
