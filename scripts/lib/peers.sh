# shellcheck shell=bash
#
# peers.sh - mongodump, mongorestore and bsondump, built once into the cache from their Go module
#
#     peers_install      once; needs a Go module proxy (and apt's mirror where the machine has no Go)
#     peers_bin          the folder that holds them
#
# The versions stand in peers/go.mod, their hashes in peers/go.sum.

PEERS=(mongodump mongorestore bsondump)

peers_name() { printf 'peers-%s' "$(cat "$REPO"/scripts/lib/peers/go.{mod,sum} | sha256sum | cut -c 1-8)"; }

peers_bin() { printf '%s/%s/bin' "$(cache_dir)" "$(peers_name)"; }

peers_install() { install_once "$(peers_name)" peers_work peers_build; }

peers_work() {
  local peer
  for peer in "${PEERS[@]}"; do
    "$1/bin/$peer" --version >/dev/null 2>&1 || return 1
  done
}

peers_build() {
  local temp=$1 work=$1/work go peer
  mkdir -p "$temp/bin" "$work"
  cp "$REPO"/scripts/lib/peers/go.{mod,sum} "$work"
  go=$(go_for "$work")
  for peer in "${PEERS[@]}"; do
    (cd "$work" && GOFLAGS=-mod=readonly go_build "$go" "$work" build -trimpath -buildvcs=false -ldflags='-s -w' \
      -o "$temp/bin/$peer" "github.com/mongodb/mongo-tools/$peer/main")
  done
  go_clean "$work"
}
