# shellcheck shell=bash
#
# python.sh - the Pythons of tests and servers
#
#     python=$(test_venv)        a Python with pymongo, pytest, schemathesis and cryptography, installed once into the cache
#     python=$(modern_python)    Python 3.13 or newer of this machine, or nothing
#
# Run pytest as "$python" -m pytest.

TEST_PACKAGES=(pip==26.3 pymongo==4.20.0 pytest==9.2.0 PyYAML==6.0.3 schemathesis==4.32.5 cryptography==50.0.2)

test_venv() {
  local base name
  base=$(venv_python)
  name=venv-$("$base" -c 'import sys; print("py%d.%d" % sys.version_info[:2])')-$(pins "${TEST_PACKAGES[@]}")
  VENV_BASE=$base install_once "$name" venv_works venv_build
  printf '%s' "$(cache_dir)/$name/bin/python"
}

# A short name for a list of pinned packages.
pins() { printf '%s\n' "$@" | sha256sum | cut -c 1-8; }

# The system's Python if it can make a venv, otherwise Debian's.
venv_python() {
  if ! python3 -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 10))' 2>/dev/null; then
    apt_need python3 python3-venv
    hash -r
  fi
  command -v python3
}

venv_works() { "$1/bin/python" -c 'import pymongo, pytest, schemathesis, yaml, cryptography' 2>/dev/null; }

venv_build() {
  local temp=$1 final=$2
  "$VENV_BASE" -m venv "$temp"
  "$temp/bin/python" -m pip install --quiet --no-input "${TEST_PACKAGES[@]}"
  # The scripts in bin name the folder they were made in; it is about to be renamed.
  grep -lIF "$temp" "$temp"/bin/* | xargs -d '\n' sed -i "s|$temp|$final|g"
}

modern_python() {
  local python
  for python in python3 python3.14 python3.13 "$HOME"/.pyenv/versions/*/bin/python3; do
    if python=$(command -v "$python") &&
      "$python" -c 'import sys; sys.exit(sys.version_info < (3, 13))' 2>/dev/null; then
      printf '%s' "$python"
      return
    fi
  done
}
