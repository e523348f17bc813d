#!/bin/bash
# walltime.sh MUSTER: a campaign in a job that is given about half the time it needs, and in one that is preempted, on a real
# Slurm of the test's own: each drains, is queued again and finishes with the bytes of an undisturbed run. Says how many
# requests were computed twice: what a drained task had answered, less what its next run found in the journal. Takes some
# ten minutes; not part of `make check`. Skips where Slurm is not installed.
set -u
muster=$(realpath "$1")
here=$(cd "$(dirname "$0")" && pwd)
dir=$(mktemp -d)
# shellcheck source=/dev/null
. "$here/../eval/results_lib.sh"
fail() {
    echo "failed: $*" >&2
    tail -n 20 "$dir"/err "$dir"/*/*.log >&2 2>/dev/null
    exit 1
}
cleanup() {
    for p in $(pgrep -f -- "$dir/"); do kill -9 "$p" 2>/dev/null; done
    rm -rf "$dir"
}
. "$here/slurm_lib.sh"
trap 'slurm_stop; cleanup' EXIT
slurm_more="PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
SlurmctldParameters=preempt_send_user_signal"
slurm_node c 1 "CPUs=8 RealMemory=65536 Gres=gpu:fake:2"
slurm_gpus c 1 fake 2
slurm_partition "PartitionName=cpu Nodes=c1 Default=YES MaxTime=INFINITE PriorityTier=1 PreemptMode=REQUEUE GraceTime=30"
slurm_partition "PartitionName=urgent Nodes=c1 MaxTime=INFINITE PriorityTier=10 PreemptMode=OFF"
slurm_start
own_program

slurm_site "$muster" 1 8 16GiB 8 'signal_lead: 30s' >"$dir/site.yaml"
cat >"$dir/campaign.yaml" <<C
output: $dir/calm
site: $dir/site.yaml
models:
  - {name: one, model: models/muster-llama-tiny, batch_size: 1, threads: 1}
  - {name: two, model: models/muster-dsv3-tiny, batch_size: 1, threads: 1}
suites:
  - {name: long, tasks: "muster_arithmetic,muster_code", num_fewshot: 8, limit: 600, work: naive, log_samples: true, bootstrap_iters: 100}
C
tasks() { echo one/long two/long; }
gather() { for t in $(tasks); do collect "$1/$t" "$2/$t" || return 1; done; }
of_job() { squeue --noheader --states=all --jobs "$id" --format="$1"; }
submit() { # OUTPUT
    out=$1
    "$muster" submit "$dir/campaign.yaml" --nodes 1 --output "$out" >"$dir/id" 2>"$dir/err" || fail "submitting"
    id=$(cat "$dir/id")
}
finish() { # what is queued again waits for nothing
    until [ "$(of_job %T)" = COMPLETED ]; do
        [ "$(of_job %r)" != BeginTime ] || scontrol update JobId="$id" StartTime=now
        case $(of_job %T) in FAILED | CANCELLED | TIMEOUT | NODE_FAIL) fail "job $id: $(of_job %T)" ;; esac
        sleep 0.5
    done
}
# Of "stopped ... with N of M requests done" in the log, and of what the results say was in the journal at the last start.
told() {
    for t in $(tasks); do
        newest=$(find "$out/$t" -name 'results_*.json' | sort | tail -n 1)
        echo "  $t: $(sed -n '/^  "run": {/,/^  }/s/^ *"\(from_journal\|computed\|runs_before\)": \([0-9]*\).*/\2 \1/p' "$newest" | tr '\n' ' ')"
    done
    grep -ho "with [0-9]* of [0-9]* requests done" "$out"/workers/*.log | sed 's/^/  drained /'
}
submit "$dir/calm"
begun=$SECONDS
finish
calm=$((SECONDS - begun))
gather "$dir/calm" "$dir/want" || fail "undisturbed: no results"
echo "undisturbed: $calm s"

# Slurm's limits are whole minutes, and looked at every half.
minutes=$(((calm / 2 + 30) / 60))
submit "$dir/short"
scontrol update JobId="$id" TimeLimit=$((minutes > 0 ? minutes : 1))
begun=$SECONDS
finish
gather "$out" "$dir/got" && same "$dir/want" "$dir/got" "a short job" || fail "a short job: other bytes"
rm -rf "$dir/got"
echo "limit of $minutes min: $((SECONDS - begun)) s, queued again $(restarts "$id") times, the same bytes"
told
[ "$(restarts "$id")" -gt 0 ] || fail "the job was not short of time"

submit "$dir/preempted"
begun=$SECONDS
until grep -q '"done": *[1-9][0-9]' "$out/now.json" 2>/dev/null; do sleep 0.2; done
sbatch --quiet --partition=urgent --nodes=1 --exclusive --time=1 --output=/dev/null --wrap "sleep 2"
finish
gather "$out" "$dir/got" && same "$dir/want" "$dir/got" "a preempted job" || fail "a preempted job: other bytes"
echo "preempted: $((SECONDS - begun)) s, queued again $(restarts "$id") times, the same bytes"
told
[ "$(restarts "$id")" -gt 0 ] || fail "the job was not preempted"
echo "ok"
