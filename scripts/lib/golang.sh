# shellcheck shell=bash
#
# golang.sh - a Go that is new enough: the machine's, or that of a newer Debian, unpacked for one build
#
#     go=$(go_for WORK)              path of it; unpacks one below WORK (debroot.sh) where the machine has none
#     go_build GO WORK ARGUMENT...   runs it: no cgo, little garbage collection; what was unpacked keeps all its caches in WORK
#     go_clean WORK                  module caches are read-only: makes WORK removable, and removes it
#
# Inside the BUILD of install_once. The Go module proxy is the machine's setting (GOPROXY).

GO_AT_LEAST=1.25

modern_go() {
  local version
  have go || return 0
  version=$(cd / && go env GOVERSION | sed 's/^go//; s/[^0-9.].*//')
  if printf '%s\n' "$GO_AT_LEAST" "$version" | sort -V -C; then command -v go; fi
}

# Its messages go to stderr: stdout is the path.
go_for() {
  local work=$1 go
  go=$(modern_go)
  if [[ -z $go ]]; then
    {
      if [[ ! -d $work/apt ]]; then debroot_open "$work/apt"; fi
      debroot_unpack "$work/apt" "$work/go" golang-go
    } >&2
    go=$(echo "$work"/go/usr/lib/go-*/bin/go)
  fi
  printf '%s' "$go"
}

go_build() {
  local go=$1 work=$2
  shift 2
  if [[ $go == "$work"/* ]]; then
    GOROOT=$(dirname "$(dirname "$go")")
    export GOROOT GOPATH=$work/gopath GOCACHE=$work/gocache
  fi
  # The compiler's garbage collector would take a third of the time.
  GOTOOLCHAIN=local GOGC=${GOGC:-400} CGO_ENABLED=0 "$go" "$@"
}

go_clean() {
  chmod -R u+w "$1"
  rm -rf "$1"
}
