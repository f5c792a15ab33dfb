# shellcheck shell=bash
#
# build.sh - packages and builds that scripts/test, scripts/quickstart, scripts/bench and scripts/check share
#
#     build_packages            what a build needs, from Debian
#     bin=$(build_preset dev)   configures and builds a preset, prints its folder
#
# MIG_BUILD moves the build folders (default: <repo>/build).

build_packages() {
  apt_need gcc libc6-dev cmake ninja-build pkg-config libmongoc-dev libbson-dev libzstd-dev libssl-dev libarchive-dev \
    zlib1g-dev libunistring-dev libmicrohttpd-dev libcurl4-openssl-dev libexpat1-dev libcmocka-dev "$@"
}

build_preset() {
  local preset=$1 folder
  shift
  folder=${MIG_BUILD:-$REPO/build}/$preset
  mkdir -p "${folder%/*}"
  cmake --preset "$preset" -S "$REPO" -B "$folder" "$@" >"$folder.configure.log" 2>&1 || {
    cat "$folder.configure.log" >&2
    return 1
  }
  cmake --build "$folder" >"$folder.build.log" 2>&1 || {
    cat "$folder.build.log" >&2
    return 1
  }
  printf '%s' "$folder"
}
