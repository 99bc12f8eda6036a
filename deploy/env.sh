# shellcheck shell=bash
# The file .env, which holds what is to stay between commands: docker-compose reads it too.
# shellcheck disable=SC2034,SC2154 # deploy.sh shares its variables

# setting NAME DEFAULT prints the shell's value, else that of .env, else the default.
setting() {
  local value=${!1:-}
  if [ -z "$value" ] && [ -f .env ]; then value=$(sed -n "s/^$1=//p" .env | tail -n 1); fi
  printf '%s' "${value:-$2}"
}

# environment prints the overlay of the workers.
environment() {
  printf '%s' "${RTAP_ENVIRONMENT:-$(setting RTAP_WORKERS_ENVIRONMENT default)}"
}

# keep NAME VALUE writes a line of .env anew, keeping the others in their order.
keep() {
  local name=$1 value=$2 new
  if [ "$(sed -n "s/^$name=//p" .env)" = "$value" ] && grep -q "^$name=" .env; then return; fi
  new=$(mktemp .env.XXXXXX)
  if grep -q "^$name=" .env; then
    awk -v name="$name" -v line="$name=$value" 'index($0, name "=") == 1 {print line; next} {print}' .env >"$new"
  else
    { cat .env && printf '%s=%s\n' "$name" "$value"; } >"$new"
  fi
  chmod 600 "$new"
  mv "$new" .env
}

forget() { if grep -q "^$1=" .env; then sed -i "/^$1=/d" .env; fi; }

# secret prints 192 random bits; a letter comes first, so that no reader takes it for a number.
secret() { printf 's%s' "$(od -An -N24 -tx1 /dev/urandom | tr -d ' \n')"; }

# write_env makes the secrets that are missing, and keeps what was said on this command line.
write_env() {
  local name
  if [ ! -f .env ]; then
    (umask 077 && printf '# Written by deploy.sh. Passwords: keep it to yourself. To change them: delete it, ./deploy.sh.\n' >.env)
  fi
  chmod 600 .env
  for name in NATS_CAPTURE_PASSWORD NATS_VAD_PASSWORD NATS_STT_PASSWORD NATS_EGRESS_PASSWORD NATS_OPERATOR_PASSWORD; do
    [ -n "$(setting "$name" '')" ] || keep "$name" "$(secret)"
  done
  for name in AUDIO_DEVICE RTAP_AUDIO_MOCK RTAP_SOURCES RTAP_STT RTAP_BIND RTAP_AUTH_TOKEN WHISPER_BACKEND GRAFANA_ADMIN_PASSWORD; do
    if [ -n "${!name:-}" ]; then keep "$name" "${!name}"; fi
  done
  keep RTAP_WORKERS_ENVIRONMENT "$(environment)"
  keep RTAP_TZ "$(setting RTAP_TZ "$(timezone)")"
  keep COMPOSE_PROFILES "$( ((monitoring)) && echo core,monitoring || echo core)"
  keep COMPOSE_FILE "$(compose_files)"
  if [ "$sound" = alsa ]; then keep RTAP_AUDIO_GID "$(stat -c %g /dev/snd/pcm*c | head -n 1)"; fi
  if [ "$sound" = pulseaudio ]; then
    local pulse=${PULSE_SERVER:-unix:${XDG_RUNTIME_DIR:-/run/user/$(id -u)}/pulse/native}
    keep RTAP_PULSE_SOCKET "${pulse#unix:}"
    keep RTAP_PULSE_UID "$(stat -c %u "${pulse#unix:}")"
  fi
}

# compose_files is COMPOSE_FILE with the sound and GPU that were found; other files stay.
compose_files() {
  local file out=docker-compose.yml
  while IFS= read -r -d : file; do
    case $file in
      '' | docker-compose.yml | deploy/compose/alsa.yml | deploy/compose/pulseaudio.yml | deploy/compose/cuda.yml) ;;
      *) out+=:$file ;;
    esac
  done <<<"$(setting COMPOSE_FILE docker-compose.yml):"
  if [ "$sound" != none ]; then out+=:deploy/compose/$sound.yml; fi
  if [ "$(setting WHISPER_BACKEND cpu)" = cuda ]; then out+=:deploy/compose/cuda.yml; fi
  printf '%s' "$out"
}

# timezone is the host's: the daily log files of containers are named after its day.
timezone() {
  local zone
  zone=$(readlink -f /etc/localtime 2>/dev/null | sed -n 's|.*/zoneinfo/||p')
  printf '%s' "${zone:-UTC}"
}
