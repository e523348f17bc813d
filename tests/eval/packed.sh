#!/bin/bash
# packed.sh MUSTER: a packed model is its checkpoint to an evaluation: the same samples, an answer of one found in the journal
# by the other. Ranks map its one file, read only, and have no other copy of the weights.
set -u
muster=$1
. "$(dirname "$0")/ranks_lib.sh"
options="--weights int8"

mapping_of() { # RANK: permissions
    awk -v f="$dir/packed/model.packed" '$NF == f { print $2 }' "/proc/$(pid_of_rank "$1")/maps" | sort -u
}

run_calm
"$muster" convert --quiet --model "$model" --output "$dir/packed" --packed --weights int8 >"$dir/out" || fail "packing: status $?"
model=$dir/packed
"$muster" plan "$model" --machine h100 >"$dir/out" 2>&1 || fail "a plan: $(cat "$dir/out")"
grep -qE '^  weights .* int8$' "$dir/out" || fail "the plan is of other weights: $(grep weights "$dir/out")"
start --layout dp=2
await_answers "dp=2" runs $job
for r in 0 1; do
    [ "$(mapping_of $r)" = r--p ] || fail "rank $r maps the file as \"$(mapping_of $r)\""
    ! grep -q 'memfd:muster-shared' "/proc/$(pid_of_rank $r)/maps" || fail "rank $r shares weights in memory too"
done
grep -q 'pages of their file; a share of them for 2 ranks' "$dir/err" || fail "the bill does not tell"
wait $job || fail "dp=2: status $?"
collect "$dir/wild" "$dir/plain" || fail "dp=2: no results"
for f in "$dir"/calm.plain/samples_*; do
    cmp "$f" "$dir/plain/$(basename "$f")" || fail "other samples than the checkpoint's"
done
# shellcheck disable=SC2046
"$muster" $(arguments "$dir/calm") >"$dir/out" 2>"$dir/err" || fail "in the checkpoint's journal: status $?"
grep -qE '^all [0-9]+ answers were in the journal' "$dir/err" || fail "the checkpoint's journal: $(grep journal "$dir/err")"
await_none 10
echo "ok"
