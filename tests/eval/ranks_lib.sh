# ranks_lib.sh: `muster eval` over ranks, for the scripts beside it: started, found, lost, run again. Sourced by bash after
# muster=PROGRAM; skips, with the reason, where ranks cannot be started.
. "$(dirname "${BASH_SOURCE[0]}")/results_lib.sh"
. "$(dirname "${BASH_SOURCE[0]}")/../comm/processes_lib.sh" "$muster"
model=${MUSTER_FAULT_MODEL:-models/muster-llama-tiny}
limit=${MUSTER_FAULT_LIMIT:-40}

pause_ms() { sleep "$(printf '%d.%03d' $(($1 / 1000)) $(($1 % 1000)))"; }

# One sequence at a time and nothing shared, so that a small model takes its time.
arguments() { # FOLDER: of an evaluation that writes there
    echo eval --model "$model" --tasks muster,muster_generate --limit "$limit" --log-samples --threads 1 --batch-size 1 \
        --work naive ${options:-} --output "$1"
}

# Our processes that still run: the guardian's, mpirun's and the ranks' command lines all name the folder.
alive() {
    for p in $(pgrep -f -- "$dir"); do
        grep -qE '^State:.[ZX]' "/proc/$p/status" 2>/dev/null || [ ! -d "/proc/$p" ] || echo "$p"
    done
}

pid_of_rank() { # RANK
    for p in $(pgrep -x muster); do
        if grep -qFe "$dir" "/proc/$p/cmdline" 2>/dev/null &&
            tr '\0' '\n' 2>/dev/null <"/proc/$p/environ" | grep -qxE "(OMPI_COMM_WORLD_RANK|PMIX_RANK)=$1"; then
            echo "$p"
            return
        fi
    done
}

start() { # options...: an evaluation in $dir/wild, in the background; $job is the process that was started
    rm -rf "$dir/wild"
    : >"$dir/err" # before: a redirection in the background may come later
    # shellcheck disable=SC2046
    "$muster" $(arguments "$dir/wild") "$@" >"$dir/out" 2>"$dir/err" </dev/null &
    job=$!
}

# The memory bill is shown when all ranks have their places: from then on each is watched.
await_bill() { # PROCESS FILES...: false when it ended before
    p=$1 until=$(($(now_ms) + 60000))
    shift
    until cat "$@" 2>/dev/null | grep -q '^memory$'; do
        runs "$p" || return 1
        [ "$(now_ms)" -lt "$until" ] || fail "the ranks never came to work"
        sleep 0.02
    done
}

is_finished() { [ -n "$(find "$1" -name 'results_*.json' 2>/dev/null)" ]; } # FOLDER

# Answers that the journal holds for certain, by a copy taken of a file that is written to: at least so many.
committed() { # FOLDER
    rm -rf "$dir/copy"
    mkdir "$dir/copy"
    cp "$1/journal.sqlite" "$dir/copy/" 2>/dev/null || { echo 0; return; }
    cp "$1/journal.sqlite-wal" "$dir/copy/" 2>/dev/null
    python3 - "$dir/copy/journal.sqlite" 2>/dev/null <<'P' || echo 0
import sqlite3, sys
print(sqlite3.connect(sys.argv[1]).execute("select count(*) from answer").fetchone()[0])
P
}

# The run in $dir/wild is at work, all its replicas too: its journal has an answer.
await_answers() { # WHOSE COMMAND...: which is true for as long as that runs
    whose=$1 until=$(($(now_ms) + 120000))
    shift
    until [ "$(committed "$dir/wild")" -gt 0 ]; do
        "$@" || fail "$whose: ended before it began"
        [ "$(now_ms)" -lt "$until" ] || fail "$whose: no answer in two minutes"
        sleep 0.05
    done
}

# What an undisturbed rank writes: the bytes that all others are held to, and how many milliseconds it took.
run_calm() {
    begin=$(now_ms)
    # shellcheck disable=SC2046
    "$muster" $(arguments "$dir/calm") --quiet >"$dir/out" 2>"$dir/err" || fail "an undisturbed run: status $?"
    span=$(($(now_ms) - begin))
    collect "$dir/calm" "$dir/calm.plain"
}
same_as_calm() { # FOLDER WHAT
    collect "$1" "$dir/plain" || fail "$2: no results"
    same "$dir/calm.plain" "$dir/plain" "$2" || fail "$2: other bytes than an undisturbed run's"
    rm -rf "$dir/plain"
}

# $job comes to its end as an undisturbed run does, and nothing of it stays.
await_end() { # WHAT
    wait $job
    got=$?
    [ $got = 0 ] || fail "$1: status $got"
    same_as_calm "$dir/wild" "$1"
    await_none 10
    no_files
}

# All ranks whose processes are in peer, but RANK (may be empty), have gone within 10 s of begin.
await_others() { # RANKS RANK WHAT
    for other in $(seq 0 $(($1 - 1))); do
        [ "$other" != "$2" ] || continue
        while [ -n "${peer[$other]}" ] && runs "${peer[$other]}"; do
            [ $(($(now_ms) - begin)) -lt 10000 ] || fail "10 s after $3 rank $other still runs"
            sleep 0.02
        done
    done
    took=$(($(now_ms) - begin))
    [ $took -le $slowest ] || slowest=$took
}

# A replica other than rank 0's may cost its share only when it is lost; the others then come to the end.
outlives() { # LAYOUT RANKS RANK
    case $1 in *dp=2*) [ "$3" -ge $(($2 / 2)) ] ;; *) false ;; esac
}

# The same evaluation goes on in its folder: nothing that was committed is asked for again, and the bytes are the same.
go_on() { # FOLDER COMMITTED WHAT options...
    folder=$1 least=$2 what=$3
    shift 3
    # shellcheck disable=SC2046
    timeout 300 "$muster" $(arguments "$folder") "$@" >"$dir/out" 2>"$dir/err.again" || fail "$what, run again: status $?"
    had=$(sed -nE 's/^(in the journal already: |all )([0-9]+) answers.*/\2/p' "$dir/err.again")
    [ "${had:-0}" -ge "$least" ] || fail "$what: $least answers were committed, and the next run found ${had:-0}"
    same_as_calm "$folder" "$what"
    rm -f "$dir/err.again"
}

# A random number below N; the same again for the same seed. Sets r: a substitution would draw in a shell of its own.
seed=${MUSTER_FAULT_SEED:-$((RANDOM * 32768 + RANDOM))}
RANDOM=$seed
draw() { r=$(((RANDOM * 32768 + RANDOM) % $1)); } # N

# ---- ranks that differ from each other ----

# Writes $dir/rank, a rank of mpirun's: as the others, but for what $dir/on.RANK says: program=PATH, other=MODEL, a limit.
make_rank() {
    cat >"$dir/rank" <<R
#!/bin/bash
rank=\$OMPI_COMM_WORLD_RANK
program="$muster" other=
[ ! -e "$dir/on.\$rank" ] || . "$dir/on.\$rank"
"\$program" "\$@" \${other:+--model "\$other"} 2>"$dir/err.\$rank"
echo \$? >"$dir/status.\$rank"
R
    chmod +x "$dir/rank"
}

# Rank 0 says SENTENCE, all of them together say one, no rank ends with 0, rank 0 ends with STATUS.
check_refused() { # WHAT STATUS SENTENCE
    grep -qE "^muster eval: $3" "$dir/err.0" || fail "$1: rank 0 does not say: $3"
    [ "$(cat "$dir"/err.[0-9] | grep -c '^muster eval: ')" = 1 ] || fail "$1: not one sentence"
    [ "$(cat "$dir/status.0")" = "$2" ] || fail "$1: status $(cat "$dir/status.0"), not $2"
    ! grep -qx 0 "$dir"/status.* || fail "$1: a rank ended with 0"
}

# A folder with the model's files: copies of those named, which may be changed, and links to the others.
folder() { # PATH NAMES...
    rm -rf "$1"
    mkdir "$1"
    ln -s "$(realpath "$model")"/* "$1/"
    into=$1
    shift
    for f in "$@"; do
        rm "$into/$f"
        cp "$model/$f" "$into/$f"
    done
}
other_config() { # PATH
    folder "$1" config.json
    sed -i 's/"rms_norm_eps": *[^,]*/"rms_norm_eps": 1e-4/' "$1/config.json"
    ! cmp -s "$model/config.json" "$1/config.json" || fail "the configuration is the same"
}
