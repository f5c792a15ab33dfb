# shellcheck shell=bash
#
# tls.sh - a certificate for servers on this machine
#
#     tls_certificate DIR     makes DIR/tls.crt and DIR/tls.key unless they are there
#
# It signs itself: clients name tls.crt as their authority. DIR/tls.pem holds both, as mongod wants them.

tls_certificate() {
  local dir=$1
  [[ -s $dir/tls.pem ]] && return
  apt_need openssl
  (
    umask 077
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 3650 -subj /CN=127.0.0.1 \
      -addext 'subjectAltName=IP:127.0.0.1,DNS:localhost' -keyout "$dir/tls.key" -out "$dir/tls.crt" 2>/dev/null
    cat "$dir/tls.crt" "$dir/tls.key" >"$dir/tls.pem"
  )
  chmod 644 "$dir/tls.crt"
}

# tls_query DIR: what a URI needs to connect to a server with that certificate.
tls_query() { printf 'tls=true&tlsCAFile=%s' "$(percent_encode "$1/tls.crt")"; }
