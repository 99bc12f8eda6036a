package test

import (
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/rtap/rtap/pkg/testkit"
)

// standIns starts what has RTAP's names, and what only mentions them, asks for the shutdown,
// and prints who is left. It is the first process of a namespace of its own: nothing outside
// can be seen, or stopped. An empty /run hides the host's systemd, and no Docker is asked.
const standIns = `
mount -t tmpfs none /run
export DOCKER_HOST=unix:///run/nobody.sock
cd "$1"
mkdir bin log src
touch log/rtap-main.log log/rtap-vad src/rtap-stt.go
names=() pids=()
start() { name=$1; shift; "$@" >/dev/null & names+=("$name"); pids+=($!); }
deaf() { trap '' TERM; exec "$@"; }
for program in rtap rtap-capture rtap-vad rtap-stt rtap-egress rtap-capturer; do cp "$(command -v tail)" bin/$program; done
touch up nats-server
start capture "$1/bin/rtap-capture" -f log/rtap-main.log
start vad deaf "$1/bin/rtap-vad" -f log/rtap-main.log
PATH=$1/bin:$PATH start stt rtap-stt -f log/rtap-main.log
start egress bin/rtap-egress -f log/rtap-main.log
start up "$1/bin/rtap" up -f
start nats bin/rtap nats-server -f
start innocent-tail tail -f log/rtap-main.log
start innocent-file tail -f log/rtap-vad
start innocent-editor tail -f src/rtap-stt.go
start innocent-reader tail -f "$1/bin/rtap-egress"
start innocent-shell bash -c 'sleep 1000; : /opt/bin/rtap up --source mic'
start innocent-name bin/rtap-capturer -f log/rtap-main.log
alive() { for i in "${!pids[@]}"; do
  if { tr -d '\0' <"/proc/${pids[i]}/cmdline" | grep -q .; } 2>/dev/null; then echo "$1 ${names[i]}"; fi
done; }
for _ in $(seq 600); do # every one is what it will be
  [ "$(grep -zlE '^([^ ]*/)?(rtap[a-z-]*|tail)$' /proc/[0-9]*/cmdline 2>/dev/null | wc -l)" = 11 ] && break
  sleep 0.1
done
alive before
"$2/deploy/emergency-shutdown.sh" --processes && echo done
alive after
`

func TestEmergencyShutdownStopsNobodyElse(t *testing.T) {
	apart := []string{"--pid", "--fork", "--mount-proc", "--kill-child"}
	if os.Getuid() != 0 {
		apart = append(apart, "--user", "--map-root-user")
	}
	unshare := func(words ...string) *exec.Cmd {
		return exec.CommandContext(t.Context(), "unshare", append(slices.Clone(apart), words...)...)
	}
	testkit.RequireNative(t, unshare("mount", "-t", "tmpfs", "none", "/run").Run())
	raw, err := unshare("bash", "-u", "-c", standIns, "stand-ins", t.TempDir(), testkit.Root(t)).CombinedOutput()
	out := string(raw)
	if err != nil || !strings.Contains(out, "\ndone\n") {
		t.Fatalf("%v\n%s", err, out)
	}
	ours := []string{"capture", "vad", "stt", "egress", "up", "nats"}
	innocent := []string{"innocent-tail", "innocent-file", "innocent-editor", "innocent-reader", "innocent-shell", "innocent-name"}
	for _, name := range slices.Concat(ours, innocent) {
		if !strings.Contains(out, "before "+name+"\n") {
			t.Errorf("%s was never there", name)
		}
		if lives := strings.Contains(out, "after "+name+"\n"); lives != slices.Contains(innocent, name) {
			t.Errorf("%s lives after the shutdown: %v", name, lives)
		}
	}
	if t.Failed() {
		t.Log(out)
	}
}
