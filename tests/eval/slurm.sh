#!/bin/bash
# slurm.sh MUSTER: ranks started by Slurm, a real one in a folder of this script's own: two nodes on this host. `srun
# --mpi=pmix` and `salloc mpirun` give the bytes of one rank; a rank killed under srun is named by all others, and a run on
# fewer ranks goes on. Skips where Slurm is not installed.
set -u
muster=$(realpath "$1")
. "$(dirname "$0")/ranks_lib.sh"
. "$(dirname "$0")/../slurm/slurm_lib.sh"
ulimit -c 0
trap 'slurm_stop; cleanup' EXIT

begin_srun() { # LAYOUT RANKS options of srun...
    layout=$1 ranks=$2
    shift 2
    rm -rf "$dir/wild"
    : >"$dir/err"
    # shellcheck disable=SC2046
    timeout 120 srun "$@" -n "$ranks" --mpi=pmix "$muster" $(arguments "$dir/wild") --layout "$layout" >"$dir/out" \
        2>"$dir/err" </dev/null &
    job=$!
}

slurm_node node 2 "CPUs=8"
slurm_partition "PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE"
slurm_start
run_calm

begin_srun tp=2,pp=2 4 -N2 --ntasks-per-node=2
wait $job || fail "srun: status $?"
same_as_calm "$dir/wild" "srun -N2 -n4"

rm -rf "$dir/wild"
# shellcheck disable=SC2046
OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 timeout 120 salloc -Q -N2 --ntasks-per-node=2 mpirun.openmpi \
    --oversubscribe --bind-to none "$muster" $(arguments "$dir/wild") --layout pp=2,dp=2 >"$dir/out" 2>"$dir/err" </dev/null ||
    fail "salloc mpirun: status $?"
same_as_calm "$dir/wild" "salloc mpirun"

begin_srun tp=3 3 -N1
await_bill $job "$dir/err" || fail "srun: ended before it began"
pause_ms $((span / 2))
had=$(committed "$dir/wild")
lost=$(pid_of_rank 1)
begin=$(now_ms)
kill -9 "$lost" || fail "srun: no rank 1"
wait $job
got=$?
took=$(($(now_ms) - begin))
[ $took -lt 10000 ] || fail "srun: it took $took ms to end after rank 1 was killed"
[ $got != 0 ] || fail "srun: status 0 after rank 1 was killed"
for p in $(pgrep -x muster); do ! grep -qFe "$dir" "/proc/$p/cmdline" 2>/dev/null || fail "srun: process $p stays"; done
grep -qE "rank 1 on .* \(process $lost\) .* while group" "$dir/err" || fail "srun: nobody names rank 1"
go_on "$dir/wild" "$had" "srun, rank 1 killed" --layout tp=2
echo "ok: srun and salloc give one rank's bytes; a killed rank was named, srun ended with $got after $took ms"
