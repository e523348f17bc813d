#!/bin/bash
# mpi_launch.sh MPI_RANK: ranks started by --ranks: statuses, standard files, signals, the guardian's and mpirun's deaths,
# and what a launcher of one's own may say.
set -u
. "$(dirname "$0")/mpi_lib.sh"

check() { # WHAT STATUS COMMAND...: exit status; output in $dir/out and $dir/err
    what=$1 want=$2
    shift 2
    timeout 60 "$@" >"$dir/out" 2>"$dir/err" </dev/null
    got=$?
    [ "$got" = "$want" ] || fail "$what: status $got, not $want"
}
says() { grep -qE "$1" "$dir/err" || fail "nobody says: $1"; }

# Statuses: the cause before its consequences, whichever rank.
for rank in 0 2 3; do
    check "a rank that fails" 7 "$mpi_rank" --ranks 4 end 7 $rank
    says "^rank $rank: ENOMEM: told to end"
    says "^rank 1: EPEER: rank $rank on .* gave up: it was told to"
done
check "a message of another size" 1 "$mpi_rank" --ranks 3 size
says "^rank 1: EINTERNAL: .*sent 20 bytes where 12 were expected"
says "^rank 2: EPEER: rank 1 on .*sent 20 bytes where 12 were expected"

# Standard input and output are rank 0's, byte for byte.
seq 1 100000 >"$dir/in"
timeout 60 "$mpi_rank" --ranks 3 echo <"$dir/in" >"$dir/out" 2>"$dir/err" || fail "echo: status $?"
cmp "$dir/in" "$dir/out" || fail "standard output is not rank 0's"
says "^rank 1 read 0 bytes"
says "^rank 0 read 588895 bytes"
[ "$(wc -l <"$dir/err")" = 3 ] || fail "more on standard error than the ranks said"

# A first signal asks, a second one ends.
for signal in INT TERM HUP; do
    new_err
    timeout 60 env --default-signal="$signal" "$mpi_rank" --ranks 4 work >"$dir/out" 2>"$dir/err" &
    await_work 4 "$dir/err"
    kill -$signal "$(pgrep -P $! -f mpi_rank)"
    wait $!
    got=$?
    [ "$signal" = HUP ] || [ "$got" = 0 ] || fail "asked by $signal: status $got"
    [ "$signal" = HUP ] || [ "$(grep -c stops "$dir/err")" = 4 ] || fail "not all ranks stopped in order"
    await_none 10
done

# The guardian or mpirun killed: nobody stays, nothing stays.
for victim in guardian mpirun; do
    new_err
    "$mpi_rank" --ranks 4 hang >"$dir/out" 2>"$dir/err" &
    guardian=$!
    await_work 4 "$dir/err"
    if [ $victim = guardian ]; then kill -9 $guardian; else kill -9 "$(pgrep -P $guardian)"; fi
    wait $guardian 2>/dev/null
    got=$?
    await_none 10
    no_files
    [ $victim = guardian ] || [ $got = 14 ] || fail "$victim killed: status $got"
done

# Launchers of one's own.
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
check "another number than the launcher's" 2 mpirun.openmpi -quiet --oversubscribe -n 2 "$mpi_rank" --ranks 3 end 0 0
says "3 ranks are wanted, but the launcher started 2"
check "tasks of srun without PMIx" 2 env SLURM_STEP_NUM_TASKS=4 "$mpi_rank" --ranks 2 end 0 0
says "srun --mpi=pmix -n 2"
check "no mpirun" 6 env PATH=/nonexistent "$mpi_rank" --ranks 2 end 0 0
says "openmpi-bin"
check "WORLD_SIZE is nobody's role" 2 env WORLD_SIZE=8 RANK=3 "$mpi_rank" --ranks 5000 end 0 0
says "5000 ranks: the number must lie in 1..4096"
mkdir "$dir/bare"
cp "$mpi_rank" "$dir/bare/"
check "no module" 6 "$dir/bare/$(basename "$mpi_rank")" --ranks 2 end 0 0
says "muster_mpi.so.*libopenmpi-dev"
no_files
echo "ok: statuses, files, signals, deaths and launchers"
