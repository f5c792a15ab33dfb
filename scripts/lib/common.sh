# shellcheck shell=bash
#
# common.sh - what every script of this folder starts from
#
#     set -euo pipefail; source "$REPO/scripts/lib/common.sh"
#
# say and die write one line on stderr, named after the script; stdout belongs to results.
# install_once builds a folder of the cache at most once, whoever asks and however often.

shopt -s inherit_errexit

HOME=${HOME:-$(getent passwd "$(id -u)" | cut -d: -f6)}
export HOME

say() { printf '%s: %s\n' "${SCRIPT_NAME:-mig}" "$*" >&2; }

# die [-CODE] MESSAGE...: the exit code is 1 unless given.
die() {
  local code=1
  if [[ $1 =~ ^-[0-9]+$ ]]; then
    code=${1#-}
    shift
  fi
  say "$*"
  exit "$code"
}

have() { command -v "$1" >/dev/null 2>&1; }

is_root() { [[ $(id -u) -eq 0 ]]; }

cache_dir() { printf '%s' "${MIG_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/mig}"; }

# secret_file FILE: makes a random password in FILE, readable by its owner only, unless it is there.
secret_file() {
  local file=$1
  [[ -s $file ]] && return
  (
    umask 077
    head -c 64 /dev/urandom | base64 -w 0 | tr -d '+/=' | cut -c 1-32 >"$file.new"
  )
  mv "$file.new" "$file"
}

# percent_encode TEXT: for a value inside a URI.
percent_encode() {
  local LC_ALL=C text=$1 out='' char i
  for ((i = 0; i < ${#text}; i++)); do
    char=${text:i:1}
    case $char in
    [a-zA-Z0-9._~/-]) out+=$char ;;
    *) out+=$(printf '%%%02X' "'$char") ;;
    esac
  done
  printf '%s' "$out"
}

# install_once NAME CHECK BUILD: makes $(cache_dir)/NAME hold a working install.
#   CHECK DIR        tells, by trying it, whether the install in DIR works
#   BUILD DIR FINAL  fills the empty folder DIR, which is then renamed to FINAL; its output goes to a log
# A kill at any moment leaves either no install or a whole one; two at once wait for each other.
# Call it as a statement, never in a condition: bash would ignore errors inside BUILD.
install_once() {
  local name=$1 check=$2 build=$3
  local cache final log temp lock started=$SECONDS
  cache=$(cache_dir)
  final=$cache/$name
  if [[ -d $final ]] && "$check" "$final"; then return; fi

  mkdir -p "$cache"
  exec {lock}>"$cache/$name.lock"
  if ! flock --nonblock "$lock"; then
    say "waiting for another install of $name"
    flock "$lock"
  fi
  if [[ ! -d $final ]] || ! "$check" "$final"; then
    log=$cache/$name.log
    say "installing $name in $cache, once; may take minutes (log: $log)"
    rm -rf "$cache/$name".tmp.* # of an install that was killed: we hold the lock
    temp=$(mktemp -d "$cache/$name.tmp.XXXXXX")
    chmod 755 "$temp"
    # A plain statement: after || or if, bash would ignore errors inside.
    (
      trap 'install_failed $? "$temp" "$log" "$name"' EXIT
      "$build" "$temp" "$final" 2>&1
      "$check" "$temp" || { echo "what was just installed does not work" && exit 1; }
    ) 3>&2 >"$log"
    if [[ -e $final ]]; then mv "$final" "$temp.old"; fi
    mv "$temp" "$final"
    rm -rf "$temp.old"
    say "installed $name in $((SECONDS - started)) s"
  fi
  exec {lock}>&-
}

# install_failed CODE TEMP LOG NAME: the exit trap of an install; does nothing after a success.
install_failed() {
  [[ $1 -eq 0 ]] && exit 0
  jobs -p | xargs -r kill 2>/dev/null || true
  rm -rf "$2"
  tail -n 15 "$3" >&3
  say "the install of $4 failed; its whole log: $3" 2>&3
  exit 1
}
