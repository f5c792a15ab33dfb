# shellcheck shell=bash
#
# run_as.sh - PostgreSQL refuses to run as root: run it as a user who may do nothing
#
#     run_as_setup PATH...            sets RUN_AS (the beginning of a command) and RUN_AS_USER
#     "${RUN_AS[@]}" command...
#     run_as_owns PATH...             hands the paths to that user
#
# Who isn't root runs everything as himself. The user mig-pg may lack the way to a PATH, below /root for one:
# then it gets the one capability to pass folders that are closed to it (and reads what root could).
# PostgreSQL admits only its own user through its socket, so nobody borrows that capability.

RUN_AS_ACCOUNT=mig-pg

# shellcheck disable=SC2034  # RUN_AS_USER is for the caller
run_as_setup() {
  local path capability
  RUN_AS_USER=$(id -un)
  RUN_AS=()
  is_root || return 0
  if ! id -u "$RUN_AS_ACCOUNT" >/dev/null 2>&1; then
    useradd --system --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin "$RUN_AS_ACCOUNT" ||
      id -u "$RUN_AS_ACCOUNT" >/dev/null # somebody else was quicker
  fi
  RUN_AS_USER=$RUN_AS_ACCOUNT
  run_as_with
  for capability in dac_read_search dac_override; do # containers often have but the second
    if run_as_reaches "$@"; then return; fi
    run_as_with "$capability"
  done
  run_as_reaches "$@" ||
    die "user $RUN_AS_ACCOUNT cannot reach $*; choose other folders (MIG_CACHE, MIG_SERVER_STATE)"
}

# Without the secure bit access(2), by which PostgreSQL looks at its own programs, disregards capabilities.
run_as_with() {
  local capabilities=-all bits=()
  if [[ -n ${1:-} ]]; then capabilities=-all,+$1 bits=(--securebits=+no_setuid_fixup); fi
  RUN_AS=(setpriv --reuid="$RUN_AS_ACCOUNT" --regid="$RUN_AS_ACCOUNT" --clear-groups "${bits[@]}"
    --inh-caps="$capabilities" --ambient-caps="$capabilities" --bounding-set="$capabilities" --)
}

run_as_reaches() {
  local path
  for path; do
    "${RUN_AS[@]}" test -r "$path" -a -x "$path" 2>/dev/null || return 1
  done
}

run_as_owns() { ! is_root || chown -R "$RUN_AS_ACCOUNT": "$@"; }
