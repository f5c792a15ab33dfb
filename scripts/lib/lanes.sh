# shellcheck shell=bash
#
# lanes.sh - rows of steps that run beside each other, each with servers of its own
#
#     lane_servers NAME          starts them; where they are goes to a file that the lane reads
#     lane NAME FUNCTION         FUNCTION in the background; each line it says begins with "NAME| "
#     lanes_wait                 waits for all; 1 when one of them failed
#     lanes_stop                 ends what still runs, and the servers
#
# LANES_STATE is the folder for all of it. A lane that is alone is run the same way.

LANE_PIDS=()

lane_servers() {
  local main second='' auth='' reader=''
  export MIG_SERVER_STATE=$LANES_STATE/$1
  mkdir -p "$MIG_SERVER_STATE"
  main=$("$REPO/scripts/server" start main)
  second=$("$REPO/scripts/server" start second) || say "no second server: tests that need transactions may be skipped"
  if auth=$("$REPO/scripts/server" start auth); then reader=$("$REPO/scripts/server" uri auth-reader); else auth=''; fi
  (umask 077 && printf 'export %s=%q\n' MIG_SERVER_STATE "$MIG_SERVER_STATE" MIG_TEST_URI "$main" MIG_TEST_URI_SECOND "$second" \
    MIG_TEST_URI_AUTH "$auth" MIG_TEST_URI_READER "$reader" >"$MIG_SERVER_STATE/env")
}

lane() {
  local name=$1 function=$2
  set -m # a process group of its own: what it started can be ended with it
  {
    (
      # shellcheck source=/dev/null
      source "$LANES_STATE/$name/env"
      "$function"
    ) 2>&1 | sed -u "s/^/$name| /"
  } </dev/null &
  LANE_PIDS+=($!)
  set +m
}

lanes_wait() {
  local pid failed=0
  for pid in ${LANE_PIDS[@]+"${LANE_PIDS[@]}"}; do wait "$pid" || failed=1; done
  LANE_PIDS=()
  return "$failed"
}

lanes_stop() {
  local pid env
  for pid in ${LANE_PIDS[@]+"${LANE_PIDS[@]}"}; do kill -TERM -- "-$pid" 2>/dev/null || true; done
  for env in "$LANES_STATE"/*/env; do
    MIG_SERVER_STATE=${env%/*} "$REPO/scripts/server" stop all --purge >/dev/null 2>&1 || true
  done
  rm -rf "$LANES_STATE"
}
