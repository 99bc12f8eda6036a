//go:build compose

package compose

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestCompose is one story, since the stack is one: each step begins with what the one
// before has left running, and a client follows the transcripts through all of them.
func TestCompose(t *testing.T) {
	s := newStack(t)
	step := func(name string, do func(t *testing.T)) {
		if !t.Run(name, do) {
			t.FailNow()
		}
	}
	step("a busy port stops deploy.sh before anything is changed", s.busyPort)
	step("deploy.sh brings everything up", s.deploy)
	f := follow(t)
	step("words arrive on both gateways", func(t *testing.T) {
		f.goesOn(t)
		hear(t, 6553)
		hear(t, 6563)
	})
	step("the manual's commands work", s.manual)
	step("secrets stay secret, users within their lists", s.secrets)
	step("deploy.sh again changes nothing", func(t *testing.T) {
		before := s.ids(t, containers...)
		s.run(t, "./deploy.sh", "--no-monitoring")
		same(t, before, s.ids(t, containers...))
	})
	step("the image goes to a file and comes back", s.savedImage)
	step("a gateway's environment touches no worker", s.environments)
	step("three recognisers, two voice detectors, and back while it talks", func(t *testing.T) { s.scale(t, f) })
	step("without rtap-main the standby serves", func(t *testing.T) {
		s.sh(t, "docker-compose stop rtap-main")
		f.goesOn(t)
		hear(t, 6563)
		s.sh(t, "curl -fsS http://localhost:8081/health")
		s.diagnostics(t)
		s.sh(t, "docker-compose up -d rtap-main")
		s.healthy(t, "rtap-main")
		hear(t, 6553)
	})
	step("a new version goes in standby first, and out again", func(t *testing.T) { s.update(t, f) })
	step("a version that does not start is taken back", func(t *testing.T) { s.broken(t, f) })
	step("a setting that no version knows stops deploy.sh", s.badConfig)
	step("Prometheus follows the scale; its history is saved and restored", s.prometheus)
	step("nothing was lost, nothing refused", func(t *testing.T) {
		f.goesOn(t)
		f.check(t)
		if out := s.run(t, "docker-compose", "logs", "--no-color"); strings.Contains(out, "Violation") {
			t.Errorf("NATS refused something: %s", grep(out, "Violation"))
		}
	})
	step("what is wrong is said in one line", s.faults)
	step("emergency shutdown and quick recovery", func(t *testing.T) {
		s.run(t, "deploy/emergency-shutdown.sh")
		if out := s.run(t, "docker", "ps", "-q", "--filter", "label=com.docker.compose.project=rtap"); out != "" {
			t.Errorf("still running: %s", out)
		}
		s.sh(t, "docker-compose up -d rtap-main")
		s.healthy(t, "rtap-main", "rtap-stt-1")
		f.goesOn(t)
		f.check(t)
	})
	step("a token keeps out who does not know it", func(t *testing.T) { s.token(t, f) })
	// From here on, since a restore begins a new log, the client above has nothing to follow.
	step("the commands of docs/OPERATIONS.md work", s.document)
	step("full recovery: without data, built anew", s.fromNothing)
}

func (s *stack) busyPort(t *testing.T) {
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:5802")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	out, err := s.try("RTAP_AUDIO_MOCK=true", "./deploy.sh", "--no-monitoring")
	if err == nil || !strings.Contains(out, "FAIL  port 5802 is in use by compose.test") {
		t.Errorf("%v\n%s", err, out)
	}
	out, err = s.try("RTAP_AUDIO_MOCK=true", "RTAP_ENVIRONMENT=main_pcc", "./deploy.sh", "--dry-run")
	if err == nil || !strings.Contains(out, "there is no config/main_pcc.yaml; there are ") {
		t.Errorf("%v\n%s", err, out)
	}
	if _, err := os.Stat(filepath.Join(s.dir, ".env")); err == nil {
		t.Error(".env was written")
	}
	if out, err := s.try("docker-compose", "up", "-d"); err == nil || !strings.Contains(out, "run ./deploy.sh once") {
		t.Errorf("without secrets: %v\n%s", err, out)
	}
}

func (s *stack) deploy(t *testing.T) {
	out := s.run(t, "RTAP_AUDIO_MOCK=true", "./deploy.sh", "--no-monitoring")
	for _, want := range []string{"http://localhost:8080/health", "ws://localhost:5802/stream", "every container is healthy"} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
	s.healthy(t, containers...)
}

// secrets looks for passwords where none may be, and asks NATS for what is not allowed.
func (s *stack) secrets(t *testing.T) {
	path := filepath.Join(s.dir, ".env")
	st, err := os.Stat(path)
	if err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf(".env: %v %v", st.Mode(), err)
	}
	logs := s.run(t, "docker-compose", "logs", "--no-color") + s.sh(t, "docker exec rtap-main bash -c 'cat /app/logs/*.log'")
	s.silent(t, "the logs", logs)
	if out, err := s.try("docker", "exec", "-e", "RTAP_OPERATOR_PASSWORD=", "-e", "RTAP_NATS__USER=", "rtap-main", "timeout", "5", "rtap", "tail"); err == nil || !strings.Contains(out, "Authorization Violation") {
		t.Errorf("without a name: %v\n%s", err, out)
	}
	out := s.run(t, "docker", "inspect", "--format", "{{.Name}} {{.HostConfig.ReadonlyRootfs}} ports {{range .NetworkSettings.Ports}}{{range .}}{{.HostPort}}{{end}}{{end}}", "rtap-nats-1", "rtap-capture-1", "rtap-vad-1", "rtap-stt-1")
	for line := range strings.Lines(out) {
		if !strings.HasSuffix(line, " true ports \n") {
			t.Errorf("writable, or with a port: %s", line)
		}
	}
}

// silent fails the test where a text has one of the passwords, or the token, in it.
func (s *stack) silent(t *testing.T, what, text string) {
	t.Helper()
	env, err := os.ReadFile(filepath.Join(s.dir, ".env"))
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile(`(?m)^(?:NATS_\w+_PASSWORD|RTAP_AUTH_TOKEN)=(.+)$`).FindAllSubmatch(env, -1)
	if len(found) < 5 {
		t.Errorf("%d passwords in .env", len(found))
	}
	for _, m := range found {
		if strings.Contains(text, string(m[1])) {
			t.Errorf("a secret is in %s: %.20s…", what, m[0])
		}
	}
}

func (s *stack) environments(t *testing.T) {
	workers := []string{"rtap-nats-1", "rtap-capture-1", "rtap-vad-1", "rtap-stt-1"}
	before, standby := s.ids(t, workers...), s.ids(t, "rtap-standby")
	s.sh(t, "export RTAP_ENVIRONMENT=pc2; docker-compose up -d rtap-standby")
	if s.ids(t, "rtap-standby")["rtap-standby"] == standby["rtap-standby"] {
		t.Error("the standby did not take its environment")
	}
	s.sh(t, "export RTAP_ENVIRONMENT=main_pc RTAP_LOG_LEVEL=DEBUG; docker-compose up -d rtap-main")
	s.healthy(t, "rtap-main", "rtap-standby")
	if out := s.sh(t, "docker exec rtap-main rtap config show"); !strings.Contains(out, "main_pc.yaml") || !strings.Contains(out, "DEBUG") {
		t.Errorf("rtap-main: %s", grep(out, "stt.model|log.level"))
	}
	s.sh(t, "export RTAP_ENVIRONMENT=pc3; docker-compose up -d rtap-standby")
	want := "RTAP_ENVIRONMENT=pc3: there is no config/pc3.yaml (found: "
	within(t, time.Minute, "no line about a wrong RTAP_ENVIRONMENT", func() bool {
		return strings.Contains(s.run(t, "docker-compose", "logs", "--no-color", "rtap-standby"), want)
	})
	s.sh(t, "unset RTAP_ENVIRONMENT; docker-compose up -d")
	s.healthy(t, "rtap-main", "rtap-standby")
	same(t, before, s.ids(t, workers...))
}

// update deploys a change, and rolls it back in both ways.
func (s *stack) update(t *testing.T, f *follower) {
	old := s.image(t, "rtap:latest")
	s.edit(t, "config/default.yaml", func(c string) string { return c + "# a change\n" })
	if out := s.run(t, "./deploy.sh", "--no-monitoring"); !strings.Contains(out, "rtap:backup") {
		t.Errorf("no word of the backup:\n%s", out)
	}
	if s.image(t, "rtap:backup") != old || s.image(t, "rtap:latest") == old {
		t.Error("rtap:backup is not the image that was there before")
	}
	f.goesOn(t)
	s.run(t, "./deploy.sh", "--no-monitoring", "--rollback")
	if s.image(t, "rtap:latest") != old {
		t.Error("--rollback did not bring the old image back")
	}
	f.goesOn(t)
	s.sh(t, "docker tag rtap:backup rtap:latest && docker-compose up -d")
	s.healthy(t, containers...)
	f.goesOn(t)
	f.check(t)
}

func (s *stack) broken(t *testing.T, f *follower) {
	good := s.image(t, "rtap:latest")
	s.edit(t, "deploy/docker/healthcheck.sh", func(string) string { return "#!/bin/bash\necho broken; exit 1\n" })
	out, err := s.try("./deploy.sh", "--no-monitoring")
	if err == nil || !strings.Contains(out, "runs again") {
		t.Errorf("%v\n%s", err, out)
	}
	if s.image(t, "rtap:latest") != good {
		t.Error("rtap:latest is not the good image again")
	}
	s.healthy(t, containers...)
	f.goesOn(t)
	f.check(t)
}

func (s *stack) badConfig(t *testing.T) {
	before := s.ids(t, containers...)
	s.edit(t, "config/default.yaml", func(c string) string { return strings.Replace(c, "hangover_ms:", "hangover:", 1) })
	out, err := s.try("./deploy.sh", "--no-monitoring")
	if err == nil || !strings.Contains(out, `unknown key "vad.hangover"`) {
		t.Errorf("%v\n%s", err, out)
	}
	same(t, before, s.ids(t, containers...))
}

func grep(text, pattern string) string {
	re := regexp.MustCompile(pattern)
	lines := slices.DeleteFunc(strings.Split(text, "\n"), func(l string) bool { return !re.MatchString(l) })
	return fmt.Sprintf("%d lines: %s", len(lines), strings.Join(lines[:min(5, len(lines))], "\n"))
}
