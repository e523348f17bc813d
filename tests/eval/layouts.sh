#!/bin/sh
# layouts.sh MUSTER [quick]: results and samples are the same bytes for every layout, over real ranks under MPI.
set -eu
muster=$1
quick=${2:-}
. "$(dirname "$0")/results_lib.sh"
"$muster" score --model models/muster-llama-tiny --file /dev/null --ranks 2 --quiet 2>/dev/null || {
    echo "skipped: two ranks cannot be started here: $("$muster" score --model models/muster-llama-tiny --file /dev/null \
        --ranks 2 --quiet 2>&1 | tail -1)"
    exit 77
}
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
n=0

# Every step says where it fails: `set -e` sleeps inside a condition.
run() { # MODEL options...: a run of its own, compared with the model's first
    model=$1
    shift
    n=$((n + 1))
    "$muster" eval --model "models/$model" --tasks muster --limit "$limit" --output "$dir/$n" --log-samples --quiet \
        --threads 1 "$@" >/dev/null || return 1
    collect "$dir/$n" "$dir/$n.plain" || return 1
    [ -d "$dir/$model" ] || cp -r "$dir/$n.plain" "$dir/$model"
    same "$dir/$model" "$dir/$n.plain" "$model $*" || return 1
    rm -rf "${dir:?}/$n" "$dir/$n.plain"
}

limit=8
llama="tp=2 pp=2 dp=2 tp=2,pp=2"
falcon="tp=3 tp=2,pp=2"
experts="tp=2,ep=2 dp=2,ep=2 pp=2,dp=2,ep=2 tp=2,cp=2"
if [ "$quick" != quick ]; then
    limit=24
    llama="tp=2 tp=3 tp=4 pp=2 pp=3 pp=4 dp=2 dp=3 tp=2,pp=2 tp=2,dp=2 pp=2,dp=2 pp=3,dp=2 tp=4,pp=2 tp=2,pp=3 tp=2,dp=3
        tp=2,pp=2,dp=2 tp=3,pp=2 tp=3,dp=2 tp=2,cp=2 tp=4,cp=2 tp=3,cp=3 tp=2,cp=2,pp=2 auto"
    falcon="$llama tp=6 tp=8 tp=8,cp=4"
    experts="tp=2 tp=3 tp=4 pp=2 pp=3 dp=2 dp=3 tp=2,ep=2 dp=2,ep=2 dp=4,ep=4 tp=2,dp=2,ep=4 dp=8,ep=8 pp=2,dp=2,ep=2
        pp=2,tp=2,ep=2 dp=4,ep=2 tp=2,pp=2,dp=2,ep=4 pp=2,dp=4,ep=4 tp=2,dp=4,ep=4 tp=4,dp=2,ep=8 tp=2,cp=2 tp=4,cp=4
        tp=2,cp=2,dp=2,ep=4 tp=4,cp=2,pp=2"
fi

# A layout that the model's sizes rule out is refused in a sentence and left out.
try() { # MODEL LAYOUT
    ranks=
    [ "$2" != auto ] || ranks="--ranks 2"
    if ! run "$1" $ranks --layout "$2" 2>"$dir/refused"; then
        grep -q 'cannot be' "$dir/refused" || { cat "$dir/refused" >&2; exit 1; }
        echo "refused: $1 $(tail -1 "$dir/refused")"
    fi
}

every() { # MODEL LAYOUTS...
    model=$1
    shift
    run $model
    for l; do try $model "$l"; done
}
every muster-llama-tiny $llama
every muster-dsv3-tiny $experts
every muster-falcon-tiny $falcon
echo "ok: $n runs, the same bytes"
