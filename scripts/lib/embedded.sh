# shellcheck shell=bash
#
# embedded.sh - runs the embedded default: PostgreSQL on a private socket, FerretDB in front of it
#
#     embedded_start DIR AUTH     DIR: state folder of the server; AUTH: "auth" or empty
#     embedded_alive DIR
#     embedded_stop DIR           front first, so that it sees no lost connections
#
# PostgreSQL listens on no port: only on a socket in a short-named folder, which admits this user alone.
# FerretDB checks passwords but not roles: all users may write. What a reader may do is therefore enforced
# below it: readers get a second FerretDB, which is itself only a reader to PostgreSQL.

embedded_start() {
  local dir=$1 auth=$2 data=$1/data/embedded socket
  run_as_setup "$dir" "$(embedded_postgres postgres)" "$(embedded_ferretdb)"
  clear_stale "$dir" "$data"
  umask 022
  mkdir -p "$dir/data" "$dir/ferretdb"
  [[ -d $data ]] || cluster_make "$data"
  socket=$(mktemp -d /tmp/mig-pg.XXXXXX)
  echo "$socket" >"$dir/socket"
  cluster_configure "$data" "$socket"
  run_as_owns "$socket" "$data" "$dir/ferretdb"
  proc_launch "$dir/postgres.pid" "$dir/postgres.log" "${RUN_AS[@]}" "$(embedded_postgres postgres)" -D "$data"
  cluster_wait "$dir"
  echo 'CREATE EXTENSION IF NOT EXISTS documentdb CASCADE' | cluster_sql "$dir"
  if [[ -n $auth ]]; then
    embedded_users "$dir"
    tls_certificate "$dir"
    run_as_owns "$dir/tls.key"
  fi

  serve "$dir/pid" "$dir/log" "$dir/port" embedded_front
  if [[ -n $auth ]]; then serve "$dir/reader.pid" "$dir/reader.log" "$dir/reader.port" embedded_reader_front; fi
  embedded_uris "$dir" "$auth"
  embedded_version >"$dir/version"
}

embedded_alive() {
  proc_alive "$1/pid" && proc_alive "$1/postgres.pid" && { [[ ! -e $1/reader.port ]] || proc_alive "$1/reader.pid"; }
}

embedded_stop() {
  proc_stop "$1/reader.pid" TERM
  proc_stop "$1/pid" TERM
  proc_stop "$1/postgres.pid" INT
  clear_stale "$1" "$1/data/embedded"
}

# After a kill -9: the server's children go by themselves, but not at once, and its lock files not at all.
# A process is one of them if it works in the data folder: only PostgreSQL's do.
clear_stale() {
  local dir=$1 data process where
  data=$(readlink -m "$2")
  while read -r process where; do
    if [[ $where == "$data" ]]; then kill -s KILL "${process#/proc/}" 2>/dev/null || true; fi
  done < <(find /proc/[0-9]*/cwd -maxdepth 0 -printf '%h %l\n' 2>/dev/null)
  rm -f "$data/postmaster.pid"
  if [[ -s $dir/socket ]]; then
    where=$(<"$dir/socket")
    [[ $where == /tmp/mig-pg.* ]] && rm -rf "$where"
    rm -f "$dir/socket"
  fi
}

# Made beside its place and renamed: a killed initdb leaves no half cluster. It syncs what it wrote.
cluster_make() {
  local data=$1 log
  rm -rf "$data.new"
  mkdir "$data.new"
  run_as_owns "$data.new"
  log=${data%/data/*}/initdb.log
  "${RUN_AS[@]}" "$(embedded_postgres initdb)" -D "$data.new" -U postgres --auth=reject --encoding=UTF8 \
    --locale=C --locale-provider=builtin --builtin-locale=C.UTF-8 --no-instructions >"$log" 2>&1 ||
    { tail -n 5 "$log" >&2 && die "initdb failed"; }
  mv "$data.new" "$data"
}

# Rewritten at every start, for the socket's folder changes. Durable: fsync and full pages stay on.
cluster_configure() {
  local data=$1 socket=$2
  cat >"$data/postgresql.conf" <<CONF
listen_addresses = ''
unix_socket_directories = '$socket'
max_connections = 250
max_worker_processes = 24
shared_buffers = 256MB
max_wal_size = 2GB
checkpoint_timeout = 15min
wal_compression = on
jit = off
timezone = 'UTC'
log_timezone = 'UTC'
shared_preload_libraries = 'pg_cron,pg_documentdb_core,pg_documentdb'
# Jobs as background workers: no connection, so it doesn't matter that the socket's folder changes.
cron.use_background_workers = on
cron.database_name = 'postgres'
cron.log_run = off
cron.log_statement = off
documentdb_core.enableCollation = on
documentdb.localhost_connection_string = 'host=$socket'
CONF
  echo 'local all all peer map=mig' >"$data/pg_hba.conf"
  echo "mig \"$RUN_AS_USER\" all" >"$data/pg_ident.conf"
}

cluster_wait() {
  local dir=$1 deadline=$((SECONDS + 300))
  until cluster_sql "$dir" <<<'SELECT 1' 2>/dev/null; do
    if ! proc_alive "$dir/postgres.pid" || ((SECONDS > deadline)); then
      tail -n 15 "$dir/postgres.log" >&2
      die "PostgreSQL does not start; its log: $dir/postgres.log"
    fi
    sleep 0.1
  done
}

# cluster_sql DIR: runs the SQL from standard input, so that no password appears in a command line.
cluster_sql() {
  PGOPTIONS='-c client_min_messages=warning' "${RUN_AS[@]}" "$(embedded_postgres psql)" --no-psqlrc --quiet \
    --set=ON_ERROR_STOP=1 --output=/dev/null --host="$(<"$1/socket")" --username=postgres --dbname=postgres
}

embedded_users() {
  local dir=$1 user command roles
  for user in admin reader; do
    secret_file "$dir/password.$user"
    case $user in
    admin) roles='{"role": "clusterAdmin", "db": "admin"}, {"role": "readWriteAnyDatabase", "db": "admin"}' ;;
    reader) roles='{"role": "readAnyDatabase", "db": "admin"}' ;;
    esac
    command="{\"createUser\": \"$user\", \"pwd\": \"$(<"$dir/password.$user")\", \"roles\": [$roles]}"
    printf '%s\n' "SELECT NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '$user') AS absent \\gset" \
      '\if :absent' "SELECT documentdb_api.create_user('$command');" '\endif' | cluster_sql "$dir"
  done
}

# The next three use dir and auth of embedded_start. With passwords there is a second port, for TLS.
embedded_front() {
  local options=(--no-auth)
  if [[ -n $auth ]]; then
    free_port "$(cat "$dir/tls.port" 2>/dev/null || true)" >"$dir/tls.port.new"
    mv "$dir/tls.port.new" "$dir/tls.port"
    options=(--listen-tls="127.0.0.1:$(<"$dir/tls.port")"
      --listen-tls-cert-file="$dir/tls.crt" --listen-tls-key-file="$dir/tls.key")
  fi
  front_launch "$dir/pid" "$dir/log" "$1" postgres
}

embedded_reader_front() {
  local options=()
  front_launch "$dir/reader.pid" "$dir/reader.log" "$1" reader
}

front_launch() {
  local pidfile=$1 log=$2 port=$3 role=$4
  proc_launch "$pidfile" "$log" "${RUN_AS[@]}" "$(embedded_ferretdb)" "${options[@]}" \
    --postgresql-url="postgres://$role@/postgres?host=$(<"$dir/socket")" --listen-addr="127.0.0.1:$port" \
    --debug-addr=- --telemetry=disable --log-level=WARN --state-dir="$dir/ferretdb"
}

# A write that is sent twice is applied twice: hence no retryable writes.
embedded_uris() {
  local dir=$1 auth=$2 admin='' query='?retryWrites=false'
  if [[ -n $auth ]]; then
    admin="admin:$(<"$dir/password.admin")@"
    write_uri "$dir/uri.tls" "mongodb://${admin}127.0.0.1:$(<"$dir/tls.port")/$query&$(tls_query "$dir")"
    write_uri "$dir/uri.reader" "mongodb://reader:$(<"$dir/password.reader")@127.0.0.1:$(<"$dir/reader.port")/$query"
  fi
  write_uri "$dir/uri" "mongodb://${admin}127.0.0.1:$(<"$dir/port")/$query"
}

embedded_version() {
  local home postgres control
  home=$(postgres_home "$(embedded_dir)")
  postgres=$("$home/bin/postgres" --version | sed 's/^[^0-9]*\([0-9.]*\).*/\1/')
  control=${home%/lib/postgresql/*}/share/postgresql/${home##*/}/extension/documentdb.control
  printf 'FerretDB %s on DocumentDB %s, PostgreSQL %s' "${FERRETDB_VERSION#v}" \
    "$(sed -n "s/^default_version = '\(.*\)'/\1/p" "$control")" "$postgres"
}
