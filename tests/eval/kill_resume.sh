#!/bin/bash
# kill_resume.sh MUSTER [KILLS]: `muster eval` killed with -9 at random moments and started again, as often as that; each
# finished run is byte-identical to one that nobody disturbed.
set -eu
muster=$1
kills=${2:-10}
. "$(dirname "$0")/results_lib.sh"
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT

evaluate() {
    exec "$muster" eval --model models/muster-llama-tiny --tasks muster --limit 40 --batch-size 8 --output "$1" \
        --log-samples --quiet >"$dir/log" 2>&1
}

begin=$(date +%s%N)
(evaluate "$dir/calm")
span=$(((($(date +%s%N) - begin) / 1000000) + 1)) # milliseconds of an undisturbed run
collect "$dir/calm" "$dir/calm.plain"

n=0
finished=0
while [ "$n" -lt "$kills" ]; do
    (evaluate "$dir/wild") &
    pid=$!
    sleep "$(printf '%d.%03d' $((RANDOM * span / 32768 / 1000)) $((RANDOM * span / 32768 % 1000)))"
    if kill -9 "$pid" 2>/dev/null; then
        n=$((n + 1))
        wait "$pid" 2>/dev/null || true
        continue
    fi
    wait "$pid" || { cat "$dir/log" >&2; exit 1; }
    finished=$((finished + 1))
    collect "$dir/wild" "$dir/wild.plain"
    same "$dir/calm.plain" "$dir/wild.plain" "after $n kills"
    rm -rf "$dir/wild" "$dir/wild.plain"
done
(evaluate "$dir/wild") || { cat "$dir/log" >&2; exit 1; }
collect "$dir/wild" "$dir/wild.plain"
same "$dir/calm.plain" "$dir/wild.plain" "after $n kills"
echo "ok: $n kills, $((finished + 1)) finished runs, the same bytes ($span ms undisturbed)"
