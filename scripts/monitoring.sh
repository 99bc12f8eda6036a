#!/usr/bin/env bash
# Checks Prometheus' configuration and rules, and runs the cases of every alert.
# scripts/test-data.sh brings promtool where the machine has none.
set -euo pipefail
cd "$(dirname "$0")/.."
promtool=$(command -v promtool || echo bin/tools/promtool)
[ -x "$promtool" ] || { echo "monitoring: promtool is missing: run scripts/test-data.sh (Debian's package prometheus)" >&2; exit 1; }
out=$("$promtool" check config monitoring/prometheus.yml 2>&1) || { echo "$out" >&2; exit 1; }
out=$("$promtool" test rules monitoring/tests/*.yml 2>&1) || { echo "$out" >&2; exit 1; }
