# mpi_lib.sh: for the scripts beside it: ranks started, found, watched to their end.
mpi_rank=$1
. "$(dirname "${BASH_SOURCE[0]}")/processes_lib.sh" "$mpi_rank"
export ASAN_OPTIONS=${ASAN_OPTIONS:-detect_leaks=0}

# Our processes that still run: the guardian's, mpirun's and the ranks' command lines all name the program and the folder.
alive() { ps -eo pid=,stat=,args= | grep -F "$mpi_rank" | grep -vE 'grep|mpi_[a-z]*\.sh' | awk '$2 !~ /^Z/ {print $1}'; }
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
