#!/usr/bin/env bash
# Real clients of other makers against the real processes: Deepgram's Python and JavaScript
# SDKs, websockets and pyzmq. They are installed into .installed, at versions that are pinned.
set -euo pipefail
cd "$(dirname "$0")"
root=$(cd ../.. && pwd)
for tool in python3 npm node curl; do
  command -v $tool >/dev/null || { echo "$tool is needed" >&2; exit 2; }
done
mkdir -p .installed
if ! cmp -s requirements.txt .installed/requirements.txt; then
  python3 -m venv .installed/python
  .installed/python/bin/pip install -q -r requirements.txt
  cp requirements.txt .installed/
fi
if ! cmp -s package.json .installed/package.json; then
  cp package.json .installed/
  (cd .installed && npm install --silent --no-package-lock --no-audit --no-fund) || { rm .installed/package.json; exit 1; }
fi
cp deepgram_node.mjs .installed/ # modules are looked for beside it

read -r http ws feed events nats < <(.installed/python/bin/python - <<'P'
import socket
held = [socket.socket() for _ in range(5)]
for s in held: s.bind(("127.0.0.1", 0))
print(*(s.getsockname()[1] for s in held))
P
)
dir=$(mktemp -d)
export RTAP_TOKEN=a-token-for-tests
RTAP_EGRESS__AUTH_TOKEN=$RTAP_TOKEN "$root/bin/rtap" up --source listen --data-dir "$dir/data" --set egress.http_port="$http" \
  --set egress.websocket.port="$ws" --set egress.zmq.transcript_port="$feed" --set egress.zmq.event_port="$events" \
  --set nats.embedded.port="$nats" >"$dir/out" 2>"$dir/log" &
pid=$!
trap 'kill $pid 2>/dev/null; wait $pid 2>/dev/null || true; rm -rf "$dir"' EXIT
for _ in $(seq 300); do
  curl -sf "http://127.0.0.1:$http/health" >/dev/null && break
  kill -0 $pid 2>/dev/null || { cat "$dir/log" >&2; exit 1; }
  sleep 0.2
done
export RTAP_WS_PORT=$ws RTAP_ZMQ_PORT=$feed RTAP_CLIP=$root/third_party/audio/jfk.wav
failed=0
timeout 120 .installed/python/bin/python deepgram_python.py || failed=1
timeout 150 node .installed/deepgram_node.mjs || failed=1
timeout 120 .installed/python/bin/python plain_python.py || failed=1
[ $failed = 0 ] || grep -E '"level":"(WARN|ERROR)"' "$dir/log" >&2 || true
exit $failed
