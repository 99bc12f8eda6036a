#!/usr/bin/env bash
# The directions of the code: who may import whom, and what the repository may hold.
set -euo pipefail
cd "$(dirname "$0")/.."
fail=0
report() { echo "rule broken: $*" >&2; fail=1; }

imports() { grep -rnE "^\s*(import )?([a-zA-Z0-9_.]+ )?\"$1" --include='*.go' "${@:2}" 2>/dev/null || true; }

for s in capture vad stt egress; do
  hits=$(imports 'github.com/rtap/rtap/(services|cmd|test)/' services/$s | grep -v "\"github.com/rtap/rtap/services/$s/" || true)
  [ -z "$hits" ] || report "a service imports another: $hits"
done
hits=$(imports 'github.com/rtap/rtap/(services|cmd|test)' pkg proto cmd); hits=$(grep -v '"github.com/rtap/rtap/cmd/rtap/' <<<"$hits" || true)
[ -z "$hits" ] || report "pkg, proto or cmd imports a service: $hits"

hits=$(imports 'github.com/rtap/rtap/services/[a-z]*/sim"' services cmd pkg test | grep -v '^test/simulation/' || true)
[ -z "$hits" ] || report "only the simulation comes in through a service's sim: $hits"

leaf() { # only these folders may import the library
  hits=$(imports "$1" services cmd pkg test | grep -vE "^($2)/" || true)
  [ -z "$hits" ] || report "$1 outside its leaf: $hits"
}
leaf github.com/gen2brain/malgo 'services/capture/internal/device'
leaf github.com/pebbe/zmq4 'services/egress/internal/zmq|test'
leaf github.com/yalue/onnxruntime_go 'pkg/onnx|services/vad/internal/silero|services/stt/internal/moonshine'
leaf github.com/gorilla/websocket 'services/egress/internal/websocket|services/egress/internal/listen|cmd/rtap/internal/bench/rig|cmd/rtap/internal/verify|test'

while read -r dir; do
  ls "$dir"/*.go | grep -qv _test.go || continue
  grep -qE '^// (Package|Command) ' $(ls "$dir"/*.go | grep -v _test.go) || report "$dir has no package comment"
done < <(git ls-files '*.go' | grep -v '\.pb\.go$' | xargs -n1 dirname | sort -u)

while read -r f; do
  if [ -f "$f" ] && [ "$(stat -c %s "$f")" -gt 400000 ]; then report "$f is large; downloads stay out of the repository"; fi
done < <(git ls-files)
binary=$(git ls-files --eol | awk '$1 == "i/-text"')
[ -z "$binary" ] || report "binary files stay out of the repository: $binary"
exit $fail
