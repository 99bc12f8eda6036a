#!/usr/bin/env bash
# Stops RTAP on this host at once: every container of the stack, and the systemd units. Data
# stays: volumes and data folders are not touched. Exit code 1 when something still runs.
#
#   deploy/emergency-shutdown.sh
#   deploy/emergency-shutdown.sh --processes   also what `rtap up` or hand has started
set -euo pipefail
cd "$(dirname "$0")/.."
pattern='(^|/)rtap(-capture|-vad|-stt|-egress| up| nats-server)( |$)'
processes=0
case ${1:-} in
  '') ;;
  --processes) processes=1 ;;
  *) echo "emergency shutdown: unknown argument $1; --processes stops processes outside containers too" >&2; exit 2 ;;
esac

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
  pkill -TERM -f "$pattern" || true
  for _ in $(seq 50); do
    pgrep -f "$pattern" >/dev/null || break
    sleep 0.1
  done
  pkill -KILL -f "$pattern" || true
fi

if [ -n "$(ours)" ] || { ((processes)) && pgrep -f "$pattern" >/dev/null; }; then
  echo "emergency shutdown: something still runs: docker ps -a; pgrep -af '$pattern'" >&2
  exit 1
fi
echo "stopped; data is untouched. Start again: docker-compose up -d"
