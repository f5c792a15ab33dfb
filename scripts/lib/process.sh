# shellcheck shell=bash
#
# process.sh - background processes that are ours, and provably so
#
#     proc_launch PIDFILE LOG CMD...     in its own session, inheriting no descriptor
#     proc_alive PIDFILE                 is it still that very process?
#     proc_stop PIDFILE SIGNAL           waits until it is gone; fine when it is not there
#
# A pid file holds "PID STARTTIME": a number that another process got later does not match.

# The fields of /proc/PID/stat after the name, which may hold spaces: state first, start time twentieth.
proc_start_time() {
  local stat fields
  stat=$(cat "/proc/$1/stat" 2>/dev/null) || return 1
  read -ra fields <<<"${stat##*) }"
  [[ ${fields[0]} != Z ]] && printf '%s' "${fields[19]}"
}

proc_alive() {
  local pid start
  [[ -s $1 ]] && read -r pid start <"$1" && [[ $(proc_start_time "$pid") == "$start" ]]
}

proc_pid() { cut -d' ' -f1 "$1"; }

# The process writes its own pid file before it becomes CMD: one killed in between is not lost.
proc_launch() {
  local pidfile=$1 log=$2 started
  shift 2
  rm -f "$pidfile"
  if [[ -s $log ]]; then mv "$log" "$log.old"; fi
  # shellcheck disable=SC2016  # expands in the new process
  setsid bash -c '
    source "$1"
    pidfile=$2
    shift 2
    for fd in /proc/self/fd/*; do
      fd=${fd##*/}
      if ((fd > 2)); then eval "exec $fd>&-"; fi
    done
    echo "$$ $(proc_start_time $$)" >"$pidfile.new"
    mv "$pidfile.new" "$pidfile"
    exec "$@"
  ' mig-launch "${BASH_SOURCE[0]}" "$pidfile" "$@" </dev/null >>"$log" 2>&1 &
  started=$!
  while [[ ! -s $pidfile ]] && kill -0 "$started" 2>/dev/null; do sleep 0.02; done
}

proc_stop() {
  local pidfile=$1 signal=$2 pid deadline=$((SECONDS + 60))
  if proc_alive "$pidfile"; then
    pid=$(proc_pid "$pidfile")
    kill -s "$signal" "$pid" 2>/dev/null || true
    while proc_alive "$pidfile"; do
      if ((SECONDS > deadline)); then
        say "process $pid does not stop; killing it"
        kill -s KILL "$pid" 2>/dev/null || true
        deadline=$((SECONDS + 60))
      fi
      sleep 0.05
    done
  fi
  rm -f "$pidfile"
}

port_taken() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# free_port [PREFERRED]: below the ports that the kernel gives to clients.
free_port() {
  local port=${1:-}
  while [[ -z $port ]] || port_taken "$port"; do
    port=$((20000 + (RANDOM * 32768 + RANDOM) % 12000))
  done
  printf '%s' "$port"
}

# hello_answers PORT [SECONDS]: does a server answer the command hello there? Needs no client library.
hello_answers() {
  local patience=${2:-10}
  local header='\x34\0\0\0\x01\0\0\0\0\0\0\0\xdd\x07\0\0' flags_and_kind='\0\0\0\0\0'
  # shellcheck disable=SC2016  # $db is the name of a field
  local command='\x1f\0\0\0\x10hello\0\x01\0\0\0\x02$db\0\x06\0\0\0admin\0\0'
  (
    exec 3<>"/dev/tcp/127.0.0.1/$1"
    printf '%b' "$header$flags_and_kind$command" >&3
    timeout "$patience" dd bs=64k count=1 <&3 | tr '\0\1' '..' | grep -acF '.ok.'
  ) >/dev/null 2>&1
}

# serve_on_port PIDFILE LOG PORT LAUNCH: LAUNCH PORT starts a server; true once it answers.
# False when it ended before that, for one because somebody took the port in between.
serve_on_port() {
  local pidfile=$1 log=$2 port=$3 launch=$4 deadline=$((SECONDS + 300))
  "$launch" "$port"
  while proc_alive "$pidfile"; do
    # Once more alive? after the answer: it may have been another's server that answered.
    if hello_answers "$port" && proc_alive "$pidfile"; then return 0; fi
    ((SECONDS < deadline)) || die "no answer to hello within 300 s; see $log"
    sleep 0.1
  done
  return 1
}

# serve PIDFILE LOG PORTFILE LAUNCH: the same on a free port, which it leaves in PORTFILE: the last one if possible.
serve() {
  local pidfile=$1 log=$2 portfile=$3 launch=$4 port try
  port=$(free_port "$(cat "$portfile" 2>/dev/null || true)")
  for try in 1 2 3; do
    if serve_on_port "$pidfile" "$log" "$port" "$launch"; then
      echo "$port" >"$portfile"
      return 0
    fi
    say "the server ended at once (try $try of 3)"
    port=$(free_port)
  done
  tail -n 20 "$log" >&2
  die "cannot start; its log: $log"
}
