# shellcheck shell=bash
#
# debroot.sh - programs of a newer Debian, unpacked into a folder, on a machine that runs an older one
#
#     debroot_open WORK                  a private apt in the folder WORK; the machine's own is untouched
#     debroot_unpack WORK ROOT PKG...    the packages and all they depend on, down to the C library, into ROOT
#     debroot_wrap ROOT/usr/bin/prog     makes an unpacked program start with ROOT's own loader and libraries
#
# apt checks every signature and hash; no maintainer script runs, nothing needs root, ROOT can be moved.
# A wrapped program must be called by its absolute path: it finds ROOT from its name.

# The first suite that has all we need: PostgreSQL with DocumentDB, Go 1.25, Python 3.13.
DEBROOT_SUITE=${MIG_DEBIAN_SUITE:-forky}
DEBROOT_KEYRING=/usr/share/keyrings/debian-archive-keyring.gpg

# The mirror that this machine takes its own release from.
debroot_mirror() {
  local release
  if [[ -n ${MIG_DEBIAN_MIRROR:-} ]]; then
    printf '%s' "$MIG_DEBIAN_MIRROR"
    return
  fi
  # shellcheck source=/dev/null
  release=$(. /etc/os-release && printf '%s' "${VERSION_CODENAME:-}")
  # shellcheck disable=SC2016  # apt expands these
  apt-get indextargets --format '$(REPO_URI) $(RELEASE) $(COMPONENT)' 'Created-By: Packages' |
    awk -v release="$release" '$2 == release && $3 == "main" && !found { print $1; found = 1 }'
}

debroot_open() {
  local work=$1 mirror
  if ! have apt-get || [[ ! -r $DEBROOT_KEYRING ]]; then
    echo "this is no Debian: no apt-get with Debian's keyring ($DEBROOT_KEYRING)"
    return 1
  fi
  mirror=$(debroot_mirror)
  if [[ -z $mirror ]]; then
    echo "apt knows no Debian mirror here; name one in MIG_DEBIAN_MIRROR"
    return 1
  fi
  mkdir -p "$work/lists/partial" "$work/cache/archives/partial"
  : >"$work/status" # nothing is installed: every dependency counts
  echo "deb [signed-by=$DEBROOT_KEYRING] $mirror $DEBROOT_SUITE main" >"$work/sources.list"
  debroot_apt "$work" update
}

# debroot_apt WORK ARGUMENTS...: apt-get, or what DEBROOT_APT names, on the private lists.
# A release that isn't final may be announced with a date in the past: its signature counts.
debroot_apt() {
  local work=$1
  shift
  "${DEBROOT_APT:-apt-get}" -q \
    -o Dir::State="$work" -o Dir::State::lists="$work/lists" -o Dir::State::status="$work/status" \
    -o Dir::Cache="$work/cache" -o Dir::Log=/dev/null \
    -o Dir::Etc::sourcelist="$work/sources.list" -o Dir::Etc::sourceparts=/dev/null \
    -o Dir::Etc::preferences=/dev/null -o Dir::Etc::preferencesparts=/dev/null \
    -o Acquire::Check-Valid-Until=false -o Acquire::Check-Date=false \
    -o Acquire::Languages=none -o Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false \
    -o Acquire::Retries=3 -o APT::Sandbox::User=root -o Debug::NoLocking=true \
    -o APT::Install-Recommends=false -o APT::Get::Assume-Yes=true "$@" </dev/null
}

# debroot_newest WORK PATTERN: the newest package whose name matches.
debroot_newest() { DEBROOT_APT=apt-cache debroot_apt "$1" pkgnames | grep -xE "$2" | sort -V | tail -n 1; }

debroot_unpack() {
  local work=$1 root=$2
  shift 2
  rm -rf "$work/cache/archives"
  mkdir -p "$work/cache/archives/partial" "$root"
  debroot_apt "$work" install --download-only -o Dir::Cache::archives="$work/cache/archives" "$@"
  find "$work/cache/archives" -maxdepth 1 -name '*.deb' -print0 |
    xargs -0 -P "$(nproc)" -I{} dpkg-deb --extract {} "$root"
}

debroot_wrap() {
  local program loader lib
  for program; do
    loader=$(cd "${program%/usr/*}" && echo usr/lib/*-linux-gnu*/ld-linux*.so.*)
    lib=${loader%/*}
    mv "$program" "$program.elf"
    # shellcheck disable=SC2016  # expands when the wrapper runs
    printf '%s\n' '#!/bin/sh' 'root=${0%/usr/*}' 'export PROJ_DATA="$root/usr/share/proj"' \
      "exec \"\$root/$loader\" --argv0 \"\$0\" --library-path \"\$root/$lib:\${0%%/bin/*}/lib\" \\" \
      '  "$0.elf" "$@"' >"$program"
    chmod 755 "$program"
  done
}
