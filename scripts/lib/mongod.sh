# shellcheck shell=bash
#
# mongod.sh - runs the mongod on PATH, as a replica set of one member unless a standalone is asked for
#
#     mongod_start DIR AUTH REPLSET     AUTH: "auth" or empty; REPLSET: name of the set, or empty
#     mongod_alive DIR / mongod_stop DIR

mongod_start() {
  local dir=$1 auth=$2 replset=$3 data=$1/data/mongod options=() tls=''
  mkdir -p "$data"
  mongod_options
  serve "$dir/pid" "$dir/log" "$dir/port" mongod_launch
  if [[ -n $replset ]]; then replset_ready "$dir" "$replset" "$(<"$dir/port")"; fi
  if [[ -n $auth ]]; then replset_users "$dir" "$(<"$dir/port")"; fi
  mongod_uris "$dir" "$auth" "$replset" "$tls"
  echo "mongod $(mongod_version)" >"$dir/version"
}

mongod_version() { mongod --version | sed -n 's/^db version v//p'; }

# Built with OpenSSL, and new enough (4.2) to call it TLS.
mongod_has_tls() {
  printf '%s\n' 4.2 "$(mongod_version)" | sort -V -C && mongod --version | grep -qi 'openssl version'
}

# Fills options and tls; uses the variables of mongod_start.
mongod_options() {
  if [[ -n $replset ]]; then options+=(--replSet "$replset" --oplogSize 256); fi
  if [[ -n $auth ]]; then
    secret_file "$dir/keyfile"
    options+=(--auth --keyFile "$dir/keyfile")
    if mongod_has_tls; then
      tls=tls
      tls_certificate "$dir"
      options+=(--tlsMode allowTLS --tlsCertificateKeyFile "$dir/tls.pem" --tlsCAFile "$dir/tls.crt"
        --tlsAllowConnectionsWithoutCertificates)
    fi
  fi
  # From 5.0 on a member that is told to stop first waits 15 s for others to notice.
  if printf '%s\n' 5.0 "$(mongod_version)" | sort -V -C; then
    options+=(--setParameter shutdownTimeoutMillisForSignaledShutdown=100)
  fi
}

mongod_launch() {
  proc_launch "$dir/pid" "$dir/log" mongod --dbpath "$data" --bind_ip 127.0.0.1 --port "$1" \
    --nounixsocket --wiredTigerCacheSizeGB 1 --setParameter diagnosticDataCollectionEnabled=false "${options[@]}"
}

# mongod_uris DIR AUTH REPLSET TLS: of a mongod with its own means or in a container.
mongod_uris() {
  local dir=$1 auth=$2 replset=$3 tls=$4 admin='' query=''
  if [[ -n $replset ]]; then query="?replicaSet=$replset"; fi
  if [[ -n $auth ]]; then
    admin="admin:$(<"$dir/password.admin")@"
    query+="&authSource=admin"
    write_uri "$dir/uri.reader" "mongodb://reader:$(<"$dir/password.reader")@127.0.0.1:$(<"$dir/port")/$query"
  fi
  if [[ -n $tls ]]; then
    write_uri "$dir/uri.tls" "mongodb://${admin}127.0.0.1:$(<"$dir/port")/$query&$(tls_query "$dir")"
  fi
  write_uri "$dir/uri" "mongodb://${admin}127.0.0.1:$(<"$dir/port")/$query"
}

mongod_alive() { proc_alive "$1/pid"; }

mongod_stop() { proc_stop "$1/pid" TERM; }
