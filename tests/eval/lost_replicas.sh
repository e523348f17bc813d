#!/bin/bash
# lost_replicas.sh MUSTER [ROUNDS]: an evaluation over replicas loses ranks of others than rank 0's, killed and stopped: the
# run ends with status 0 and the bytes of an undisturbed one, one warning names the rank, the results tell of it, what is
# left of the lost replica ends within 10 s, and no process and no file stays.
set -u
muster=$1
rounds=${2:-1}
. "$(dirname "$0")/ranks_lib.sh"
n=0

begin_run() { # LAYOUT: in the background; $job is the process
    start --layout "$1"
    await_answers "$1" runs $job
}

# The other ranks of a lost replica are gone within 10 s, whatever else goes on.
await_replica() { # WHAT LOST PIDS...
    what=$1 lost=$2
    shift 2
    for p in "$@"; do
        [ "$p" = "$lost" ] && continue
        while runs "$p"; do
            [ $(($(now_ms) - begin)) -lt 10000 ] || fail "$what: process $p of the lost replica still runs after 10 s"
            sleep 0.02
        done
    done
}

check_end() { # WHAT REPLICAS: so many were lost
    await_end "$1"
    warned=$(grep -cE '^warning: rank [0-9]+ on .* \(process [0-9]+\) .*: replica [0-9]+ is lost; [0-9]+ requests? ' "$dir/err")
    [ "$warned" = "$2" ] || fail "$1: $warned warnings, not $2"
    ! grep -q 'EPEER\|^muster eval: ' "$dir/err" || fail "$1: others speak too"
    grep -q "\"replicas_lost\": $2" "$dir"/wild/*/results_*.json || fail "$1: the results do not tell"
}

lose() { # LAYOUT SIGNAL RANK RANKS: of the replica, its ranks
    what="$1, SIG$2 to rank $3"
    begin_run "$1"
    peers=
    for r in $4; do peers="$peers $(pid_of_rank "$r")"; done
    victim=$(pid_of_rank "$3")
    [ -n "$victim" ] || fail "$what: no such rank"
    begin=$(now_ms)
    kill -"$2" "$victim"
    [ "$2" = STOP ] && sleep 5
    # shellcheck disable=SC2086
    await_replica "$what" "$victim" $peers
    grep -q "rank $3 on .* (process $victim)" "$dir/err" || sleep 1
    check_end "$what" 1
    grep -q "^warning: rank $3 on .* (process $victim) " "$dir/err" || fail "$what: the warning names another"
    n=$((n + 1))
}

# All but rank 0's replica go, one by one.
lose_all() {
    begin_run dp=3
    kill -9 "$(pid_of_rank 1)"
    sleep 0.2
    kill -9 "$(pid_of_rank 2)"
    check_end "dp=3, ranks 1 and 2 killed" 2
    n=$((n + 2))
}

run_calm
for _ in $(seq "$rounds"); do
    lose dp=3 KILL 2 2
    lose tp=2,dp=2 KILL 3 "2 3"
    lose tp=2,dp=2 STOP 2 "2 3"
    lose_all
done
echo "ok: $n ranks lost, the same bytes"
