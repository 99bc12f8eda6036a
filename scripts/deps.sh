#!/usr/bin/env bash
# Brings what RTAP builds and runs with: system packages by apt, native parts and models
# by npm, and libwhisper built from its source. Safe to repeat; a second run only checks.
#
#   scripts/deps.sh packages   only the system packages
#   RTAP_DEPS=build            without what only the tests need
set -euo pipefail
cd "$(dirname "$0")/.."

stamp=third_party/.checked
state() { # what a quick check compares: the manifest, and size and time of every part
  sha256sum third_party/manifest.json scripts/deps.sh scripts/whisper.sh
  echo "whisper ${WHISPER_BACKEND:-cpu} ${WHISPER_NATIVE:-0} $(c++ -dumpfullversion 2>/dev/null)"
  find third_party/lib third_party/models third_party/audio third_party/include third_party/web services/egress/internal/web/fetched third_party/src/whisper.cpp/.archive -type f -printf '%p %s %T@\n' 2>/dev/null | sort
}

packages=(g++ gcc libc6-dev pkg-config ca-certificates git cmake ninja-build libgomp1 libzmq3-dev libsoxr-dev)
[ "${RTAP_DEPS:-}" = build ] || packages+=(pulseaudio pulseaudio-utils) # the tests' microphone
# Debian 13 renamed the ALSA library.
if [ "$(. /etc/os-release 2>/dev/null && echo "${VERSION_ID%%.*}")" -ge 13 ] 2>/dev/null; then
  packages+=(libasound2t64)
else
  packages+=(libasound2)
fi
command -v npm >/dev/null || packages+=(npm)

missing=()
if command -v dpkg-query >/dev/null; then
  installed=$(dpkg-query -W -f '${db:Status-Abbrev}${Package}\n' "${packages[@]}" 2>/dev/null | sed -n 's/^ii *//p' || true)
  for p in "${packages[@]}"; do grep -qx "$p" <<<"$installed" || missing+=("$p"); done
fi
if ((${#missing[@]})); then
  sudo=()
  if [ "$(id -u)" != 0 ]; then
    if ! command -v sudo >/dev/null; then
      echo "deps: these packages are missing: ${missing[*]}" >&2
      echo "deps: install them as root: apt-get install ${missing[*]}" >&2
      exit 1
    fi
    sudo=(sudo)
  fi
  echo "deps: installing ${missing[*]}"
  "${sudo[@]}" apt-get update -q
  DEBIAN_FRONTEND=noninteractive "${sudo[@]}" apt-get -o DPkg::Lock::Timeout=600 install -y -q --no-install-recommends "${missing[@]}"
fi
if [ "${1:-}" = packages ]; then exit 0; fi

if [ -z "${RTAP_MODELS_DIR:-}" ] && [ -f "$stamp" ] && [ "$(state)" = "$(cat "$stamp")" ]; then
  exit 0
fi
GOWORK=off go -C pkg run ./native/cmd/fetch
install -m 644 third_party/web/redoc.standalone.js services/egress/internal/web/fetched/ # built into rtap-egress
scripts/whisper.sh
state >"$stamp"
