#!/usr/bin/env bash
# Lints each module named with the pinned linter.
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD
GOWORK=off go build -C tools/lint -o "$root/bin/tools/golangci-lint" github.com/golangci/golangci-lint/v2/cmd/golangci-lint
for m in "$@"; do
  [ "$m" = proto ] && continue # generated
  (cd "$m" && GOWORK=off "$root/bin/tools/golangci-lint" run --config "$root/.golangci.yml" ./...)
done
