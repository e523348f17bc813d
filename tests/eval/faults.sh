#!/bin/bash
# faults.sh MUSTER [ROUNDS]: an evaluation over ranks of one machine loses a rank, killed or stopped, at a random moment: all
# others end within 10 s with a sentence that names it; no process and no file stays; the journal holds what was finished; a
# run on fewer ranks goes on from there and writes the bytes of an undisturbed one. A rank stopped for two seconds is no
# loss. Without ROUNDS a short tour; with it each rank of each layout, killed and stopped, as many times.
#
# MUSTER_FAULT_SEED repeats a failed run's moments, as far as a clock does; MUSTER_FAULT_LAYOUTS names layouts and their ranks.
set -u
muster=$1
rounds=${2:-0}
. "$(dirname "$0")/ranks_lib.sh"
slowest=0 lost=0 finished=0 went_on=0

fewer() { # LAYOUT: options of a run on fewer ranks
    case $1 in
    tp=3) echo "--layout tp=2" ;;
    tp=2,pp=2) echo "--layout pp=3" ;;
    *) ;; # one rank
    esac
}

begin_run() { # LAYOUT
    start --layout "$1"
    disown # it may be killed, which is no news
}

# Each of the others says it, in one line of its own.
others_name() { # RANKS RANK PROCESS WHAT
    who="rank $2 on .* \(process $3\)"
    named=$(grep -cE "^muster eval: (.*: )?$who .* while group [a-z]+ ran [a-z_]+, call [0-9]+" "$dir/err")
    [ "$named" = $(($1 - 1)) ] || fail "$4: $named of $(($1 - 1)) ranks name rank $2, process $3"
}

tell() { [ "$rounds" = 0 ] || echo "$*"; } # long tours only

lose() { # LAYOUT RANKS RANK SIGNAL
    draw $((span + span / 2))
    what="seed $seed: $1, SIG$4 to rank $3 after $r ms"
    begin_run "$1"
    await_bill $job "$dir/err" || fail "$what: ended before it began"
    pause_ms "$r"
    for i in $(seq 0 $(($2 - 1))); do peer[i]=$(pid_of_rank "$i"); done
    had=$(committed "$dir/wild")
    begin=$(now_ms)
    if [ -z "${peer[$3]}" ] || ! kill -"$4" "${peer[$3]}" 2>/dev/null; then # too late
        await_none 60
        same_as_calm "$dir/wild" "$what, which came too late"
        finished=$((finished + 1))
        return
    fi
    if outlives "$1" "$2" "$3"; then
        while runs $job; do sleep 0.02; done
        took=$(($(now_ms) - begin))
        is_finished "$dir/wild" || [ $took -lt 15000 ] || fail "$what: neither outlived nor over in 10 s"
    else
        await_others "$2" "$3" "$what"
    fi
    await_none 20
    no_files
    if is_finished "$dir/wild"; then # lost on its way out, or outlived
        same_as_calm "$dir/wild" "$what"
        went_on=$((went_on + 1))
        tell "$what: outlived"
        return
    fi
    others_name "$2" "$3" "${peer[$3]}" "$what"
    lost=$((lost + 1))
    tell "$what: all others ended after $took ms"
    # shellcheck disable=SC2046
    go_on "$dir/wild" "$had" "$what" $(fewer "$1")
}

# Every rank in turn is stopped for two seconds.
slow() { # LAYOUT RANKS
    begin_run "$1"
    await_bill $job "$dir/err" || fail "$1 ended before it began"
    for i in $(seq 0 $(($2 - 1))); do
        p=$(pid_of_rank "$i")
        [ -n "$p" ] && kill -STOP "$p" || continue
        sleep 2
        kill -CONT "$p"
        sleep 0.2
    done
    await_none 120
    is_finished "$dir/wild" || fail "$1: ranks stopped for two seconds each were not outlived"
    same_as_calm "$dir/wild" "$1, each rank stopped for two seconds"
}

# Under a launcher of the user's own, as it comes: it ends what a rank's death leaves, soon after the ranks do so themselves.
under_mpirun() {
    what="mpirun's own ranks, rank 1 killed"
    rm -rf "$dir/wild"
    : >"$dir/err"
    # shellcheck disable=SC2046
    OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 mpirun.openmpi --oversubscribe --bind-to none -n 3 \
        "$muster" $(arguments "$dir/wild") --layout tp=3 >"$dir/out" 2>"$dir/err" </dev/null &
    job=$!
    disown
    await_bill $job "$dir/err" || fail "$what: ended before it began"
    pause_ms $((span / 2))
    for i in 0 1 2; do peer[i]=$(pid_of_rank $i); done
    had=$(committed "$dir/wild")
    begin=$(now_ms)
    kill -9 "${peer[1]}"
    await_others 3 1 "$what"
    await_none 10
    others_name 3 1 "${peer[1]}" "$what"
    go_on "$dir/wild" "$had" "$what" --layout tp=2
}

[ "$rounds" != 0 ] || limit=16
run_calm
if [ "$rounds" = 0 ]; then
    draw 3 && lose tp=3 3 $r KILL
    draw 2 && lose pp=2 2 $r STOP
    lose dp=2 2 0 KILL
    draw 4 && lose tp=2,pp=2 4 $r KILL
    slow tp=2 2
    under_mpirun
fi
for _ in $(seq "$rounds"); do
    for layout in ${MUSTER_FAULT_LAYOUTS:-tp=3:3 pp=2:2 dp=2:2 tp=2,pp=2:4 tp=2,dp=2:4}; do
        for rank in $(seq 0 $((${layout#*:} - 1))); do
            lose "${layout%:*}" "${layout#*:}" "$rank" KILL
            lose "${layout%:*}" "${layout#*:}" "$rank" STOP
        done
        slow "${layout%:*}" "${layout#*:}"
    done
    under_mpirun
done
echo "ok: $lost ranks lost, the others ended after at most $slowest ms; $went_on outlived, $finished too late (seed $seed)"
