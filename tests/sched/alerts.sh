#!/bin/bash
# alerts.sh MUSTER: what `muster run` tells a command: a task that cannot fit into its memory, and the end; and what a
# start after a lost orchestrator tells; and that what a model's folder says commands no terminal.
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
[ "$(count '"kind": "finished",.*"sentence": "1 of 2 tasks finished, 1 failed, 0 skipped, 0 cancelled"')" = 1 ] || fail "the end"
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
"$muster" run "$dir/lost.yaml" >"$dir/stdout" 2>"$dir/err" &
run=$!
for _ in $(seq 600); do
    grep -q "task started" "$dir/err" && break
    sleep 0.05
done
grep -q "task started" "$dir/err" || fail "nothing began"
kill -9 $run
wait $run 2>/dev/null || true
: >"$dir/got"
"$muster" run "$dir/lost.yaml" -q >"$dir/stdout" 2>"$dir/err" || true
[ "$(count '"kind": "taken_over",.* with 1 worker at work')" = 1 ] || fail "the second start"

# A folder that would clear the screen, and a command that would.
cp -r models/muster-llama-tiny "$dir/loud"
sed -i 's/"LlamaForCausalLM"/"\\u001b[2JLoud"/' "$dir/loud/config.json"
cat >"$dir/loud.yaml" <<END
name: loud
output: $dir/louder
models: ["$dir/loud"]
suites: [{name: sums, tasks: sums, include_path: examples, limit: 5, bootstrap_iters: 10}]
settings: [{retries: {limit: 0}}]
alerts: {command: "printf '\\\\033[2Jno'; exit 3", timeout: 20s}
END
"$muster" run "$dir/loud.yaml" >"$dir/stdout" 2>"$dir/err" && fail "there is no such architecture"
grep -q "2JLoud" "$dir/err" || fail "the architecture is not told"
grep -q "warning: an alert was not sent: .* it ended with status 3: ?\[2Jno" "$dir/err" || fail "the alert that failed"
"$muster" status "$dir/louder" >>"$dir/stdout" 2>>"$dir/err" || true
grep -q "$(printf '\033')" "$dir/stdout" "$dir/err" && fail "the terminal is commanded"
exit 0
