#!/usr/bin/env bash
# Builds libwhisper as static archives out of third_party/src/whisper.cpp into
# third_party/lib and third_party/include. A second run with the same source, settings and
# compiler does nothing.
#
#   WHISPER_BACKEND=cpu      the default; a GPU backend of ggml is passed through to CMake
#                   cuda     needs the CUDA toolkit; not proven without such a GPU
#                   vulkan   needs the Vulkan SDK and glslc; not proven without such a GPU
#   WHISPER_NATIVE=1         use every instruction of this CPU; the result runs on such CPUs only
set -euo pipefail
cd "$(dirname "$0")/.."
src=third_party/src/whisper.cpp
out=third_party
backend=${WHISPER_BACKEND:-cpu}

flags=(-DCMAKE_BUILD_TYPE=Release -DBUILD_SHARED_LIBS=OFF
  -DWHISPER_BUILD_TESTS=OFF -DWHISPER_BUILD_EXAMPLES=OFF -DWHISPER_BUILD_SERVER=OFF
  -DGGML_OPENMP=ON -DGGML_CCACHE=OFF)
if [ "${WHISPER_NATIVE:-0}" = 1 ]; then
  flags+=(-DGGML_NATIVE=ON)
else
  # x86-64-v3 with F16C: every x86 server and desktop since 2013. ARM ignores these.
  flags+=(-DGGML_NATIVE=OFF -DGGML_SSE42=ON -DGGML_AVX=ON -DGGML_AVX2=ON -DGGML_FMA=ON -DGGML_F16C=ON -DGGML_BMI2=ON)
fi
libs=(libwhisper.a libggml.a libggml-base.a libggml-cpu.a)
case $backend in
  cpu) ;;
  cuda) flags+=(-DGGML_CUDA=ON); libs+=(libggml-cuda.a) ;;
  vulkan) flags+=(-DGGML_VULKAN=ON); libs+=(libggml-vulkan.a) ;;
  *) echo "whisper: WHISPER_BACKEND=$backend: want cpu, cuda or vulkan" >&2; exit 2 ;;
esac

want=$({ cat "$src/.archive" scripts/whisper.sh; echo "${flags[@]}"; c++ --version; } | sha256sum)
stamp=$out/lib/.whisper
whole() { local l; for l in "${libs[@]}"; do [ -s "$out/lib/$l" ] || return 1; done; [ -s "$out/include/whisper.h" ]; }
if whole && [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$want" ]; then exit 0; fi

echo "whisper: building libwhisper ($backend), about two minutes on two cores"
[ "$backend" = cpu ] || echo "whisper: the $backend backend is passed through; it has not been proven on such a GPU"
build=$out/build/whisper-$backend
rm -rf "$build" "$stamp"
mkdir -p "$build"
log=$build/log
if ! cmake -S "$src" -B "$build" -G Ninja "${flags[@]}" >"$log" 2>&1; then
  tail -n 30 "$log" >&2
  echo "whisper: configuring failed; the whole log is in $log" >&2
  exit 1
fi
# Ninja's [done/total] goes to the terminal in place, elsewhere one line in twenty.
show() {
  local line n=0
  while IFS= read -r line; do
    printf '%s\n' "$line" >>"$log"
    case $line in
      \[*/*\]*) if [ -t 1 ]; then printf '\r  %-70.70s' "$line"; elif ((n++ % 20 == 0)); then printf '  %.70s\n' "$line"; fi ;;
    esac
  done
  if [ -t 1 ]; then printf '\r%-72s\r' ''; fi
}
if ! ninja -C "$build" whisper 2>&1 | show; then
  tail -n 30 "$log" >&2
  echo "whisper: building failed; the whole log is in $log" >&2
  exit 1
fi
mkdir -p "$out/lib" "$out/include"
for l in "${libs[@]}"; do cp "$(find "$build" -name "$l" -print -quit)" "$out/lib/"; done
cp "$src"/include/whisper.h "$src"/ggml/include/*.h "$out/include/"
echo "$want" >"$stamp"
rm -rf "$build"
echo "whisper: built ($(du -ch "${libs[@]/#/$out/lib/}" | tail -1 | cut -f1))"
