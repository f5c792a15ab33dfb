# shellcheck shell=bash
#
# docker.sh - mongod in a container, as a replica set of one member; MIG_MONGO_IMAGE names another image
#
#     docker_install
#     docker_start DIR AUTH     AUTH: "auth" or empty
#     docker_alive DIR / docker_stop DIR / docker_purge DIR
#
# The port is the same inside and outside: the member's own name for itself must hold for clients as well.
# Data is in a volume that the engine keeps, named in DIR/volume; the container is in DIR/pid's place.

DOCKER_IMAGE=${MIG_MONGO_IMAGE:-mongo:7}

docker_install() {
  docker image inspect "$DOCKER_IMAGE" >/dev/null 2>&1 || docker pull --quiet "$DOCKER_IMAGE" >&2
}

docker_start() {
  local dir=$1 auth=$2 name
  name=$(docker_name "$dir")
  mkdir -p "$dir/data"
  echo "$name" >"$dir/data/volume"
  # Users can be made without a password only where no password is asked for.
  if [[ -n $auth && ! -e $dir/data/users ]]; then
    docker_serve "$dir" "$name"
    replset_users "$dir" "$(<"$dir/port")"
    : >"$dir/data/users"
    docker_stop "$dir"
  fi
  if [[ -n $auth ]]; then
    secret_file "$dir/keyfile"
    docker_serve "$dir" "$name" --auth --keyFile /tmp/keyfile
  else
    docker_serve "$dir" "$name"
  fi
  mongod_uris "$dir" "$auth" mig ''
  echo "$(docker exec "$name" mongod --version | sed -n 's/^db version v/mongod /p') in $DOCKER_IMAGE" >"$dir/version"
}

# One name for each state folder: several may be in use at once.
docker_name() { printf 'mig-%s-%s' "$(basename "$1")" "$(readlink -f "$1" | sha256sum | cut -c 1-12)"; }

docker_serve() {
  local dir=$1 name=$2 try port
  shift 2
  port=$(free_port "$(cat "$dir/port" 2>/dev/null || true)")
  for try in 1 2 3; do
    docker_stop "$dir"
    echo "$name" >"$dir/container"
    if docker_run "$dir" "$name" "$port" "$@" && docker_answers_on "$name" "$port"; then
      echo "$port" >"$dir/port"
      replset_ready "$dir" mig "$port"
      return
    fi
    say "the container ended at once (try $try of 3)"
    port=$(free_port)
  done
  docker logs --tail 20 "$name" >&2
  die "cannot start a container of $DOCKER_IMAGE"
}

# mongod wants its key file to be its own; the one that is mounted has the owner it has outside.
docker_run() {
  local dir=$1 name=$2 port=$3 mount=()
  shift 3
  if [[ -e $dir/keyfile ]]; then mount=(--volume "$dir/keyfile:/keyfile:ro"); fi
  # shellcheck disable=SC2016  # expands in the container
  docker run --detach --name "$name" --volume "$name:/data/db" "${mount[@]}" --publish "127.0.0.1:$port:$port" \
    "$DOCKER_IMAGE" bash -c '
      if [ -e /keyfile ]; then install -m 0400 -o mongodb /keyfile /tmp/keyfile; fi
      exec docker-entrypoint.sh mongod "$@"' bash \
    --bind_ip_all --port "$port" --replSet mig --oplogSize 256 --wiredTigerCacheSizeGB 1 \
    --setParameter shutdownTimeoutMillisForSignaledShutdown=100 "$@" >>"$dir/log" 2>&1
}

docker_answers_on() {
  local deadline=$((SECONDS + 120))
  while ((SECONDS < deadline)) && docker_runs "$1"; do
    hello_answers "$2" && return
    sleep 0.3
  done
  return 1
}

docker_runs() { [[ $(docker inspect --format '{{.State.Running}}' "$1" 2>/dev/null) == true ]]; }

docker_alive() { [[ -s $1/container ]] && docker_runs "$(<"$1/container")"; }

docker_stop() {
  [[ -s $1/container ]] || return 0
  docker stop --time 60 "$(<"$1/container")" >/dev/null 2>&1 || true
  docker rm --force --volumes "$(<"$1/container")" >/dev/null 2>&1 || true
  rm -f "$1/container"
}

docker_purge() {
  if [[ -s $1/data/volume ]]; then docker volume rm --force "$(<"$1/data/volume")" >/dev/null; fi
}
