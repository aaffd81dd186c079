#!/bin/sh
# Prints a new value for every secret of an installation, as lines NAME=value (compose reads them from .env):
#   (umask 077; sh deploy/new-secrets.sh > .env)
# The NATS passwords start with a letter and hold no punctuation, because NATS reads them as values of its
# configuration: digits would be a number, and a `#` would begin a comment and cut the password short.
set -eu
for user in GATEWAY ROOMS AUTH OBSERVER OPERATOR; do
  echo "PARLEY_NATS_${user}_PASSWORD=p$(openssl rand -hex 24)"
done
echo "PARLEY_SIGNAL_KEYS=k1:$(openssl rand -base64 32)"
echo "PARLEY_TOKEN_SECRET=$(openssl rand -hex 32)"
echo "PARLEY_GRANT_SECRET=$(openssl rand -hex 32)"
echo "PARLEY_TURN_SECRET=$(openssl rand -hex 32)"
