#!/bin/bash
# share.sh MUSTER: two campaigns at once on two devices that they share: never more than two workers, one killed and
# started again, the same bytes as alone.
set -eu
muster=$1
# shellcheck source=/dev/null
. "$(dirname "$0")/run_lib.sh"
# shellcheck source=/dev/null
. "$(dirname "$0")/../eval/results_lib.sh"

own_program

models="muster-llama-tiny muster-dsv3-tiny"
suites="sums mixed shots"
campaign() { # NAME
    cat <<END
name: $1
output: $dir/$1
share: $dir/share
models: [models/muster-llama-tiny, models/muster-dsv3-tiny]
suites:
  - {name: sums, tasks: sums, include_path: examples, log_samples: true, bootstrap_iters: 100}
  - {name: mixed, tasks: "muster_arithmetic,muster_code", limit: 80, work: naive, log_samples: true, bootstrap_iters: 100}
  - {name: shots, tasks: muster_code, limit: 80, work: naive, num_fewshot: 1, log_samples: true, bootstrap_iters: 100}
settings:
  - {retries: {limit: 100, wait: 0s, wait_max: 0s}}
END
}
start() { # NAME
    "$muster" run "$dir/$1.yaml" --devices 2 -q >"$dir/out-$1" 2>"$dir/err-$1" &
}
gather() { # OUTPUT ONE
    for model in $models; do
        for suite in $suites; do collect "$1/$model/$suite" "$2/$model/$suite"; done
    done
}
busy() { # NAME: whether it has a worker
    pgrep -P "$1" -f "$dir/bin/muster work" >/dev/null
}
until_true() { # SECONDS, COMMAND...
    local left=$(($1 * 50))
    shift
    until "$@"; do
        left=$((left - 1))
        [ $left -gt 0 ] || return 1
        sleep 0.02
    done
}

campaign alone | sed '/^share:/d' >"$dir/alone.yaml"
"$muster" run "$dir/alone.yaml" --devices 2 -q >"$dir/out" 2>"$dir/err" || fail "alone: $(cat "$dir/err")"
gather "$dir/alone" "$dir/want"

campaign a >"$dir/a.yaml"
campaign b >"$dir/b.yaml"
(
    most=0
    while kill -0 $$ 2>/dev/null && [ ! -e "$dir/done" ]; do
        n=$(pgrep -fc "^$dir/bin/muster work" || true)
        [ "$n" -gt "$most" ] && most=$n && echo "$most" >"$dir/most"
        sleep 0.05
    done
) &
watch=$!
start a
a=$!
until_true 10 busy $a || fail "a has no worker"
start b
b=$!
both() { busy $a && busy $b; }
until_true 20 both || fail "they were never at work together"

# Other devices are refused while two share.
status=0
"$muster" run "$dir/alone.yaml" --output "$dir/third" --share "$dir/share" --devices 4 -q 2>"$dir/err-third" || status=$?
[ $status = 15 ] || fail "other devices ended with $status: $(cat "$dir/err-third")"
grep -q 'give the same --devices' "$dir/err-third" || fail "does not say why: $(cat "$dir/err-third")"
"$muster" status "$dir/b" --json >"$dir/status" 2>/dev/null && grep -q '"share"' "$dir/status" || fail "status tells nothing of the share"

kill -9 $a # its devices are free at once, and it comes home when it is started again
wait $a 2>/dev/null || true
start a
a=$!
wait $b || fail "b: $(cat "$dir/err-b")"
wait $a || fail "a, again: $(cat "$dir/err-a")"
touch "$dir/done"
wait $watch
[ "$(cat "$dir/most")" = 2 ] || fail "$(cat "$dir/most") workers at once on two devices"
for run in a b; do
    gather "$dir/$run" "$dir/got-$run"
    same "$dir/want" "$dir/got-$run" "$run as alone" || fail "other results in $run"
done
nobody() { [ -z "$(alive)" ]; }
until_true 5 nobody || fail "left behind: $(ps -o args= -p $(alive))"
echo "ok: two campaigns on two devices, one killed: the same bytes, never more than two workers"
