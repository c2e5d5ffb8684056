#!/usr/bin/env bash
# A server on a fresh demo shop for the browser tests; its data goes with it.
set -euo pipefail
data=$(mktemp -d)
trap 'kill -TERM "$server" 2>/dev/null; wait "$server" 2>/dev/null; rm -rf "$data"' EXIT
../bin/duoduopin serve --demo --migrate --http-addr "127.0.0.1:$PORT" --media-addr 127.0.0.1:18443 --public-ips 127.0.0.1 --data-dir "$data" --limits off --edge-secret secret-of-the-e2e-edges &
server=$!
trap 'exit 0' TERM INT
wait "$server"
