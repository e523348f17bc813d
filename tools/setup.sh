#!/bin/sh
# Installs what the build and the tests need and is not there: Debian packages, as root or through sudo. Says what it does.
# Of Slurm only the programs are wanted: tests start their own, so no daemon is left running or enabled.
set -eu

packages="cmake ninja-build gcc clang clang-format libclang-rt-dev pkg-config git man-db
libjansson-dev libyaml-dev libpcre2-dev libutf8proc-dev libxxhash-dev libhwloc-dev
libsqlite3-dev libmicrohttpd-dev libcurl4-openssl-dev nettle-dev bubblewrap python3 curl
openmpi-bin libopenmpi-dev iproute2 procps valgrind
slurmctld slurmd slurm-client munge slurm-wlm-basic-plugins"
daemons="munge slurmctld slurmd"
policy=/usr/sbin/policy-rc.d # Debian asks it before it starts a daemon of a package

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
new=
for d in $daemons; do
    case " $(echo $missing) " in *" $d "*) new="$new $d" ;; esac
done
if [ -n "$new" ] && [ ! -e $policy ]; then
    trap '$run rm -f $policy' EXIT
    trap 'exit 1' INT TERM
    printf '#!/bin/sh\nexit 101\n' | $run tee $policy >/dev/null
    $run chmod 755 $policy
fi
$run apt-get update -qq
# shellcheck disable=SC2086
$run env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null
for d in $new; do # who had one before keeps it as it was
    $run update-rc.d "$d" disable >/dev/null
    ! command -v systemctl >/dev/null || $run systemctl --quiet disable "$d"
done
