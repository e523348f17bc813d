#!/bin/sh
# Installs what the build needs and is not there: Debian packages, as root or through sudo. Says what it does.
set -eu

packages="cmake ninja-build gcc clang clang-format libclang-rt-dev pkg-config git man-db
libjansson-dev libyaml-dev libpcre2-dev libutf8proc-dev libxxhash-dev libhwloc-dev
libsqlite3-dev libmicrohttpd-dev libcurl4-openssl-dev nettle-dev bubblewrap python3 curl
openmpi-bin libopenmpi-dev iproute2 valgrind"

missing=
for p in $packages; do
    dpkg-query -W -f='${Status}' "$p" 2>/dev/null | grep -q 'ok installed' || missing="$missing $p"
done
[ -n "$missing" ] || exit 0

run=
if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null || {
        echo "setup: these packages are missing and there is no sudo; install them as root:$missing" >&2
        exit 1
    }
    run=sudo
fi
echo "setup: installing$missing"
export DEBIAN_FRONTEND=noninteractive
$run apt-get update -qq
# shellcheck disable=SC2086
$run env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null
