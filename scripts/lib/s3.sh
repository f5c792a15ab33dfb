# shellcheck shell=bash
#
# s3.sh - versitygw, an S3 server over a plain folder, built once into the cache from its Go module
#
#     s3_install      once; needs a Go module proxy (and apt's mirror where the machine has no Go)
#     s3_bin          the folder that holds it
#
# The version stands in s3/go.mod, the hashes in s3/go.sum.

s3_name() { printf 's3-%s' "$(cat "$REPO"/scripts/lib/s3/go.{mod,sum} | sha256sum | cut -c 1-8)"; }

s3_bin() { printf '%s/%s/bin' "$(cache_dir)" "$(s3_name)"; }

s3_install() { install_once "$(s3_name)" s3_works s3_build; }

s3_works() { "$1/bin/versitygw" --version >/dev/null 2>&1; }

s3_build() {
  local temp=$1 work=$1/work go
  mkdir -p "$temp/bin" "$work"
  cp "$REPO"/scripts/lib/s3/go.{mod,sum} "$work"
  go=$(go_for "$work")
  (cd "$work" && GOFLAGS=-mod=readonly go_build "$go" "$work" build -trimpath -buildvcs=false -ldflags='-s -w' \
    -o "$temp/bin/versitygw" github.com/versity/versitygw/cmd/versitygw)
  go_clean "$work"
}
