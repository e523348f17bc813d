#!/bin/sh
# same_bytes.sh MUSTER [quick]: results and samples are the same bytes for every batch size, work sharing and threads.
set -eu
muster=$1
quick=${2:-}
. "$(dirname "$0")/results_lib.sh"
limit=24
[ -z "$quick" ] || limit=14
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
n=0

run() { # options...: a run of its own, compared with the first
    n=$((n + 1))
    "$muster" eval --model models/muster-llama-tiny --tasks muster --limit $limit --output "$dir/$n" --log-samples --quiet \
        "$@" >/dev/null
    collect "$dir/$n" "$dir/$n.plain"
    same "$dir/1.plain" "$dir/$n.plain" "$*"
    computed=$(sed -n 's/^    "tokens_computed": \([0-9]*\).*/\1/p' "$dir/$n"/*/results_*.json)
    rm -rf "$dir/$n"
}

naive() { # options...: computes as many tokens as the plan says of requests that share nothing
    run --work naive "$@"
    planned=$(sed -n 's/^ *"tokens_naive": \([0-9]*\).*/\1/p' "$dir/$n.plain/results.json")
    [ "$computed" = "$planned" ] || {
        echo "not ok: naive work computed $computed tokens, planned were $planned" >&2
        exit 1
    }
}

run --batch-size 8
if [ -n "$quick" ]; then # in pairs
    run --batch-size 1 --threads 1
    run --batch-size 64 --threads 4
else
    for b in 1 2 4 16 32 64; do run --batch-size "$b"; done
    for t in 1 2 3 4; do run --threads "$t"; done
    naive
fi
naive --batch-size 1 --threads 3
run --batch-tokens 64 --level ref
echo "ok: $n runs, the same bytes"
