#!/usr/bin/env bash
# Stops RTAP on this host at once: every container of the stack, and the systemd units. Data
# stays: volumes and data folders are not touched. Exit code 1 when something still runs.
#
#   deploy/emergency-shutdown.sh
#   deploy/emergency-shutdown.sh --processes   also what `rtap up` or hand has started
set -euo pipefail
cd "$(dirname "$0")/.."
processes=0 left=''
case ${1:-} in
  '') ;;
  --processes) processes=1 ;;
  *) echo "emergency shutdown: unknown argument $1; --processes stops processes outside containers too" >&2; exit 2 ;;
esac

# alive lists RTAP's processes outside containers, by the program that each runs: a tail, an editor or a
# shell that merely names one in its command line is none.
alive() {
  local dir words
  for dir in /proc/[0-9]*; do
    words=()
    { mapfile -d '' -t words <"$dir/cmdline"; } 2>/dev/null || continue # it has ended meanwhile
    [ ${#words[@]} -gt 0 ] || continue
    case "${words[0]##*/} ${words[1]-}" in
      'rtap-capture '* | 'rtap-vad '* | 'rtap-stt '* | 'rtap-egress '* | 'rtap up' | 'rtap nats-server') echo "${dir#/proc/}" ;;
    esac
  done
}

ours() { docker ps -aq --filter label=com.docker.compose.project=rtap 2>/dev/null; }

if command -v docker >/dev/null && [ -n "$(ours)" ]; then
  if docker-compose version >/dev/null 2>&1; then compose=(docker-compose); else compose=(docker compose); fi
  # Without .env, or with a broken file, compose stops nothing: then by label.
  if ! timeout 60 "${compose[@]}" --profile '*' down --remove-orphans --timeout 5; then
    ours | xargs -r docker rm -f
  fi
fi

if [ -d /run/systemd/system ] && command -v systemctl >/dev/null; then
  systemctl stop 'rtap-*' || true
fi

if ((processes)); then
  alive | xargs -r kill -TERM || true
  for _ in $(seq 50); do
    [ -n "$(alive)" ] || break
    sleep 0.1
  done
  alive | xargs -r kill -KILL || true
  for _ in $(seq 20); do # the kernel takes its time, too
    left=$(alive | tr '\n' ' ')
    [ -n "$left" ] || break
    sleep 0.1
  done
fi

if [ -n "$(ours)" ] || [ -n "$left" ]; then
  echo "emergency shutdown: something still runs: docker ps -a${left:+; processes $left(as root: $0 --processes)}" >&2
  exit 1
fi
echo "stopped; data is untouched. Start again: docker-compose up -d"
