# processes_lib.sh PROGRAM: for scripts that start ranks: a folder of the script's own, processes watched to their end, nothing
# left behind. Sourced by bash; needs alive, which lists the script's processes. Skips, with the reason, where ranks cannot be
# started.
command -v mpirun.openmpi >/dev/null || { echo "skipped: no mpirun.openmpi (Debian's package openmpi-bin)"; exit 77; }
[ -e "$(dirname "$1")/muster_mpi.so" ] || { echo "skipped: muster was built without Open MPI"; exit 77; }
dir=$(mktemp -d)
# Open MPI's files in folders of our own, so that what other jobs leave is not counted.
mkdir "$dir/tmp" "$dir/shm"
export TMPDIR=$dir/tmp OMPI_MCA_btl_vader_backing_directory=$dir/shm

fail() {
    echo "failed: $*" >&2
    tail -n 20 "$dir"/err* 2>/dev/null | cut -c1-400 | sed 's/^/  | /' >&2
    exit 1
}
now_ms() { echo $(($(date +%s%N) / 1000000)); }
runs() { kill -0 "$1" 2>/dev/null && ! grep -qE '^State:.[ZX]' "/proc/$1/status" 2>/dev/null; } # PID

await_none() { # SECONDS
    until=$(($(now_ms) + $1 * 1000))
    while [ -n "$(alive)" ]; do
        [ "$(now_ms)" -lt "$until" ] || fail "processes stay: $(ps -o pid=,stat=,args= $(alive) | cut -c1-120)"
        sleep 0.05
    done
}
no_files() {
    left=$(ls -A "$dir/tmp" "$dir/shm" | grep -v ':$' || true)
    [ -z "$left" ] || fail "left behind: $left"
}
cleanup() {
    for p in $(alive); do kill -9 "$p" 2>/dev/null || true; done
    rm -rf "$dir"
}
trap cleanup EXIT
