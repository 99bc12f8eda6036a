#!/usr/bin/env bash
# Brings RTAP up on this host, or up to date: checks the host, makes the secrets (.env),
# builds the image, keeps the one before as rtap:backup, starts, waits for health, verifies
# the whole, and goes back to the previous image when that fails. Safe to repeat.
#
#   ./deploy.sh                  build and start; a running stack is updated standby first
#   ./deploy.sh --image REF      take this image instead of building one
#   ./deploy.sh --no-monitoring  without Prometheus, Grafana, Loki and Alloy
#   ./deploy.sh --rollback       back to rtap:backup; a second time undoes it; monitoring stays as it is
#   ./deploy.sh --dry-run        check the host and say what would be done
#
# Variables that are kept in .env: RTAP_ENVIRONMENT (for the workers), AUDIO_DEVICE,
# RTAP_AUDIO_MOCK, RTAP_SOURCES, RTAP_STT, RTAP_BIND, RTAP_AUTH_TOKEN, WHISPER_BACKEND,
# GRAFANA_ADMIN_PASSWORD; to take one back delete its line there. Exit codes: 0 done, 1 failed
# (and rolled back), 2 nothing was changed because the host or the arguments are not fit.
set -euo pipefail
cd "$(dirname "$0")"
. deploy/checks.sh
. deploy/env.sh
. deploy/stack.sh

project=rtap
monitoring=1 dry=0 rollback=0 image='' previous='' compose=() sound=none
while (($#)); do
  case $1 in
    --dry-run) dry=1 ;;
    --rollback) rollback=1 ;;
    --no-monitoring) monitoring=0 ;;
    --image)
      image=${2:-}
      [ -n "$image" ] || { echo "deploy: --image wants a reference, such as registry/rtap:1.2" >&2; exit 2; }
      shift
      ;;
    -h | --help) sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p}' "$0"; exit 0 ;;
    *) echo "deploy: unknown argument $1 (./deploy.sh --help)" >&2; exit 2 ;;
  esac
  shift
done

# A rollback brings nothing that was not there.
if ((rollback)) && [[ ",$(setting COMPOSE_PROFILES core,monitoring)," != *,monitoring,* ]]; then monitoring=0; fi

step() { printf '\n== %s\n' "$*"; }

step "host"
check_docker || { echo "deploy: nothing was changed" >&2; exit 2; }
check_ports
check_disk
check_memory
check_audio
check_environment
check_config_readable
if ((failed)); then
  echo "deploy: $failed of the checks failed; nothing was changed" >&2
  exit 2
fi
if ((dry)); then plan; exit 0; fi

mkdir -p .deploy
exec 9>.deploy/lock
flock -n 9 || { echo "deploy: another ./deploy.sh is running here" >&2; exit 2; }
write_env
previous=$(image_id rtap:latest)

if ((rollback)); then
  step "rollback"
  swap_images
else
  step "image"
  fetch_image
fi
if ! fetch_others; then
  undo_image
  exit 2
fi
step "configuration"
if ! validate_config "$( ((rollback)) && echo back)"; then
  undo_image
  exit 2
fi
step "start"
if start && wait_healthy && verify; then
  remember
  summary
  exit 0
fi
give_back
exit 1
