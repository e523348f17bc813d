#!/bin/bash
# alerts.sh MUSTER: what `muster run` tells a command: a task that cannot fit into its memory, and the end; and what a
# start after a lost orchestrator tells.
set -eu
muster=$1
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
fail() {
    echo "failed: $*" >&2
    cat "$dir"/got "$dir"/err >&2 || true
    exit 1
}
cat >"$dir/c.yaml" <<END
name: told
output: $dir/out
models:
  - {name: fits, model: models/muster-llama-tiny}
  - {name: tight, model: models/muster-llama-tiny, max_memory: 1MB}
suites: [{name: sums, tasks: sums, include_path: examples, limit: 5, bootstrap_iters: 10}]
settings: [{retries: {limit: 1, wait: 0s}, shrink: []}]
failures: {out_of_memory: {first: retry, tries: 2, then: give_up}}
alerts: {command: "cat >>'$dir/got'; echo >>'$dir/got'; echo heard", timeout: 20s}
END
status=0
"$muster" run "$dir/c.yaml" -q >"$dir/stdout" 2>"$dir/err" || status=$?
[ "$status" = 14 ] || fail "status $status"
count() { grep -c "$1" "$dir/got" || true; }
[ "$(count '"kind": "attempt_failed", "severity": "warning", "task": "tight/sums"')" = 1 ] || fail "the attempt"
[ "$(count '"kind": "task_failed", "severity": "critical", "task": "tight/sums"')" = 1 ] || fail "the task"
[ "$(count '"kind": "finished",.*"sentence": "1 of 2 tasks finished, 1 failed, 0 skipped"')" = 1 ] || fail "the end"
[ "$(wc -l <"$dir/got")" = 3 ] || fail "three, no more"
grep -q heard "$dir/stdout" "$dir/err" && fail "what the command prints is not ours to print"
for said in "attempt_failed of tight/sums" "task_failed of tight/sums" finished; do
    grep -aq "$said, to the command" "$dir"/out/campaign.sqlite* || fail "no event says: $said"
done
"$muster" run "$dir/c.yaml" -q >"$dir/stdout" 2>"$dir/err" || true
[ "$(wc -l <"$dir/got")" = 3 ] || fail "all had ended: nothing is told again"

# A budget that is spent while a task waits for its second try.
cp -r models/muster-llama-tiny "$dir/broken"
truncate -s -1000 "$dir"/broken/*.safetensors
cat >"$dir/late.yaml" <<END
name: late
output: $dir/late
models: ["$dir/broken"]
suites: [{name: sums, tasks: sums, include_path: examples, limit: 5, bootstrap_iters: 10}]
settings: [{retries: {limit: 1, wait: 20s}}]
budgets: {walltime: 1s}
alerts: {command: "cat >>'$dir/got'; echo >>'$dir/got'", timeout: 20s}
END
: >"$dir/got"
"$muster" run "$dir/late.yaml" -q >"$dir/stdout" 2>"$dir/err" && fail "it was home within its budget"
[ "$(count '"kind": "budget_spent",.*"about": "walltime", "sentence": "[0-9]* s of 1 s of walltime are spent"')" = 1 ] ||
    fail "the budget"
[ "$(count '"kind": "drained",.*with 1 of 1 tasks left')" = 1 ] || fail "the end for the budget"

# Killed in its first task, and started again.
sed "s#$dir/out#$dir/lost#; s/limit: 5/limit: 200/" "$dir/c.yaml" >"$dir/lost.yaml"
"$muster" run "$dir/lost.yaml" -q >"$dir/stdout" 2>"$dir/err" &
run=$!
for _ in $(seq 100); do
    [ -s "$dir/lost/campaign.sqlite" ] && break
    sleep 0.05
done
kill -9 $run
wait $run 2>/dev/null || true
: >"$dir/got"
"$muster" run "$dir/lost.yaml" -q >"$dir/stdout" 2>"$dir/err" || true
[ "$(count '"kind": "\(taken_over\|restarted\)"')" = 1 ] || fail "the second start"
