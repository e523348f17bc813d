#!/bin/bash
# campaign.sh MUSTER TEST_STEPS [long]: the three shipped models by all shipped suites as a job of a real Slurm of the test's own.
# `muster submit CAMPAIGN` on two nodes gives the bytes of `muster run`: undisturbed, and in a job whose worker is killed, whose
# controller is started anew, and that is warned, drains and is queued again. Cancelled it stays cancelled. Beside it
# TEST_STEPS runs its real steps.
# long: also a node that goes down, and each fault in a job of its own. Skips where Slurm is not installed.
set -u
muster=$(realpath "$1") steps=$(realpath "$2") long=${3:-}
here=$(cd "$(dirname "$0")" && pwd)
dir=$(mktemp -d)
# shellcheck source=/dev/null
. "$here/../eval/results_lib.sh"
cleanup() {
    for p in $(pgrep -f -- "$dir/"); do kill -9 "$p" 2>/dev/null; done
    rm -rf "$dir"
}
fail() {
    echo "not ok: $*" >&2
    tail -n 12 "$dir/err" "$dir"/*/*.log "$dir"/*/workers/*.log >&2 2>/dev/null
    exit 1
}
trap cleanup EXIT
. "$here/slurm_lib.sh"
ulimit -c 0
trap 'slurm_stop; cleanup' EXIT
slurm_node c 4 "CPUs=8 RealMemory=65536 Gres=gpu:fake:2"
slurm_gpus c 4 fake 2
slurm_partition "PartitionName=cpu Nodes=c[1-4] Default=YES MaxTime=INFINITE"
slurm_start

own_program

slurm_site "$muster" 2 8 16GiB 8 'signal_lead: 60s' 'restarts: 2' >"$dir/site.yaml"
# One sequence at a time, so that small models take their time.
cat >"$dir/campaign.yaml" <<C
name: fixture
output: $dir/calm
site: $dir/site.yaml
models:
  - {name: llama, model: models/muster-llama-tiny, batch_size: 1, threads: 1}
  - {name: dsv3, model: models/muster-dsv3-tiny, batch_size: 1, threads: 1}
  - {name: falcon, model: models/muster-falcon-tiny, batch_size: 1, threads: 1}
suites:
  - {name: sums, tasks: sums, include_path: examples, log_samples: true, bootstrap_iters: 100}
  - {name: choices, tasks: muster, log_samples: true, bootstrap_iters: 100}
  - {name: texts, tasks: muster_generate, log_samples: true, bootstrap_iters: 100}
settings:
  - {retries: {limit: 100, wait: 1s, wait_max: 1s}}
failures:
  killed: {first: retry, tries: 100, then: give_up}
  node: {first: retry, tries: 100, then: give_up}
  link: {first: retry, tries: 100, then: give_up}
C
gather() { # OUTPUT ONE
    for task in {llama,dsv3,falcon}/{sums,choices,texts}; do collect "$1/$task" "$2/$task" || return 1; done
}
same_as_calm() { # OUTPUT WHAT
    gather "$1" "$dir/got" || fail "$2: no results"
    same "$dir/want" "$dir/got" "$2" || fail "$2: other bytes than an undisturbed run's"
    rm -rf "$dir/got"
}
submit() { # FOLDER options...: $id
    into=$1
    shift
    timeout 300 "$muster" submit "$dir/campaign.yaml" --nodes 2 --output "$into" "$@" >"$dir/id" 2>"$dir/err" || return
    id=$(cat "$dir/id")
}
workers() { pgrep -f -- "^$muster work"; }
is_at_work() { workers >/dev/null && grep -q '"task": *"' "$1/now.json" 2>/dev/null; } # FOLDER
nobody() { [ -z "$(workers)" ]; }

# Nothing but steps, on two nodes, one of which goes down.
MUSTER_STEP_WORKER=$here/step_worker.sh salloc --quiet --no-kill --nodelist=c1,c2 --nodes=2 --exclusive \
    "$steps" real >"$dir/steps.out" 2>&1 &
real=$!

"$muster" run "$dir/campaign.yaml" --devices 2 -q >"$dir/out" 2>"$dir/err" || fail "an undisturbed run: $(cat "$dir/err")"
gather "$dir/calm" "$dir/want" || fail "an undisturbed run: no results"

submit "$dir/plain" --wait || fail "a job: status $?"
same_as_calm "$dir/plain" "a campaign on two nodes"
state_is "$id" COMPLETED || fail "job $id did not complete"
await 10 "workers are left" nobody

wait $real || { cat "$dir/steps.out" >&2; fail "real steps"; }

kill_worker() { kill -9 "$(workers | shuf -n 1)"; }
restart_controller() {
    kill "$(cat "$slurm/run/slurmctld.pid")"
    while kill -0 "$(cat "$slurm/run/slurmctld.pid" 2>/dev/null)" 2>/dev/null; do sleep 0.1; done
    slurmctld || fail "the controller does not start again"
}
warn() {
    scancel --signal=USR1 --batch "$id" || fail "scancel cannot warn job $id"
    await 60 "job $id was not queued again" restarts_are "$id" 1
    scontrol update JobId="$id" StartTime=now || fail "job $id cannot be started at once"
}
node_down() {
    node=$(scontrol show hostnames "$(squeue --noheader --jobs "$id" --format=%N)" | tail -n 1)
    scontrol update NodeName="$node" State=DOWN Reason=test
}
hurt() { # FAULTS...: in one job
    rm -rf "$dir/hurt"
    submit "$dir/hurt" || fail "submitting: status $?"
    await 60 "job $id does not come to work" is_at_work "$dir/hurt"
    for fault; do $fault; done
    await 120 "job $id does not end after $*" state_is "$id" COMPLETED
    same_as_calm "$dir/hurt" "a campaign with $*"
    await 10 "workers are left after $*" nobody
}
hurt kill_worker restart_controller warn
if [ -n "$long" ]; then
    for fault in kill_worker restart_controller warn node_down; do hurt $fault; done
fi

submit "$dir/cancelled" || fail "submitting: status $?"
await 60 "job $id does not come to work" is_at_work "$dir/cancelled"
scancel "$id"
await 20 "job $id is not cancelled" state_is "$id" CANCELLED
await 10 "workers are left of a cancelled job" nobody
restarts_are "$id" 0 || fail "a cancelled job was queued again"
echo "ok: a campaign on two nodes gives one machine's bytes; so does one with a worker killed, a controller started anew, a warning"
