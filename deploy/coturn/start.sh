#!/bin/sh
# Starts coturn with turnserver.conf beside this file, and with what the installation gives in the environment:
#   PARLEY_TURN_SECRET       shared with auth, which signs the credentials with it
#   PARLEY_TURN_REALM        the realm, a domain name
#   PARLEY_TURN_EXTERNAL_IP  the public address, or public/private, where this host only has a private one (NAT)
#   TURN_CERT, TURN_KEY      files with a certificate and its key, for `turns:`
#   TURN_RUN                 a folder of its own to write to (default /tmp)
# Arguments are passed on. The secret goes by way of a file, as arguments can be seen by every process of the host.
set -eu
: "${PARLEY_TURN_SECRET:?the secret that auth has as well}"
run="${TURN_RUN:-/tmp}"
umask 077
{
  cat "$(dirname "$0")/turnserver.conf"
  echo "static-auth-secret=$PARLEY_TURN_SECRET"
  echo "realm=${PARLEY_TURN_REALM:-parley}"
  echo "pidfile=$run/turnserver.pid"
  echo "userdb=$run/turndb"
  [ -z "${PARLEY_TURN_EXTERNAL_IP:-}" ] || echo "external-ip=$PARLEY_TURN_EXTERNAL_IP"
  if [ -n "${TURN_CERT:-}" ]; then
    echo "cert=$TURN_CERT"
    echo "pkey=$TURN_KEY"
  else
    echo no-tls
  fi
} > "$run/turnserver.conf"
unset PARLEY_TURN_SECRET
exec turnserver -c "$run/turnserver.conf" "$@"
