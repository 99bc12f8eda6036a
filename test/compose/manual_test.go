//go:build compose

package compose

import (
	"fmt"
	"path/filepath"
	"testing"

	"github.com/rtap/rtap/test/manual"
)

// manual runs the commands of the operations manual that name docker, as they stand there;
// those that name Python have their counterparts tested where these are.
func (s *stack) manual(t *testing.T) {
	for _, line := range []string{
		"docker-compose ps",
		"docker-compose logs rtap-main",
		"docker-compose logs rtap-standby",
		"curl -fsS http://localhost:8080/health",
		"curl -fsS http://localhost:8081/health",
		"docker-compose up -d",
		"docker-compose up -d rtap-main",
		"docker stats --no-stream",
		"docker-compose ps -q | xargs docker inspect --format '{{.State.Health.Status}}' | grep healthy",
		"docker run --rm -v $(pwd)/config:/app/config rtap:latest rtap config validate",
		"docker exec rtap-main cat /app/logs/rtap-$(date +%Y%m%d).log",
		"docker-compose logs rtap-main > rtap-main.log",
		"docker-compose logs rtap-main | grep -i 'model\\|warmup\\|starting'",
		"docker exec rtap-main ss -tuln",
		"curl -fsS -o /dev/null 'http://localhost:5802/openapi.json?audit=seen'",
		`docker exec rtap-main cat /var/log/auth.log | grep '"msg":"access".*"path":"/openapi.json","query":"audit=seen".*"status":200'`,
		"docker exec rtap-main id | grep 'uid=10001(rtap) gid=10001(rtap) groups=.*(audio)'",
		`test "rtap $(docker image inspect --format '{{index .Config.Labels "org.opencontainers.image.version"}}' rtap:latest)" = "$(docker exec rtap-main rtap version)"`,
		"docker exec rtap-main ps aux | grep rtap-egress",
		"docker exec rtap-main cat /proc/meminfo",
		"docker exec rtap-main aplay -l",
		"(docker exec rtap-main rtap bench latency 2>&1 || true) | grep 'docker run --rm rtap:latest rtap bench'",
		"ss -tuln | grep -E '(6552|6553|5802|8080)'",
		"docker exec rtap-main nc -z localhost 6553",
		"docker exec rtap-main ls -la /app/models/ | grep moonshine-tiny-en",
		"docker exec rtap-main /app/healthcheck.sh",
		"docker exec rtap-standby /app/healthcheck.sh",
		"docker exec rtap-main /bin/bash -c 'rtap version'",
		"docker exec rtap-main timeout 60 tcpdump -c 1 -i any port 8080 & pid=$!; for i in $(seq 20); do sleep 0.5; curl -s -o /dev/null localhost:8080/healthz; done; wait $pid",
		"docker exec rtap-main iostat -x 1 1",
		"docker exec rtap-main find /app/logs -name '*.log' -mtime +7 -delete",
		"docker exec rtap-main touch /tmp/x && ! docker exec rtap-main touch /app/x",
		"docker-compose run --rm models list | grep moonshine-tiny-en",
		"docker-compose run --rm --no-deps stt rtap models verify",
		"tar -czf rtap-config-$(date +%Y%m%d).tar.gz config/ && tar -tzf rtap-config-*.tar.gz | grep default.yaml",
		"docker-compose pull rtap-main rtap-standby capture vad stt",
		"docker-compose restart rtap-main; for i in $(seq 30); do docker exec rtap-main /app/healthcheck.sh && exit 0; sleep 1; done; exit 1",
		"(curl --max-time 2 --include --no-buffer --header 'Connection: Upgrade' --header 'Upgrade: websocket' " +
			"--header 'Sec-WebSocket-Key: SGVsbG8sIHdvcmxkIQ==' --header 'Sec-WebSocket-Version: 13' http://localhost:5802/stream || true) 2>/dev/null" +
			" | tr -d '\\0' | grep '101 Switching Protocols'",
	} {
		t.Run(line[:min(60, len(line))], func(t *testing.T) { s.sh(t, line) })
	}
}

// document runs the blocks of the operations document that are about the container stack,
// each as one script, in their order.
func (s *stack) document(t *testing.T) {
	s.sh(t, "docker-compose up -d")
	s.healthy(t, containers...)
	for _, b := range s.blocks(t, "compose") {
		t.Run(fmt.Sprintf("line %d %s", b.Line, b.Section), func(t *testing.T) { s.block(t, b) })
	}
	s.healthy(t, containers...)
	hear(t, 6553)
}

// blocks are the blocks of docs/OPERATIONS.md of a class, in their order.
func (s *stack) blocks(t *testing.T, class string) []manual.Block {
	t.Helper()
	d, err := manual.Read(filepath.Join(s.dir, "docs", "OPERATIONS.md"))
	if err != nil {
		t.Fatal(err)
	}
	return d.Of(class)
}

func (s *stack) block(t *testing.T, b manual.Block) {
	t.Helper()
	if out, err := s.try("bash", "-eu", "-o", "pipefail", "-c", b.Script); err != nil {
		t.Errorf("%v\n%s\n%s", err, b.Script, out)
	}
}
