#!/bin/bash
# Puts links to the image's own models into the models folder, which may be a volume that an
# older image filled, or an empty folder of the host, and becomes the command.
set -euo pipefail
models=${RTAP_MODELS_DIR:-/app/models}
if [ -w "$models" ]; then
  for own in /app/third_party/models/*; do
    [ -e "$models/${own##*/}" ] || ln -sfn "$own" "$models/${own##*/}"
  done
fi
exec "$@"
