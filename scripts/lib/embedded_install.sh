# shellcheck shell=bash
#
# embedded_install.sh - FerretDB on DocumentDB on PostgreSQL, in one folder of the cache
#
#     embedded_install              once; needs apt's mirror and a Go module proxy, and no root where Go is
#     embedded_ferretdb             path of the front end, which speaks MongoDB's protocol
#     embedded_postgres PROGRAM     path of PROGRAM of the PostgreSQL that has the extension documentdb
#
# The extension comes from a newer Debian (debroot.sh), unless this machine's PostgreSQL has it.
# The front end is built from its Go module, by the machine's Go if that is new enough.

FERRETDB_VERSION=v2.7.0
FERRETDB_MODULE=github.com/FerretDB/FerretDB/v2/cmd/ferretdb

# The last number is that of this recipe: raise it when the folder's content changes.
embedded_name() { printf 'embedded-ferretdb-%s-2' "$FERRETDB_VERSION"; }

embedded_dir() { printf '%s/%s' "$(cache_dir)" "$(embedded_name)"; }

embedded_ferretdb() { printf '%s/bin/ferretdb' "$(embedded_dir)"; }

embedded_postgres() { printf '%s/bin/%s' "$(postgres_home "$(embedded_dir)")" "$1"; }

# postgres_home DIR: the newest PostgreSQL with documentdb, of the machine or unpacked below DIR.
postgres_home() {
  local library newest=''
  for library in /usr/lib/postgresql/*/lib/pg_documentdb.so "$1"/root/usr/lib/postgresql/*/lib/pg_documentdb.so; do
    if [[ -e $library ]]; then
      newest=$library
      [[ $library == /usr/* ]] && break
    fi
  done
  printf '%s' "${newest%/lib/pg_documentdb.so}"
}

embedded_install() {
  apt_need ca-certificates tzdata
  install_once "$(embedded_name)" embedded_works embedded_build
}

embedded_works() {
  local home
  home=$(postgres_home "$1")
  [[ -n $home ]] && "$home/bin/postgres" --version >/dev/null 2>&1 && "$home/bin/psql" --version >/dev/null 2>&1 &&
    "$home/bin/initdb" --version >/dev/null 2>&1 && "$1/bin/ferretdb" --version >/dev/null 2>&1
}

# The build of the front end keeps the processors busy while apt keeps the network busy.
embedded_build() {
  local temp=$1 work=$1/work go build
  mkdir -p "$temp/bin" "$work"
  if [[ -z $(postgres_home "$temp") ]]; then debroot_open "$work/apt"; fi
  go=$(go_for "$work")
  ferretdb_build "$go" "$temp/bin" "$work" >"$work/build.log" 2>&1 &
  build=$!
  if [[ -z $(postgres_home "$temp") ]]; then postgres_unpack "$work/apt" "$temp/root"; fi
  wait "$build" || { cat "$work/build.log" && return 1; }
  go_clean "$work"
}

ferretdb_build() {
  local go=$1 bin=$2 work=$3
  (cd "$work" && GOBIN=$bin go_build "$go" "$work" install -trimpath -ldflags='-s -w' "$FERRETDB_MODULE@$FERRETDB_VERSION")
}

postgres_unpack() {
  local apt=$1 root=$2 all=$2.all package kept program
  package=$(debroot_newest "$apt" 'postgresql-[0-9]+-documentdb')
  debroot_unpack "$apt" "$all" "$package"
  # A third of it is of no use here.
  for kept in usr/lib/postgresql usr/share/postgresql usr/share/proj $(cd "$all" && echo usr/lib/*-linux-gnu*); do
    mkdir -p "$root/${kept%/*}"
    mv "$all/$kept" "$root/$kept"
  done
  rm -rf "$all"
  for program in "$root"/usr/lib/postgresql/*/bin/{postgres,initdb,psql}; do debroot_wrap "$program"; done
  # Debian's alternatives would give the extension its plain name.
  for program in "$root"/usr/share/postgresql/*/extension/postgis-3.control; do
    ln -s postgis-3.control "${program%-3.control}.control"
  done
}
