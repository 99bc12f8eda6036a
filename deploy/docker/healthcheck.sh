#!/bin/bash
# Says whether this container's process is ready: exit 0, or 1 with the reasons. Which
# process that is is read from process 1; a gateway adds what it knows of the whole pipeline.
set -uo pipefail
case $(tr '\0' ' ' </proc/1/cmdline) in
  *rtap-capture*) port=9101 ;;
  *rtap-vad*) port=9102 ;;
  *rtap-stt*) port=9103 ;;
  *) port=8080 ;;
esac
port=${RTAP_HEALTH_PORT:-$port}
if ! answer=$(curl -sS --max-time 3 "http://127.0.0.1:$port/readyz" 2>&1); then
  echo "not ready: nothing answers on port $port: $answer"
  exit 1
fi
echo "$answer"
if [ "$port" = 8080 ] && [ -t 1 ]; then curl -sS --max-time 3 "http://127.0.0.1:$port/health" || true; fi
grep -q '"ready": true' <<<"$answer"
