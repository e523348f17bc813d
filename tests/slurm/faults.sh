#!/bin/bash
# faults.sh MUSTER [FAULTS [SEED [LOG]]]: campaigns by `muster submit` on a real Slurm of the test's own under random faults, until
# FAULTS (default 60) of them were made; each must come home with the bytes of an undisturbed one, each request answered
# once, and leave nobody behind. The faults on one machine are those of tests/sched/faults.sh, which also tells of LOG.
#
# Three nodes, of which a job has two, each a machine with its own network and processes (needs root). Faults: a worker
# killed or stopped, or a rank of one; `muster run` killed or stopped inside its job; an srun killed; slurmd killed; the
# controller killed or ended, and started again after some seconds; a node that loses power (the one of the script:
# first-node-off), or its cable for some seconds, or that is set DOWN; a job warned, queued again, preempted. Not part of
# `make check`. KEEP=1 leaves the folder of a run that failed.
set -u
muster=$(realpath "$1") wanted=${2:-60}
here=$(cd "$(dirname "$0")" && pwd)
dir=$(mktemp -d)
log=${4:-$dir/log}
# shellcheck source=/dev/null
. "$here/../eval/results_lib.sh"
# shellcheck source=/dev/null
. "$here/../sched/faults_lib.sh"
cleanup() {
    for p in $(pgrep -f -- "$dir/"); do kill -9 "$p" 2>/dev/null; done
    machines_stop 2>/dev/null
    if [ -n "${KEEP:-}" ]; then echo "kept: $dir" >&2; else rm -rf "$dir"; fi
}
fail() {
    echo "failed: $*" >&2
    tail -n 15 "$dir"/err "$dir"/hurt/*.log "$dir/faults" >&2 2>/dev/null
    exit 1
}
trap 'exit 1' INT TERM
. "$here/slurm_lib.sh"
. "$here/machines_lib.sh"
trap 'slurm_stop; cleanup' EXIT
RANDOM=${3:-1}
machines_are_possible || { echo "skipped: no machines out of namespaces here (root, ip)"; exit 77; }
ulimit -c 0
slurm_more="SlurmdTimeout=2
MessageTimeout=2
TCPTimeout=1
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
SlurmctldParameters=preempt_send_user_signal"
slurm_node c 3 "CPUs=8 RealMemory=65536 Gres=gpu:fake:2"
slurm_gpus c 3 fake 2
slurm_partition "PartitionName=cpu Nodes=c[1-3] Default=YES MaxTime=INFINITE PriorityTier=1 PreemptMode=REQUEUE GraceTime=20"
slurm_partition "PartitionName=urgent Nodes=c[1-3] MaxTime=INFINITE PriorityTier=10 PreemptMode=OFF"
slurm_start

own_program
slurm_site "$muster" 2 8 16GiB 8 'signal_lead: 60s' 'restarts: 1000' >"$dir/site.yaml"
# One sequence at a time and nothing shared, so that small models take their time.
cat >"$dir/campaign.yaml" <<C
output: $dir/whole
site: $dir/site.yaml
models:
  - {name: one, model: models/muster-llama-tiny, batch_size: 1, threads: 1}
  - {name: two, model: models/muster-dsv3-tiny, batch_size: 1, threads: 1}
  - {name: three, model: models/muster-llama-tiny, ranks: 2, layout: tp=2, batch_size: 1, threads: 1}
suites:
  - {name: sums, tasks: sums, include_path: examples, log_samples: true, bootstrap_iters: 100}
  - {name: mixed, tasks: "muster_arithmetic,muster_code", limit: 120, work: naive, log_samples: true, bootstrap_iters: 100}
  - {name: more, tasks: "muster_arithmetic", limit: 200, work: naive, log_samples: true, bootstrap_iters: 100}
settings:
  - {retries: {limit: 100, wait: 1s, wait_max: 1s}}
failures:
  killed: {first: retry, tries: 100, then: give_up}
  storage: {first: retry, tries: 100, then: give_up}
  application: {first: retry, tries: 100, then: give_up}
  node: {first: retry, tries: 100, then: give_up}
  link: {first: retry, tries: 100, then: give_up}
  network_partition: {first: retry, tries: 100, then: give_up}
C
tasks() { for m in one two three; do for s in sums mixed more; do echo "$m/$s"; done; done; }
gather() { for t in $(tasks); do collect "$1/$t" "$2/$t" || return 1; done; }

# ---- looking ----

of_job() { timeout 3 squeue --noheader --states=all --jobs "$id" --format="$1" 2>/dev/null; } # FORMAT; nothing where the controller is away
nodes() { scontrol show hostnames "$(of_job %N)" 2>/dev/null; }
is_at_work() { [ -n "$(find "$out/now.json" -newermt '-3 seconds' 2>/dev/null)" ] && grep -q '"task": *"' "$out/now.json"; }
one_of() { [ $# -gt 0 ] && shift $((RANDOM % $#)) && echo "$1"; }
of_environ() { tr '\0' '\n' <"/proc/$1/environ" 2>/dev/null | sed -n "s/^$2=//p"; } # PID NAME

# The task of a rank: its journal is open in one of the ranks of its step.
task_of() { # PID
    local p step
    step=$(of_environ "$1" SLURM_STEP_ID)
    for p in $(pgrep -f "^$muster work"); do
        [ "$(of_environ "$p" SLURM_STEP_ID)" = "$step" ] || continue
        readlink "/proc/$p/fd"/* 2>/dev/null | sed -n "s|^$out/\([^/]*/[^/]*\)/journal.sqlite\$|\1|p" | head -n 1 | grep . && return
    done
    echo -
}
pick() { # WORDS of the command: $pid, $task
    # shellcheck disable=SC2046 # numbers
    pid=$(one_of $(pgrep -f "^$muster $1")) && task=$(task_of "$pid") && at=$(now)
}
task_on() { # NODE: of a worker there
    local p
    for p in $(pgrep -f "^$muster work"); do
        [ "$(of_environ "$p" SLURMD_NODENAME)" != "$1" ] || { task_of "$p" | grep -v '^-$' && return; }
    done
    echo -
}

# ---- faults ----

later=() # "SECONDS COMMAND", what puts a fault right
put_right() { # [all]
    local left=() entry
    for entry in "${later[@]}"; do
        if [ -n "${1:-}" ] || [ "${entry%% *}" -le $SECONDS ]; then ${entry#* }; else left+=("$entry"); fi
    done
    later=("${left[@]}")
}
in_seconds() { later+=("$((SECONDS + $1 + RANDOM % $2)) ${*:3}"); } # LEAST SPAN COMMAND...
stop_controller() { # SIGNAL
    controller=$(cat "$slurm/run/slurmctld.pid") && kill -"$1" "$controller"
}
start_controller() { # the one before may still be ending
    while kill -0 "$controller" 2>/dev/null; do sleep 0.1; done
    slurmctld 2>/dev/null || fail "the controller does not start again"
}
end_urgent() { timeout 5 scancel --quiet --partition=urgent; }
# A job that is queued again waits for old credentials to expire (cred_expire, BeginTime), and is not to be hurried: what ends
# its last turn on a node that comes back may end the next one. After a minute in the queue we do what an administrator would:
# release a job whose start failed on a node that still had its last turn, and was drained for it; start a controller once
# more that was killed and keeps GPUs of a job that has gone ("bad node_offset").
queued=0 helped=0
wait_in_queue() {
    queued=$((queued ? queued : SECONDS))
    [ $((SECONDS - queued)) -gt 60 ] && [ ${#later[@]} = 0 ] || return
    why=$(of_job %r)
    echo "campaign $campaigns: a minute in the queue ($why): an administrator helps"
    case $why in
    *held*) scontrol update NodeName="c[1-3]" State=RESUME 2>/dev/null; scontrol release "$id" ;;
    *) stop_controller TERM && start_controller ;;
    esac
    queued=0 helped=$((helped + 1))
}
go_on() { kill -CONT "$1" 2>/dev/null; }

pick_node() { # first|other: of the job's; $node, $task
    local first
    first=$(of_job %B)
    [ -n "$first" ] || return 1
    node=$first
    [ "$1" = first ] || node=$(nodes | grep -vxF "$first" | shuf -n 1 --random-source=<(yes $RANDOM))
    [ -n "$node" ] && machine_is_on "$node" && task=$(task_on "$node") && at=$(now)
}
is_calm() { [ ${#later[@]} = 0 ]; } # one thing of the cluster at a time
fault() {
    task=- at=$(now)
    case $1 in
    kill-worker) pick work && kill -9 "$pid" ;;
    stop-worker) pick work && kill -STOP "$pid" ;;
    kill-rank) pick "work --ranks" && kill -9 "$pid" ;;
    stop-rank) pick "work --ranks" && kill -STOP "$pid" ;;
    kill-orchestrator) pick run && kill -9 "$pid" && task=- ;;
    stop-orchestrator) pick run && kill -STOP "$pid" && task=- && in_seconds 1 5 go_on "$pid" ;;
    kill-srun) pid=$(one_of $(pgrep -f "^srun .*$muster work")) && at=$(now) && kill -9 "$pid" ;;
    kill-slurmd) pick_node other && kill -9 "$(pgrep -f "^slurmd -D -N $node\$" --ns "$(cat "$slurm/run/machine-$node")" --nslist net)" && task=- ;;
    end-controller) is_calm && stop_controller TERM && in_seconds 1 8 start_controller ;;
    kill-controller) is_calm && stop_controller KILL && in_seconds 1 8 start_controller ;;
    node-off) is_calm && pick_node other && machine_off "$node" && in_seconds 10 8 machine_on "$node" ;;
    first-node-off) is_calm && pick_node first && machine_off "$node" && in_seconds 10 8 machine_on "$node" ;;
    node-down) is_calm && pick_node other && scontrol update NodeName="$node" State=DOWN Reason=test ;;
    cut-link) is_calm && pick_node other && machine_cut "$node" && in_seconds 2 18 machine_joined "$node" ;;
    cut-first-link) is_calm && pick_node first && machine_cut "$node" && in_seconds 2 38 machine_joined "$node" ;; # beyond the next turn's start
    warn) scancel --signal=USR1 --batch "$id" ;;
    requeue) scontrol requeue "$id" ;;
    preempt) is_calm && sbatch --quiet --partition=urgent --nodes=2 --exclusive --time=1 --output=/dev/null --wrap "sleep 2" && in_seconds 40 1 end_urgent ;;
    esac >/dev/null 2>&1
}
kinds=(kill-worker kill-worker kill-rank stop-worker stop-rank kill-orchestrator stop-orchestrator kill-srun kill-slurmd end-controller
    kill-controller node-off node-off first-node-off node-down cut-link cut-first-link warn requeue preempt)

# ---- campaigns ----

submit() {
    timeout 120 "$muster" submit "$dir/campaign.yaml" --nodes 2 --output "$out" >"$dir/id" 2>"$dir/err" || fail "submitting: $(tail -n 3 "$dir/err")"
    id=$(cat "$dir/id")
}
nobody_is_left() {
    for _ in $(seq 300); do [ -z "$(pgrep -f "^$muster (work|run)")" ] && return; sleep 0.1; done
    fail "campaign $campaigns left behind: $(pgrep -af "^$muster")"
}
out=$dir/whole
submit
until [ "$(of_job %T)" = COMPLETED ]; do [ $SECONDS -lt 300 ] || fail "undisturbed: $(of_job %T)"; sleep 0.2; done
gather "$out" "$dir/want" || fail "undisturbed: no results"
# shellcheck disable=SC2046 # words
answers "$out" $(tasks) >"$dir/asked"

one_more_fault() {
    local what
    what=${ONLY:-${kinds[$((RANDOM % ${#kinds[@]}))]}}
    is_at_work && fault "$what" || return
    note "$what" "$task" "$at"
    hurt=$((hurt + 1))
}
# A controller that was killed may have saved a node as down that was back since (Slurm 22.05): started again it kills the
# script there, and the job has failed. Somebody submits it again.
lost=0
was_lost() {
    grep -q ' kill-controller ' "$dir/faults" && grep -q "_job_complete: JobId=$id WTERMSIG 9" "$slurm/log/slurmctld.log" || return
    echo "campaign $campaigns: job $id was killed by its controller, and is submitted again"
    lost=$((lost + 1))
    submit
}
follow() { # until the job has completed, hurting it on the way
    begun=$SECONDS hurt=0
    while :; do
        sleep "0.$((RANDOM % 10))"
        put_right
        case $(of_job %T) in
        COMPLETED) return ;;
        PENDING) wait_in_queue ;;
        RUNNING) queued=0; [ "$hurt" -ge 12 ] || one_more_fault; sleep $((RANDOM % 4)) ;;
        FAILED) was_lost || fail "campaign $campaigns: job $id is FAILED" ;;
        CANCELLED | TIMEOUT | NODE_FAIL | OUT_OF_MEMORY | BOOT_FAIL) fail "campaign $campaigns: job $id is $(of_job %T)" ;;
        esac
        [ $((SECONDS - begun)) -lt ${LIMIT:-600} ] || fail "campaign $campaigns does not end after $hurt faults: $(of_job '%T %r %N')"
    done
}

: >"$log"
made=0 campaigns=0
out=$dir/hurt
while [ "$made" -lt "$wanted" ]; do
    campaigns=$((campaigns + 1))
    rm -rf "$out" "$dir/faults"
    touch "$dir/faults"
    submit
    follow
    put_right all
    gather "$out" "$dir/got" || fail "campaign $campaigns: results are missing"
    same "$dir/want" "$dir/got" "campaign $campaigns" || fail "campaign $campaigns: other results after $hurt faults"
    rm -rf "$dir/got"
    # shellcheck disable=SC2046
    answers "$out" $(tasks) | diff "$dir/asked" - >&2 || fail "campaign $campaigns: requests lost or doubled"
    nobody_is_left
    recovered "$out" 4 2
    made=$((made + hurt))
    echo "campaign $campaigns: $hurt faults, $((SECONDS - begun)) s, the same bytes ($made of $wanted)"
done
table
echo "ok: $made faults in $campaigns campaigns ($lost jobs submitted again, $helped times an administrator helped), the same bytes each time, each request once, nobody left behind"
