#!/usr/bin/env bash
# Everything that must hold before a change lands. Arguments: the modules.
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD
say() { printf '== %s\n' "$*"; }

say format
bad=$(gofmt -l "$@" | grep -v '\.pb\.go$' || true)
[ -z "$bad" ] || { echo "not formatted (run make fmt): $bad" >&2; exit 1; }

say "proto: lint, drift, breaking changes"
(cd tools/buf && GOWORK=off go build -o "$root/bin/tools/" github.com/bufbuild/buf/cmd/buf google.golang.org/protobuf/cmd/protoc-gen-go)
export PATH="$root/bin/tools:$PATH"
(
  cd proto
  buf lint
  tmp=$(mktemp -d); trap 'rm -rf "$tmp"' EXIT
  buf generate --template '{"version":"v2","plugins":[{"local":"protoc-gen-go","out":"'"$tmp"'","opt":"paths=source_relative"}]}'
  diff -r "$tmp" gen || { echo "proto/gen differs from proto/ (run make generate)" >&2; exit 1; }
)
# Against what has landed; in a fresh clone, where that is this commit, against earlier history.
base=$(git rev-parse -q --verify origin/main || true)
if [ -z "$base" ] || [ "$base" = "$(git rev-parse HEAD)" ]; then
  base=$(git rev-list --first-parent -n 20 HEAD | tail -n 1)
fi
if [ -n "$base" ] && git cat-file -e "$base:proto/buf.yaml" 2>/dev/null; then
  buf breaking proto --against ".git#ref=$base,subdir=proto"
fi

say "imports, package docs, tracked files"
scripts/rules.sh

say "monitoring: configuration, rules, every alert"
scripts/monitoring.sh

say "each module: tidy, builds alone, vet"
for m in "$@"; do
  (cd "$m" && GOWORK=off go mod tidy -diff && GOWORK=off go build ./... && GOWORK=off go vet ./...)
done

say lint
scripts/lint.sh "$@"

say "tests, with the race detector"
packages=(); for m in "$@"; do packages+=("./$m/..."); done
# What plays recordings through whole pipelines has the machine to itself, one package at a
# time: beside another one, words come late and commands give up.
mapfile -t packages < <(go list "${packages[@]}")
mapfile -t heavy < <(printf '%s\n' "${packages[@]}" | grep '/rtap/test\(/\|$\)')
mapfile -t light < <(printf '%s\n' "${packages[@]}" | grep -v '/rtap/test\(/\|$\)')
export RTAP_REQUIRE_NATIVE=${RTAP_REQUIRE_NATIVE:-0}
go test -race -shuffle=on -p 2 -timeout 30m "${light[@]}" || failed=1
if [ ${#heavy[@]} -gt 0 ]; then go test -race -shuffle=on -p 1 -timeout 40m "${heavy[@]}" || failed=1; fi
[ -z "${failed:-}" ]

say "chaos: a short selection of faults against the real pipeline"
if [ -d third_party/models/moonshine-tiny-en ] || [ "${RTAP_REQUIRE_NATIVE:-0}" = 1 ]; then
  go test -tags failpoint ./pkg/failpoint
  make -s chaos-programs
  bin/chaos/chaos -short
fi
