#!/bin/sh
# The liveness of NATS: fails when the server does not answer, and when it refuses to write although there is space.
# After a write error (a full disk) nats-server stores nothing until it is restarted. A restart while the disk is still
# full would help nobody, and would cut everybody off again and again; so only free space makes this fail.
# With `--restart` it ends the server itself (compose, which restarts what ended, and not what is unhealthy).
LEAST_KB=${LEAST_KB:-65536}
STORE=${STORE:-/data}
PORT=${PORT:-8222}

SERVER=${SERVER:-1}

# After a write error nats-server may never come to the end that TERM asks for. From inside its container nobody can send
# it KILL, as it is process 1 there; QUIT ends every Go program at once.
end() { kill -TERM "$SERVER"; sleep 4; kill -QUIT "$SERVER" 2>/dev/null; }

# wget of busybox shows no body of a 503, so ask by hand.
ask() { printf 'GET %s HTTP/1.0\r\n\r\n' "$1" | nc -w 3 127.0.0.1 "$PORT"; }

case "$(ask '/healthz?js-server-only=true')" in
  *'"ok"'*) ;;
  *) echo "NATS does not answer"; exit 1 ;;
esac
case "$(ask /healthz)" in
  *'write error'*)
    free=$(df -Pk "$STORE" | awk 'NR == 2 { print $4 }')
    if [ "${free:-0}" -ge "$LEAST_KB" ]; then
      echo "NATS met a write error, and there is space again: it has to be restarted"
      [ "$1" != --restart ] || end
      exit 1
    fi
    echo "NATS cannot write: its disk is full" ;;
esac
exit 0
