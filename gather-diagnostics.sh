#!/usr/bin/env bash
# Gathers what a report of a fault should hold, from this host, its containers or units, and
# the pipeline itself (rtap diagnostics). What cannot be had says why.
#
#   ./gather-diagnostics.sh > rtap-diagnostics.txt
#   ./gather-diagnostics.sh -o rtap-diagnostics.tar.gz    the same as an archive, in files
#   --since 2h                                            how far back logs go (default 1h)
#
# Exit codes: 0 gathered, as much as could be had; 1 the archive cannot be written; 2 wrong arguments.
set -uo pipefail
cd "$(dirname "$0")" || exit 1

out="" since=1h
while [ $# -gt 0 ]; do
  case $1 in
    -o) out=${2:?-o wants a file} && shift 2 ;;
    --since) since=${2:?--since wants a time such as 1h} && shift 2 ;;
    -h | --help) sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p}' "$0" && exit 0 ;;
    *) echo "gather-diagnostics: unknown argument $1 (-h explains)" >&2 && exit 2 ;;
  esac
done
case $out in
  "" | *.tar.gz) ;;
  *) echo "gather-diagnostics: -o $out: want a name that ends in .tar.gz" >&2 && exit 2 ;;
esac

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
number=0

# The values of secrets in .env, which must not be in the report, as a program for sed.
hide=$dir/.hide
printf '%s\n' 's|(://)[^/@[:space:]]*@|\1(hidden)@|g' >"$hide"
if [ -r .env ]; then
  sed -nE 's/^[A-Za-z_]*(PASSWORD|TOKEN|SECRET|KEY)[A-Za-z_]*=["'\'']?([^"'\'']{4,}).*$/\2/p' .env |
    sed -e 's/[][\\.*^$|(){}?+]/\\&/g' -e 's/.*/s|&|(hidden)|g/' >>"$hide"
fi

# section NAME TITLE COMMAND… puts what the command says into a file of its own.
limit=60 # seconds for each
section() {
  local name=$1 title=$2 file code
  shift 2
  number=$((number + 1))
  file=$dir/$(printf '%02d' "$number")-$name.txt
  timeout "$limit" "$@" >"$file.raw" 2>&1
  code=$?
  sed -E -f "$hide" "$file.raw" >"$file"
  rm -f "$file.raw"
  case $code in
    0) ;;
    124) echo "not available: no end within $limit s" >>"$file" ;;
    127) echo "not available: $1 is not installed" >>"$file" ;;
    *) echo "not available, or in part: $1 ended with exit code $code" >>"$file" ;;
  esac
  if [ -z "$out" ]; then
    printf '===== %s =====\n' "$title"
    cat "$file"
    echo
  else
    printf '%-14s %s\n' "$name" "$title: $(wc -l <"$file") lines$([ "$code" = 0 ] || echo ', in part')"
  fi
}

have() { command -v "$1" >/dev/null; }
export -f have
running() { [ "$(docker inspect --format '{{.State.Running}}' "$1" 2>/dev/null)" = true ]; }

host() {
  date -u '+%Y-%m-%dT%H:%M:%SZ'
  uname -a
  [ -r /etc/os-release ] && grep PRETTY_NAME /etc/os-release
  git log -1 --format='source %H %cd' 2>/dev/null
  uptime
  free -m
  df -h . /tmp 2>/dev/null
  have ss && ss -tln
  return 0
}
export -f host

if have docker-compose; then
  compose=(docker-compose)
else
  compose=(docker compose)
fi

section host "This host" bash -c host
if have docker; then
  section docker "Container engine" docker version
  section containers "Containers" "${compose[@]}" ps -a
  section images "Images" docker images --filter reference='rtap*'
  section usage "Resources of the containers" docker stats --no-stream
  # Environments hold secrets, so only the state is asked for.
  # shellcheck disable=SC2016 # $ is the template's
  section health "Health checks of the containers" bash -c '
    for c in $(docker ps -aq --filter label=com.docker.compose.project=rtap); do
      docker inspect --format "{{.Name}} {{.Image}} restarts {{.RestartCount}} started {{.State.StartedAt}} oom {{.State.OOMKilled}}
{{if .State.Health}}{{range .State.Health.Log}}  {{.End}} exit {{.ExitCode}} {{.Output}}
{{end}}{{end}}" "$c"
    done'
  section compose-logs "Logs of the containers" "${compose[@]}" logs --no-color --timestamps --since "$since" --tail 5000
fi
if have systemctl && systemctl list-units --no-legend 'rtap*' 2>/dev/null | grep -q .; then
  section units "Units" systemctl --no-pager --full status 'rtap*'
  section journal "Journal of the units" journalctl --no-pager -u 'rtap*' --since "-$since"
fi

# The pipeline, asked by the first rtap that there is.
rtap=()
for c in rtap-main rtap-standby; do
  if have docker && running "$c"; then
    rtap=(docker exec "$c" rtap)
    break
  fi
done
if [ ${#rtap[@]} = 0 ] && [ -r /etc/rtap/operator.env ] && [ -x deploy/operator.sh ]; then
  rtap=(deploy/operator.sh) # units: what the bus knows is for the operator alone
elif [ ${#rtap[@]} = 0 ]; then
  [ ! -d /etc/rtap ] || echo "gather-diagnostics: /etc/rtap/operator.env is not there, or not yours to read: with sudo the bus answers, too" >&2
  for path in bin/rtap "$(command -v rtap)"; do
    if [ -x "$path" ]; then
      rtap=("$path")
      break
    fi
  done
fi
if [ ${#rtap[@]} = 0 ]; then
  rtap=(sh -c 'echo "neither a gateway container nor the program rtap is here"; exit 1')
fi
# Its own parts have limits of their own, so that one that hangs does not cost the others.
limit=300 section pipeline "The pipeline (rtap diagnostics)" "${rtap[@]}" diagnostics --since "$since"

if [ -n "$out" ]; then
  rm -f "$hide"
  name=$(basename "$out" .tar.gz)
  mkdir "$dir/$name" && mv "$dir"/*.txt "$dir/$name/"
  tar -C "$dir" -czf "$out" "$name" || exit 1
  echo
  echo "$out: look through it before you send it on"
fi
