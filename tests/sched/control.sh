#!/bin/bash
# control.sh MUSTER: a campaign that is paused, looked at, orphaned, changed while nobody runs it, resumed, and cancelled:
# by task while it waits, and as a whole while one runs.
set -eu
muster=$1
# shellcheck source=/dev/null
. "$(dirname "$0")/run_lib.sh"
run=
out=$dir/campaign
cat >"$dir/campaign.yaml" <<END
output: $out
models: [models/muster-llama-tiny, models/muster-dsv3-tiny]
suites:
  - {name: sums, tasks: sums, include_path: examples, bootstrap_iters: 100}
  - {name: long, tasks: "muster_arithmetic,muster_code", work: naive}
settings:
  - {for: "*/long", after: "{model}/sums"}
END

start() { # NAME
    "$muster" run "$dir/campaign.yaml" >"$dir/out.$1" 2>"$dir/err.$1" &
    run=$!
    for _ in $(seq 500); do [ -S "$out/control.sock" ] && return; sleep 0.02; done
    fail "no socket"
}
# What is asked must be answered with TEXT in its sentence.
ask() { # TEXT ARGUMENT...
    local text=$1
    shift
    "$muster" control "$out" "$@" >"$dir/told" 2>&1 || fail "control $*: $(cat "$dir/told")"
    grep -q "$text" "$dir/told" || fail "control $*: \"$(cat "$dir/told")\" lacks \"$text\""
}
gives() { # STATUS COMMAND...
    local want=$1 status=0
    shift
    "$@" >"$dir/told" 2>&1 || status=$?
    [ $status = "$want" ] || fail "$* ended with $status, not $want: $(cat "$dir/told")"
}
until_status() { # TEXT: a line of the live status
    for _ in $(seq 200); do
        "$muster" control "$out" status >"$dir/told" 2>&1 && grep -q "$1" "$dir/told" && return
        sleep 0.05
    done
    fail "the status never says \"$1\": $(cat "$dir/told")"
}

start 1
ask 'paused: nothing new starts' pause
until_status '^paused: .* 0 running'
[ "$(stat -c %a "$out/control.sock")" = 600 ] || fail "the socket's mode is $(stat -c %a "$out/control.sock")"

# Killed, it leaves its socket behind, which nobody answers at. The log is written to.
kill -9 $run
wait $run 2>/dev/null || true
[ -S "$out/control.sock" ] || fail "no socket is left behind"
gives 14 "$muster" control "$out" status
ask '2 tasks given the priority critical.*nobody runs it' priority critical 'muster-dsv3-tiny/*'
ask 'paused already' pause
gives 15 "$muster" control "$out" cancel 'no-such-model/*'
gives 12 "$muster" control "$out" wait --timeout 0.1

# Paused it goes on, and starts nothing, until it is told to: then with what is most urgent.
start 2
until_status '^paused: .* 0 running'
ask '1 task cancelled' cancel muster-llama-tiny/long
ask resumed resume
gives 0 "$muster" control "$out" wait muster-dsv3-tiny/sums --timeout 30
until_status 'muster-dsv3-tiny/long'
ask 'the campaign is cancelled: ' cancel --json
gives 13 "$muster" control "$out" wait --timeout 30
status=0
wait $run || status=$?
[ $status = 13 ] || fail "a cancelled campaign ended with $status: $(cat "$dir/err.2")"
[ ! -e "$out/control.sock" ] || fail "the socket is still there"
[ -z "$(alive)" ] || fail "left behind: $(ps -o args= -p $(alive))"
"$muster" status "$out" >"$dir/told"
grep -q '^  cancelled .*muster-llama-tiny/long' "$dir/told" || fail "$(cat "$dir/told")"
grep -q '^  cancelled .*critical .*muster-dsv3-tiny/long' "$dir/told" || fail "$(cat "$dir/told")"
grep -q '^  finished .*critical .*muster-dsv3-tiny/sums' "$dir/told" || fail "$(cat "$dir/told")"
gives 13 "$muster" run "$dir/campaign.yaml" -q
echo "ok: paused, looked at, orphaned, changed, resumed, cancelled"
