# shellcheck shell=bash
# The steps of deploy.sh that change the stack. They use its variables compose, project,
# monitoring, image and previous.
# shellcheck disable=SC2154

image_id() { docker image inspect --format '{{.Id}}' "$1" 2>/dev/null || true; }

# shown shortens an image's id.
shown() { local id=${1#sha256:}; printf '%s' "${id:0:12}"; }

plan() {
  step "plan (--dry-run: nothing is changed)"
  [ -f .env ] || echo "make the secrets in .env"
  if ((rollback)); then
    echo "exchange rtap:latest ($(shown "$(image_id rtap:latest)")) and rtap:backup ($(shown "$(image_id rtap:backup)"))"
  elif [ -n "$image" ]; then
    echo "pull $image as rtap:latest"
  else
    echo "build rtap:latest, version $(version)"
  fi
  ((rollback)) || [ -z "$(image_id rtap:latest)" ] || echo "keep the image before it, $(shown "$(image_id rtap:latest)"), as rtap:backup"
  echo "check config/ with the image, for $(environment)"
  if running rtap-main; then
    echo "update what has changed, one after the other: nats, rtap-standby, workers, rtap-main"
  else
    echo "start everything ($( ((monitoring)) && echo "with" || echo without) monitoring; sound: $sound)"
  fi
  echo "wait for health, verify, and go back to the previous image if that fails"
}

version() { git describe --tags --always --dirty 2>/dev/null || cat VERSION 2>/dev/null || echo dev; }

# fetch_image makes rtap:latest, and rtap:backup of what was there before.
fetch_image() {
  if [ -n "$image" ]; then
    # One that was loaded from a file, or built here under another name, is in no registry.
    { docker pull "$image" || docker image inspect "$image" >/dev/null; } && docker tag "$image" rtap:latest
  else
    RTAP_VERSION=$(version) RTAP_REVISION=$(git rev-parse HEAD 2>/dev/null || echo unknown) "${compose[@]}" build
  fi
  local now
  now=$(image_id rtap:latest)
  if [ -z "$previous" ]; then
    echo "rtap:latest is $(shown "$now"), the first one here"
  elif [ "$previous" = "$now" ]; then
    echo "rtap:latest is $(shown "$now") as before"
  else
    [ -z "$(image_id rtap:backup)" ] || docker tag rtap:backup rtap:backup-before
    docker tag "$previous" rtap:backup
    echo "rtap:latest is $(shown "$now"), rtap:backup $(shown "$previous")"
  fi
}

# fetch_others brings the images that are not built here, where they are missing. They are
# named, since Compose would look for our own, whose tag is latest, in a registry.
fetch_others() {
  if ! "${compose[@]}" pull --quiet --policy missing nats; then
    echo "deploy: the image of NATS cannot be had, see above: let this host reach its registry, or load it (docker load)" >&2
    return 1
  fi
  if ((monitoring)) && ! "${compose[@]}" pull --quiet --policy missing rtap-monitoring grafana loki alloy; then
    echo "deploy: not all images of monitoring can be had, see above: ./deploy.sh --no-monitoring does without" >&2
    return 1
  fi
}

# undo_image puts the names back as they were before this deployment.
undo_image() {
  local now
  now=$(image_id rtap:latest)
  if [ -z "$previous" ] || [ "$now" = "$previous" ]; then return; fi
  docker tag "$now" rtap:failed
  docker tag "$previous" rtap:latest
  if [ -n "$(image_id rtap:backup-before)" ]; then
    docker tag rtap:backup-before rtap:backup
  fi
  echo "rtap:latest is $(shown "$previous") again; the other one is rtap:failed"
}

swap_images() {
  if [ -z "$(image_id rtap:backup)" ]; then
    echo "deploy: there is no rtap:backup: nothing to go back to" >&2
    exit 2
  fi
  docker tag rtap:backup rtap:rollback
  docker tag rtap:latest rtap:backup
  docker tag rtap:rollback rtap:latest
  docker rmi rtap:rollback >/dev/null
  echo "rtap:latest is $(shown "$(image_id rtap:latest)"), rtap:backup $(shown "$(image_id rtap:backup)")"
}

# accepts FOLDER says whether rtap:latest takes the configuration there. The container is asked
# for its exit code afterwards: `docker run --rm` of Podman answers 0 for one that was quick.
accepts() {
  local id code
  id=$(docker create -e "RTAP_ENVIRONMENT=$(environment)" -v "$PWD/$1:/app/config:ro" rtap:latest rtap config validate) || return 1
  docker start --attach "$id" || true
  code=$(docker wait "$id")
  docker rm "$id" >/dev/null
  [ "$code" = 0 ]
}

# validate_config asks the image, before anything is started. An older image (back) may not
# know keys that were added since: then a configuration that was deployed earlier is used.
validate_config() {
  local earlier
  if accepts config; then
    forget RTAP_CONFIG_DIR
    return
  fi
  for earlier in .deploy/config .deploy/config-before; do
    if [ "${1:-}" = back ] && [ -d "$earlier" ] && accepts "$earlier"; then
      echo "this image does not take config/, but what was deployed earlier: using $earlier"
      keep RTAP_CONFIG_DIR "./$earlier"
      return
    fi
  done
  echo "deploy: the configuration is not valid, see above; nothing was started" >&2
  return 1
}

running() { [ "$(docker inspect --format '{{.State.Running}}' "$1" 2>/dev/null)" = true ]; }

# start brings up what is not as it should be. Of a running stack one part after another is
# updated, so that one gateway always serves; frames wait in NATS meanwhile.
start() {
  local copies
  copies=$(docker ps -q --filter "label=com.docker.compose.project=$project" --filter label=com.docker.compose.service=stt | wc -l)
  if ((copies <= $(setting RTAP_STT 1))); then copies=$(setting RTAP_STT 1); fi
  if running rtap-main && running rtap-standby; then
    # A process that ends again and again is waited for without end but for the timeout.
    local update=("${compose[@]}" up -d --no-deps --wait --wait-timeout 150)
    "${update[@]}" nats \
      && "${update[@]}" rtap-standby \
      && "${update[@]}" --scale "stt=$copies" vad stt \
      && "${update[@]}" capture \
      && "${update[@]}" rtap-main || return 1
    if ((monitoring)); then
      "${compose[@]}" up -d --no-deps rtap-monitoring grafana loki alloy || return 1
    fi
    "${compose[@]}" up -d --no-recreate --remove-orphans --scale "stt=$copies" || return 1
  else
    timeout 300 "${compose[@]}" up -d --remove-orphans --scale "stt=$copies" || return 1
  fi
  if ((!monitoring)) && running rtap-monitoring; then
    "${compose[@]}" --profile monitoring rm --stop --force rtap-monitoring grafana loki alloy
  fi
}

# unhealthy lists the containers that are not healthy.
unhealthy() {
  docker ps -aq --filter "label=com.docker.compose.project=$project" --filter label=com.docker.compose.oneoff=False \
    | xargs -r docker inspect --format '{{.Name}}: {{.State.Status}}, {{if .State.Health}}{{.State.Health.Status}}{{else}}no health check{{end}}' \
    | grep -v ': running, healthy$' || true
}

# wait_healthy waits until every container of the stack is healthy, three minutes at most.
wait_healthy() {
  local deadline=$((SECONDS + 180)) bad
  while :; do
    bad=$(unhealthy)
    if [ -z "$bad" ] && answers main RTAP_MAIN_HTTP_PORT 8080 && answers standby RTAP_STANDBY_HTTP_PORT 8081; then
      echo "every container is healthy, both gateways answer /health with 200"
      return 0
    fi
    if ((SECONDS > deadline)); then
      echo "deploy: not healthy after three minutes:" >&2
      [ -z "$bad" ] || printf '%s\n' "$bad" >&2
      curl -sS --max-time 5 "http://127.0.0.1:$(setting RTAP_MAIN_HTTP_PORT 8080)/health" 2>&1 | sed -n '/"reasons"/,/\]/p' >&2 || true
      return 1
    fi
    sleep 1
  done
}

answers() { curl -fsS -o /dev/null --max-time 3 "http://127.0.0.1:$(setting "$2" "$3")/health" 2>/dev/null; }

# verify is the final check, from the outside and from within.
verify() {
  local port
  for port in "$(setting RTAP_MAIN_WS_PORT 5802)" "$(setting RTAP_STANDBY_WS_PORT 5812)"; do
    websocket "$port" || { echo "deploy: no WebSocket on port $port" >&2; return 1; }
  done
  for port in "$(setting RTAP_MAIN_ZMQ_PORT 6553)" "$(setting RTAP_STANDBY_ZMQ_PORT 6563)"; do
    zmq "$port" || { echo "deploy: no ZeroMQ on port $port" >&2; return 1; }
  done
  echo "WebSocket and ZeroMQ answer on both gateways"
  # Not grep -q: the command would be told of the closed pipe, and the check left out.
  if docker exec rtap-main rtap help | grep '^ *verify ' >/dev/null; then
    docker exec rtap-main rtap verify || { echo "deploy: rtap verify failed" >&2; return 1; }
  fi
}

# websocket PORT says whether an upgrade is answered; the connection then stays open.
websocket() {
  local token answer
  token=$(setting RTAP_AUTH_TOKEN '')
  answer=$(curl -sS --max-time 2 --include --no-buffer ${token:+-H "Authorization: Bearer $token"} \
    -H 'Connection: Upgrade' -H 'Upgrade: websocket' -H 'Sec-WebSocket-Version: 13' \
    -H 'Sec-WebSocket-Key: SGVsbG8sIHdvcmxkIQ==' "http://127.0.0.1:$1/stream" 2>/dev/null | tr -d '\0' || true)
  [[ ${answer%%$'\n'*} == *' 101 '* ]]
}

# zmq PORT says whether the greeting of ZMTP 3 comes: it begins with FF.
zmq() { [ "$(timeout 3 bash -c "exec 3<>/dev/tcp/127.0.0.1/$1 && head -c 1 <&3" 2>/dev/null | od -An -tx1 | tr -d ' ')" = ff ]; }

# remember keeps the configuration of this deployment for a rollback of the next.
remember() {
  if [ -d .deploy/config ] && ! diff -rq config .deploy/config >/dev/null; then
    rm -rf .deploy/config-before
    mv .deploy/config .deploy/config-before
  fi
  rm -rf .deploy/config
  cp -a config .deploy/config
  docker rmi rtap:backup-before >/dev/null 2>&1 || true
}

# give_back goes back to the image before, after a start that failed.
give_back() {
  step "rollback"
  "${compose[@]}" logs --no-color --tail 5 2>&1 | tail -n 40 >&2 || true
  if [ -z "$previous" ] || [ "$previous" = "$(image_id rtap:latest)" ]; then
    echo "deploy: failed, and there is no earlier image to go back to; look at: ${compose[*]} logs" >&2
    return
  fi
  if ((rollback)); then
    swap_images
  else
    undo_image
  fi
  if validate_config back && start && wait_healthy; then
    echo "deploy: failed; the previous version $(shown "$previous") runs again" >&2
  else
    echo "deploy: failed, and the previous version does not come up either; look at: ${compose[*]} logs" >&2
  fi
}

summary() {
  local host
  host=$(setting RTAP_BIND 127.0.0.1)
  if [ "$host" = 0.0.0.0 ]; then host=$(hostname); else host=localhost; fi
  step "RTAP $(docker image inspect --format '{{index .Config.Labels "org.opencontainers.image.version"}}' rtap:latest) runs"
  echo "health       http://$host:$(setting RTAP_MAIN_HTTP_PORT 8080)/health, standby http://$host:$(setting RTAP_STANDBY_HTTP_PORT 8081)/health"
  echo "transcripts  ws://$host:$(setting RTAP_MAIN_WS_PORT 5802)/stream, tcp://$host:$(setting RTAP_MAIN_ZMQ_PORT 6553); standby $(setting RTAP_STANDBY_WS_PORT 5812), $(setting RTAP_STANDBY_ZMQ_PORT 6563)"
  if ((monitoring)); then
    echo "monitoring   http://$host:$(setting GRAFANA_PORT 3000) (admin; GRAFANA_ADMIN_PASSWORD, at first rtap-admin), Prometheus http://$host:$(setting PROMETHEUS_PORT 9090), Loki http://$host:$(setting LOKI_PORT 3100)"
  fi
  if [ "$host" = localhost ]; then echo "Only this host is served. For others: RTAP_BIND=0.0.0.0 RTAP_AUTH_TOKEN=… ./deploy.sh"; fi
  echo "next         docker-compose ps; docker exec rtap-main rtap tail; ./deploy.sh --rollback"
}
