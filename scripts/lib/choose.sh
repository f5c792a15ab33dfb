# shellcheck shell=bash
#
# choose.sh - which kind of server plays the part of `main` here, and why
#
#     choose_kind        sets KIND (external, mongod, docker or embedded) and WHY (half a sentence)
#
# MIG_SERVER=mongod|docker|embedded forces one; otherwise the first that is there: MIG_URI, mongod on PATH,
# a Docker engine, and at last the embedded default. What is forced and absent is an error.

# shellcheck disable=SC2034  # WHY is for the caller
choose_kind() {
  WHY="MIG_SERVER asks for it"
  KIND=${MIG_SERVER:-}
  case $KIND in
  mongod) have mongod || die "MIG_SERVER=mongod, but there is no mongod on PATH" ;;
  docker) docker_answers || die "MIG_SERVER=docker, but no Docker engine answers (docker info)" ;;
  embedded) ;;
  '') choose_first ;;
  *) die -2 "MIG_SERVER is mongod, docker or embedded, not '$KIND'" ;;
  esac
}

# shellcheck disable=SC2034
choose_first() {
  if [[ -n ${MIG_URI:-} ]]; then
    KIND=external WHY="MIG_URI is set"
  elif have mongod; then
    KIND=mongod WHY="MIG_URI is unset and mongod is on PATH"
  elif docker_answers; then
    KIND=docker WHY="MIG_URI is unset, no mongod on PATH and a Docker engine answers"
  else
    KIND=embedded WHY="MIG_URI is unset, no mongod on PATH and no Docker engine answers"
  fi
}

docker_answers() { have docker && timeout 20 docker info >/dev/null 2>&1; }
