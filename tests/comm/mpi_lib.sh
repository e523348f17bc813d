# mpi_lib.sh: for the scripts beside it: ranks started, found, watched to their end.
mpi_rank=$1
command -v mpirun.openmpi >/dev/null || { echo "skipped: no mpirun.openmpi (Debian's package openmpi-bin)"; exit 77; }
[ -e "$(dirname "$mpi_rank")/muster_mpi.so" ] || { echo "skipped: muster was built without Open MPI"; exit 77; }
export ASAN_OPTIONS=${ASAN_OPTIONS:-detect_leaks=0}
dir=$(mktemp -d)
# Open MPI's files in folders of our own, so that what other jobs leave is not counted.
mkdir "$dir/tmp" "$dir/shm"
export TMPDIR=$dir/tmp OMPI_MCA_btl_vader_backing_directory=$dir/shm

fail() {
    echo "failed: $*" >&2
    sed 's/^/  | /' "$dir"/err* >&2
    exit 1
}
now_ms() { echo $(($(date +%s%N) / 1000000)); }

# Our processes that still run: the guardian's, mpirun's and the ranks' command lines all name the program and the folder.
alive() { ps -eo pid=,stat=,args= | grep -F "$mpi_rank" | grep -vE 'grep|mpi_[a-z]*\.sh' | awk '$2 !~ /^Z/ {print $1}'; }
await_none() { # SECONDS
    until=$(($(now_ms) + $1 * 1000))
    while [ -n "$(alive)" ]; do
        [ "$(now_ms)" -lt "$until" ] || fail "processes stay: $(alive)"
        sleep 0.05
    done
}
# Before each run: a redirection in the background may come after the first look at the old lines.
new_err() { : >"$dir/err"; }
# Ranks at work: their lines on standard error.
await_work() { # RANKS FILE
    until=$(($(now_ms) + 60000))
    while [ "$(grep -c works "$2")" -lt "$1" ]; do
        [ "$(now_ms)" -lt "$until" ] || fail "$1 ranks never came to work"
        sleep 0.05
    done
}
pid_of() { sed -n "s/^rank $1 process \([0-9]*\) works/\1/p" "$2"; } # RANK FILE
no_files() {
    left=$(ls -A "$dir/tmp" "$dir/shm" | grep -v ':$' || true)
    [ -z "$left" ] || fail "left behind: $left"
}
cleanup() {
    for p in $(alive); do kill -9 "$p" 2>/dev/null || true; done
    rm -rf "$dir"
}
trap cleanup EXIT
