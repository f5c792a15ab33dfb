# shellcheck shell=bash
#
# apt.sh - Debian packages this machine lacks
#
#     apt_need patchelf python3-venv     installs those that are missing, nothing when none is
#
# As root or with a sudo that asks for no password; otherwise it says what to install by hand.

apt_need() {
  local package missing=() as_root=()
  for package; do
    apt_has "$package" || missing+=("$package")
  done
  ((${#missing[@]})) || return 0

  have apt-get || die "needs the equivalent of the Debian packages: ${missing[*]}"
  if ! is_root; then
    sudo -n true 2>/dev/null || die "needs: sudo apt-get install ${missing[*]}"
    as_root=(sudo -n)
  fi
  say "installing Debian packages: ${missing[*]}"
  if ! compgen -G '/var/lib/apt/lists/*_Packages*' >/dev/null; then apt_update; fi
  # Old lists name versions that the mirror no longer has: look again before giving up.
  if ! apt_install "${missing[@]}"; then
    apt_update
    apt_install "${missing[@]}" || die "apt-get could not install: ${missing[*]}"
  fi
}

apt_has() {
  have dpkg-query || return 1
  [[ $(dpkg-query --show --showformat '${db:Status-Abbrev}' "$1" 2>/dev/null) == ii* ]]
}

# Both use as_root of apt_need.
apt_install() {
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
    -o DPkg::Lock::Timeout=600 -o Dpkg::Use-Pty=0 "$@" </dev/null >&2
}

# The lock on the lists has no time-out of its own, hence the tries.
apt_update() {
  local try
  for try in 1 2 3 4 5; do
    if "${as_root[@]}" apt-get update -qq </dev/null >&2; then return 0; fi
    sleep $((try * 2))
  done
  die "apt-get update fails"
}
