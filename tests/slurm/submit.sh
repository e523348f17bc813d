#!/bin/bash
# submit.sh MUSTER: a real Slurm with nodes that claim the GPUs of the example sites: `sbatch --test-only` takes every script
# of golden/; `muster submit --wait` gives the bytes of `muster eval`, on one node and on two; a job that is warned drains, is
# queued again and gives them too; and what goes wrong has its own status. Skips where Slurm is not installed.
set -u
muster=$(realpath "$1")
here=$(cd "$(dirname "$0")" && pwd)
MUSTER_FAULT_LIMIT=${MUSTER_FAULT_LIMIT:-200} # documents of a task: enough to be warned in the middle of them
. "$here/../eval/ranks_lib.sh"
. "$here/slurm_lib.sh"
ulimit -c 0
trap 'slurm_stop; cleanup' EXIT
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1

slurm_node a 8 "CPUs=64 RealMemory=512000 Gres=gpu:a100:4 Feature=fast,nvlink"
slurm_node h 4 "CPUs=96 RealMemory=1945600 Gres=gpu:h100:8 Feature=h100,nvlink"
slurm_node c 4 "CPUs=96 RealMemory=737280 Gres=gpu:fake:2"
slurm_gpus a 8 a100 4
slurm_gpus h 4 h100 8
slurm_gpus c 4 fake 2
slurm_partition "PartitionName=cpu Nodes=c[1-4] Default=YES MaxTime=INFINITE"
slurm_partition "PartitionName=short Nodes=a[1-8] MaxNodes=1 MaxTime=4:00:00"
slurm_partition "PartitionName=gpu Nodes=a[1-8] MaxTime=1-00:00:00"
slurm_partition "PartitionName=batch Nodes=h[1-4] MaxTime=2-00:00:00"
slurm_partition "PartitionName=large Nodes=h[1-4] MaxTime=12:00:00"
slurm_start

scripts=0
for script in "$here"/golden/{a100,h100,cpu,forms}/*.sh; do
    sbatch --test-only "$script" >"$dir/out" 2>&1 && grep -q 'to start at' "$dir/out" ||
        fail "sbatch does not take $script: $(cat "$dir/out")"
    scripts=$((scripts + 1))
done
[ $scripts -ge 20 ] || fail "$scripts scripts"

# The fixture as a site: small nodes, and a folder whose name must be quoted everywhere.
odd="$dir/odd \$(touch pwned) 'na%me"
slurm_site "$muster" 2 4 8GiB 2 'launch: {by: srun, mpi: pmix}' 'signal_lead: 60s' 'restarts: 2' >"$dir/site.yaml"
submit() { # FOLDER options...: the evaluation of arguments(), as a job
    into=$1
    shift
    timeout 240 "$muster" submit --site "$dir/site.yaml" --model "$model" --tasks muster,muster_generate --output "$into" \
        --eval limit="$limit" --eval log-samples --eval batch-size=1 --eval work=naive "$@" >"$dir/id" 2>"$dir/err"
}
ended() { # WHAT STATUS GOT
    [ "$3" = "$2" ] || { cat "$dir"/*/*.log 2>/dev/null | tail -n 20 >&2; fail "$1: status $3, not $2"; }
}
run_calm

submit "$odd" --wait
ended "one rank" 0 $?
same_as_calm "$odd" "muster submit --wait"
[ ! -e pwned ] && [ ! -e "$dir/pwned" ] || fail "a folder's name was run"
ls "$odd"/muster-llama-tiny-*.log >/dev/null 2>&1 || fail "the log is not in the folder: $(ls "$odd")"
id=$(cat "$dir/id")
state_is "$id" COMPLETED || fail "job $id did not complete"

submit "$dir/four" --wait --nodes 2 --layout tp=2,pp=2
ended "four ranks on two nodes" 0 $?
same_as_calm "$dir/four" "tp=2,pp=2 on two nodes"

sed 's/^launch: .*/launch: {by: mpirun, options: [--oversubscribe, --mca, btl, "self,tcp"]}/' "$dir/site.yaml" >"$dir/mpirun.yaml"
submit "$dir/mpirun" --wait --nodes 2 --layout dp=2 --site "$dir/mpirun.yaml"
ended "mpirun on two nodes" 0 $?
same_as_calm "$dir/mpirun" "dp=2 by mpirun on two nodes"

# Warned as Slurm warns before the end of the time.
rm -rf "$dir/wild"
submit "$dir/wild" --layout tp=2
ended "submitting" 0 $?
id=$(cat "$dir/id")
is_queued() { squeue --noheader --jobs "$id" | grep -q .; }
await_answers "a job" is_queued
scancel --signal=USR1 --batch "$id" || fail "scancel cannot warn job $id"
await 30 "job $id was not queued again" restarts_are "$id" 1
had=$(committed "$dir/wild")
grep -q 'stopped by a signal' "$dir"/wild/*.log || fail "job $id did not drain"
await 90 "job $id does not end" state_is "$id" COMPLETED
again=$(sed -nE 's/^in the journal already: ([0-9]+) answers.*/\1/p' "$dir"/wild/*.log)
[ "${again:-0}" -ge "$had" ] || fail "$had answers were committed, and the job that went on found ${again:-0}"
same_as_calm "$dir/wild" "a job queued again"

# Ends that are none: the job's own status, one that is cancelled, a controller that is away.
submit "$dir/bad" --wait --eval num-fewshot=3 --eval max-length=1
bad=$?
[ $bad != 0 ] && grep -q "^muster submit: job [0-9]* ended with status $bad" "$dir/err" || fail "a failing job: status $bad"
printf '#!/bin/sh\nexec sleep 60\n' >"$dir/sleeper"
chmod +x "$dir/sleeper"
sed "s|^muster: .*|muster: $dir/sleeper|" "$dir/site.yaml" >"$dir/sleep.yaml"
rm -f "$dir/id" # of the job before
timeout 60 "$muster" submit --site "$dir/sleep.yaml" --model "$model" --tasks x --output "$dir/dead" --wait >"$dir/id" \
    2>"$dir/err" &
waiter=$!
await 20 "no job was submitted" test -s "$dir/id"
await 20 "the sleeper does not run" state_is "$(cat "$dir/id")" RUNNING
scancel "$(cat "$dir/id")"
wait $waiter
ended "a cancelled job" 13 $?
kill "$(cat "$slurm/run/slurmctld.pid")"
timeout 120 "$muster" submit --site "$dir/site.yaml" --model "$model" --tasks x --output "$dir/away" >"$dir/id" 2>"$dir/err"
ended "no controller" 14 $?
grep -q "Slurm's controller does not answer" "$dir/err" || fail "no word of the controller: $(cat "$dir/err")"
echo "ok: sbatch takes $scripts scripts; submitted jobs give one rank's bytes, warned ones too ($had answers, then the rest)"
