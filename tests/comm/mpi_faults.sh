#!/bin/bash
# mpi_faults.sh MPI_RANK [ROUNDS]: each of 4 ranks killed (SIGKILL) and stopped (SIGSTOP) at a random moment: all others end
# within 10 s with a sentence that names the lost rank, the launcher returns, no process and no file stays.
set -u
. "$(dirname "$0")/mpi_lib.sh"
rounds=${2:-1}
slowest=0

lose() { # RANK SIGNAL
    new_err
    "$mpi_rank" --ranks 4 work >"$dir/out" 2>"$dir/err" </dev/null &
    guardian=$!
    await_work 4 "$dir/err"
    sleep "$(printf '0.%03d' $((RANDOM % 700)))"
    pid=$(pid_of "$1" "$dir/err")
    begin=$(now_ms)
    kill -"$2" "$pid"
    while [ "$(grep -c '^rank [0-9]*: EPEER' "$dir/err")" -lt 3 ]; do
        [ $(($(now_ms) - begin)) -lt 10000 ] || fail "10 s after $2 to rank $1 not all others had spoken"
        sleep 0.02
    done
    for other in 0 1 2 3; do
        [ "$other" = "$1" ] && continue
        peer=$(pid_of $other "$dir/err")
        while runs "$peer"; do
            [ $(($(now_ms) - begin)) -lt 10000 ] || fail "10 s after $2 to rank $1, rank $other still runs"
            sleep 0.02
        done
        grep -qE "^rank $other: EPEER: rank $1 on .* \(process $pid\) .* while group world ran [a-z_]+, call [0-9]+" \
            "$dir/err" || fail "rank $other does not name rank $1"
    done
    took=$(($(now_ms) - begin))
    [ $took -le $slowest ] || slowest=$took
    wait $guardian
    got=$?
    [ $got = 14 ] || fail "$2 to rank $1: status $got, not 14"
    await_none 10
    no_files
}

# A rank killed on its way in, when nobody watches yet: the launcher ends the others.
lose_early() {
    new_err
    "$mpi_rank" --ranks 4 work >"$dir/out" 2>"$dir/err" </dev/null &
    guardian=$!
    begin=$(now_ms)
    pid=
    while [ -z "$pid" ]; do
        mpirun=$(pgrep -P $guardian | head -n 1)
        [ -z "$mpirun" ] || pid=$(pgrep -P "$mpirun" | tail -n 1)
        [ $(($(now_ms) - begin)) -lt 20000 ] || fail "no rank was started"
    done
    sleep "$(printf '0.%03d' $((RANDOM % 200)))"
    kill -9 "$pid"
    wait $guardian
    got=$?
    [ $got = 14 ] || fail "a rank killed early: status $got, not 14"
    [ $(($(now_ms) - begin)) -lt 80000 ] || fail "a rank killed early: the launcher took too long"
    await_none 10
    no_files
}

for round in $(seq "$rounds"); do
    lose_early
    for rank in 0 1 2 3; do
        lose $rank KILL
        lose $rank STOP
    done
done
echo "ok: $((rounds * 8)) ranks lost, the others ended after at most $slowest ms"
