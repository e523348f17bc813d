#!/bin/bash
# run.sh MUSTER: a campaign of two models by two suites through `muster run`, killed and stopped at random moments until
# it is home: the same bytes as undisturbed, nobody left behind, nothing run after it had ended.
set -eu
muster=$1
# shellcheck source=/dev/null
. "$(dirname "$0")/run_lib.sh"
# shellcheck source=/dev/null
. "$(dirname "$0")/../eval/results_lib.sh"

own_program

campaign() { # OUTPUT
    cat <<END
output: $1
models: [models/muster-llama-tiny, models/muster-dsv3-tiny]
suites:
  - {name: sums, tasks: sums, include_path: examples, log_samples: true, bootstrap_iters: 100}
  - {name: mixed, tasks: "muster_arithmetic,muster_code", limit: 60, log_samples: true, bootstrap_iters: 100}
settings:
  - {after: "{model}/sums", retries: {limit: 100, wait: 0s, wait_max: 0s}}
  - {for: "*/sums", priority: high}
failures: {killed: {first: retry, tries: 100, then: give_up}}
END
}
# Each task's samples and results, without dates, below ONE.
gather() { # OUTPUT ONE
    for task in muster-llama-tiny/sums muster-llama-tiny/mixed muster-dsv3-tiny/sums muster-dsv3-tiny/mixed; do
        collect "$1/$task" "$2/$task"
    done
}

campaign "$dir/whole" >"$dir/whole.yaml"
"$muster" run "$dir/whole.yaml" -q >"$dir/out" 2>"$dir/err" || fail "undisturbed: $(cat "$dir/err")"
grep -q '^4 tasks, 4 finished' "$dir/out" || fail "undisturbed: $(cat "$dir/out")"
gather "$dir/whole" "$dir/want"

campaign "$dir/hurt" >"$dir/hurt.yaml"
RANDOM=${SEED:-7}
hurt=0
while [ "$hurt" -lt 8 ]; do
    "$muster" run "$dir/hurt.yaml" --devices 2 -q >"$dir/out" 2>"$dir/err" &
    run=$!
    sleep "0.$((RANDOM % 9))$((RANDOM % 9))"
    case $((RANDOM % 4)) in
    0) kill -9 $run 2>/dev/null || true ;;                                             # the orchestrator
    1) kill -TERM $run 2>/dev/null || true ;;                                          # asked to stop
    2) for p in $(pgrep -P $run); do kill -9 "$p" 2>/dev/null || true; done; kill -9 $run 2>/dev/null || true ;;
    3) for p in $(pgrep -P $run); do kill -9 "$p" 2>/dev/null || true; done; sleep 0.3; kill -9 $run 2>/dev/null || true ;; # workers
    esac
    wait $run 2>/dev/null || true
    hurt=$((hurt + 1))
done
"$muster" run "$dir/hurt.yaml" --devices 2 -q >"$dir/out" 2>"$dir/err" || fail "after $hurt faults: $(cat "$dir/err")"
grep -q '^4 tasks, 4 finished' "$dir/out" || fail "after $hurt faults: $(cat "$dir/out")"
gather "$dir/hurt" "$dir/got"
same "$dir/want" "$dir/got" "after $hurt faults" || fail "other results after $hurt faults"
for _ in $(seq 100); do [ -z "$(alive)" ] && break; sleep 0.05; done
[ -z "$(alive)" ] || fail "left behind: $(ps -o args= -p $(alive))"

# Two at once: the second is told who has it.
campaign "$dir/two" >"$dir/two.yaml"
"$muster" run "$dir/two.yaml" -q >"$dir/out" 2>"$dir/err" &
run=$!
for _ in $(seq 500); do [ -e "$dir/two/muster-llama-tiny/sums/task.json" ] && break; sleep 0.02; done
kill -STOP $run # stopped it is still the owner, for its process lives
status=0
"$muster" run "$dir/two.yaml" -q >"$dir/out2" 2>"$dir/err2" || status=$?
kill -CONT $run
[ $status = 14 ] || fail "a second orchestrator ended with $status: $(cat "$dir/err2")"
grep -q 'campaign.sqlite is in use by' "$dir/err2" || fail "does not say why: $(cat "$dir/err2")"
wait $run || fail "the first of two: $(cat "$dir/err")"
echo "ok: the same samples after $hurt faults, two orchestrators told apart"
