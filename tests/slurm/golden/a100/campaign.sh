#!/bin/bash
# muster submit: campaign three-small-models on a100-site
#SBATCH --job-name=three-small-models
#SBATCH --output=build/campaign/%x-%j.log
#SBATCH --open-mode=append
#SBATCH --signal=B:USR1@300
#SBATCH --no-kill
#SBATCH --requeue
#SBATCH --account=lm-eval
#SBATCH --partition=gpu
#SBATCH --nodes=2
#SBATCH --ntasks=2
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=64
#SBATCH --gres=gpu:a100:4
#SBATCH --mem=0
#SBATCH --exclusive
#SBATCH --time=0-00:10:00

steps=() warned=
drain() { warned=1; kill -USR1 "${steps[@]}" 2>/dev/null; }
trap drain USR1 # Slurm's warning, which may come at any time

module load openmpi/4.1
export OMPI_MCA_mpi_yield_when_idle=1
export SLURM_MPI_TYPE=pmix # of the steps that it starts

# Slurm keeps a job whose first node has failed, without this script: a step on the second queues it again.
guard='while sleep 5; do
    nodes=$(squeue --noheader --jobs="$SLURM_JOB_ID" --format=%N) && [ -n "$nodes" ] || continue
    scontrol show hostnames "$nodes" | grep -qxF "$0" || scontrol requeue "$SLURM_JOB_ID"
done'
while :; do
    srun --quiet --overlap --nodes=1 --ntasks=1 --relative=1 --mem=0 --gres=none --mpi=none --cpu-bind=none \
        --input=none --output=none --error=none bash -c "$guard" "$SLURMD_NODENAME" 2>/dev/null
    sleep 5
done &

# Killed, it is started again and goes on.
for _ in {0..50}; do
    muster run examples/campaign.yaml --launcher steps --devices 4 --lead 300 --output build/campaign &
    steps=($!)
    [ -z "$warned" ] || drain
    while kill -0 "${steps[0]}" 2>/dev/null; do wait "${steps[0]}"; done
    wait "${steps[0]}"
    status=$?
    [ $status -gt 128 ] && [ -z "$warned" ] || break
    sleep 1
done
# 13: muster was warned and drained. The same job is queued again and goes on.
if [ -n "$warned" ] && { [ $status -eq 13 ] || [ $status -gt 128 ]; } && [ "${SLURM_RESTART_COUNT:-0}" -lt 20 ]; then
    scontrol requeue "$SLURM_JOB_ID" && sleep 60 # which Slurm ends
fi
exit $status
