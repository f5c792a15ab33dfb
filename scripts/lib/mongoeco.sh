# shellcheck shell=bash
#
# mongoeco.sh - the second server: mongoeco, in memory, which has real transactions
#
#     mongoeco_install
#     mongoeco_start DIR / mongoeco_alive DIR / mongoeco_stop DIR
#
# It wants Python 3.13: the machine's if there is one, otherwise that of a newer Debian (debroot.sh).

MONGOECO_PACKAGES=('mongoeco[wire]==4.11.0' pymongo==4.20.0)

mongoeco_install() {
  local python version
  python=$(modern_python)
  version=debian
  if [[ -n $python ]]; then
    version=$("$python" -c 'import sys; print("py%d.%d" % sys.version_info[:2])')
  fi
  MONGOECO_NAME=mongoeco-$version-$(pins "${MONGOECO_PACKAGES[@]}")
  PIP_PYTHON=$(test_venv) install_once "$MONGOECO_NAME" mongoeco_works mongoeco_build
}

# The Python of an install: its own, which came with it, or the machine's.
mongoeco_python() {
  if [[ -d $1/root ]]; then
    echo "$1"/root/usr/bin/python3.[0-9][0-9]
  else
    modern_python
  fi
}

mongoeco_works() {
  PYTHONPATH=$1/site "$(mongoeco_python "$1")" -c 'import mongoeco.wire.proxy, mongoeco.engines.memory' 2>/dev/null
}

mongoeco_build() {
  local temp=$1 work=$1/work
  if [[ -z $(modern_python) ]]; then
    debroot_open "$work"
    debroot_unpack "$work" "$temp/root" python3 libstdc++6
    rm -rf "$work" "$temp"/root/usr/share/{doc,man,locale,perl,perl5,i18n}
    debroot_wrap "$temp"/root/usr/bin/python3.[0-9][0-9]
  fi
  # pip of the test venv, at work for the other Python.
  "$PIP_PYTHON" -m pip --python "$(mongoeco_python "$temp")" install --quiet --no-input --root-user-action=ignore \
    --target "$temp/site" "${MONGOECO_PACKAGES[@]}"
}

mongoeco_start() {
  local dir=$1
  serve "$dir/pid" "$dir/log" "$dir/port" mongoeco_launch
  write_uri "$dir/uri" "mongodb://127.0.0.1:$(<"$dir/port")/?retryWrites=false"
  sed -n 's/^mongoeco.*==/mongoeco /p' <<<"${MONGOECO_PACKAGES[0]}" >"$dir/version"
}

# Uses dir of mongoeco_start.
mongoeco_launch() {
  local install
  install=$(cache_dir)/$MONGOECO_NAME
  proc_launch "$dir/pid" "$dir/log" env PYTHONPATH="$install/site" PYTHONUNBUFFERED=1 "$(mongoeco_python "$install")" \
    "$REPO/tests/harness/mongoeco_server.py" --port "$1"
}

mongoeco_alive() { proc_alive "$1/pid"; }

mongoeco_stop() { proc_stop "$1/pid" TERM; }
