# shellcheck shell=bash
# What deploy.sh asks of the host, before it changes anything. Each check prints one line:
# ok, warn or FAIL; a FAIL says what is wrong and what to do, and counts in $failed.
# shellcheck disable=SC2034,SC2154 # deploy.sh shares its variables

failed=0
ok() { printf 'ok    %s\n' "$*"; }
warn() { printf 'warn  %s\n' "$*"; }
fail() {
  printf 'FAIL  %s\n' "$*"
  failed=$((failed + 1))
}

check_docker() {
  if ! command -v docker >/dev/null; then
    fail "docker is not installed: install Docker Engine 24 or newer with its compose plugin"
    return 1
  fi
  local version
  if ! version=$(docker version --format '{{.Server.Version}}' 2>&1); then
    fail "the docker daemon does not answer (${version##*$'\n'}): start it (systemctl start docker), or let this user reach it (usermod -a -G docker $(id -un))"
    return 1
  fi
  ok "docker $version"
  if ! find_compose; then
    fail "neither docker-compose nor 'docker compose' is there: install the compose plugin, 2.24 or newer"
    return 1
  fi
  ok "compose $("${compose[@]}" version --short 2>/dev/null || echo "(version unknown)")"
}

# find_compose sets compose to the command that works.
find_compose() {
  if docker-compose version >/dev/null 2>&1; then
    compose=(docker-compose)
  elif docker compose version >/dev/null 2>&1; then
    compose=(docker compose)
  else
    return 1
  fi
}

check_ports() {
  local entry name port busy=0
  local wanted=(RTAP_MAIN_HTTP_PORT=8080 RTAP_MAIN_WS_PORT=5802 RTAP_MAIN_EVENT_PORT=6552 RTAP_MAIN_ZMQ_PORT=6553
    RTAP_STANDBY_HTTP_PORT=8081 RTAP_STANDBY_WS_PORT=5812 RTAP_STANDBY_EVENT_PORT=6562 RTAP_STANDBY_ZMQ_PORT=6563)
  if ((monitoring)); then wanted+=(PROMETHEUS_PORT=9090 GRAFANA_PORT=3000 LOKI_PORT=3100); fi
  for entry in "${wanted[@]}"; do
    name=${entry%%=*}
    port=$(setting "$name" "${entry#*=}")
    if listening "$port" && ! ours "$port"; then
      fail "port $port is in use$(holder "$port"): free it, or set another with $name in .env"
      busy=1
    fi
  done
  if ((!busy)); then ok "ports are free, or held by this stack"; fi
}

listening() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }
# ours says whether a container of this stack publishes the port.
ours() {
  docker ps -q --filter "label=com.docker.compose.project=$project" \
    | xargs -r docker inspect --format '{{range .HostConfig.PortBindings}}{{range .}}{{.HostPort}} {{end}}{{end}}' \
    | tr ' ' '\n' | grep -x "$1" >/dev/null
}
holder() {
  local name
  name=$(ss -Hltnp "sport = :$1" 2>/dev/null | sed -n 's/.*users:(("\([^"]*\)",pid=\([0-9]*\).*/ by \1 (process \2)/p' | head -n 1)
  printf '%s' "$name"
}

check_disk() {
  local root free
  root=$(docker info --format '{{.DockerRootDir}}' 2>/dev/null || true)
  [ -d "$root" ] || root=.
  free=$(($(df -Pk "$root" | awk 'NR == 2 {print $4}') / 1024 / 1024))
  if ((free < 4)); then
    fail "only $free GB are free on the disk of $root: free at least 4, better 12 (docker system prune)"
  elif ((free < 12)); then
    warn "$free GB are free on the disk of $root: JetStream may take 8 of them (deploy/nats/nats-server.conf)"
  else
    ok "$free GB are free on the disk of $root"
  fi
}

check_memory() {
  local available
  available=$(($(awk '/^MemAvailable:/ {print $2}' /proc/meminfo) / 1024))
  if ((available < 512)); then
    fail "only $available MB of memory are available: RTAP needs 512, with monitoring 2000"
  elif ((available < 2000 && monitoring)); then
    warn "$available MB of memory are available: with monitoring 2000 are better (--no-monitoring)"
  else
    ok "$available MB of memory are available"
  fi
}

# check_audio sets sound to what capture is given: alsa, pulseaudio or none.
check_audio() {
  sound=none
  local sources mock pulse=${PULSE_SERVER:-unix:${XDG_RUNTIME_DIR:-/run/user/$(id -u)}/pulse/native}
  sources=$(setting RTAP_SOURCES mic,listen)
  mock=$(setting RTAP_AUDIO_MOCK false)
  if [ "$mock" = true ]; then
    ok "audio: a recording in place of microphones (RTAP_AUDIO_MOCK=true)"
  elif [[ ",$sources" != *,mic* ]]; then
    ok "audio: no source needs a device ($sources)"
  elif compgen -G '/dev/snd/pcm*c' >/dev/null; then
    sound=alsa
    ok "audio: $(compgen -G '/dev/snd/pcm*c' | wc -l) capture devices in /dev/snd"
  elif [ -S "${pulse#unix:}" ]; then
    sound=pulseaudio
    ok "audio: PulseAudio at ${pulse#unix:}"
  else
    fail "no microphone: /dev/snd has no capture device and no PulseAudio answers at ${pulse#unix:}: plug one in, or RTAP_AUDIO_MOCK=true ./deploy.sh for a recording, or RTAP_SOURCES=listen for remote clients alone"
  fi
}

check_environment() {
  local name known
  name=$(environment)
  if [ "$name" = default ] || [ -r "config/$name.yaml" ]; then
    ok "configuration: $name"
    return
  fi
  known=$(cd config && printf '%s ' *.yaml)
  fail "RTAP_ENVIRONMENT=$name: there is no config/$name.yaml; there are ${known//.yaml/}"
}

# A folder that the containers' user cannot read makes every process end at once.
check_config_readable() {
  local shut
  shut=$(find config deploy/nats \( -type d ! -perm -o=rx -o -type f ! -perm -o=r \) -print 2>/dev/null | head -n 3 | tr '\n' ' ')
  if [ -n "$shut" ]; then
    fail "containers cannot read $shut: chmod -R o+rX config deploy/nats"
  fi
}
