#!/bin/bash
# muster submit: campaign two-small-models on cpu-site
#SBATCH --job-name=two-small-models
#SBATCH --output=build/campaign/%x-%j.log
#SBATCH --open-mode=append
#SBATCH --signal=B:USR1@60
#SBATCH --no-kill
#SBATCH --requeue
#SBATCH --partition=cpu
#SBATCH --nodes=2
#SBATCH --ntasks=2
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=96
#SBATCH --gres=gpu:fake:2
#SBATCH --mem=0
#SBATCH --exclusive
#SBATCH --time=0-00:10:00

steps=() warned=
drain() { warned=1; kill -USR1 "${steps[@]}" 2>/dev/null; }
trap drain USR1 # Slurm's warning, which may come at any time

export SLURM_MPI_TYPE=pmix # of the steps that it starts

muster run examples/campaign.yaml --launcher steps --devices 2 --lead 60 --output build/campaign &
steps+=($!)

status=0
for step in "${steps[@]}"; do
    while kill -0 "$step" 2>/dev/null; do wait "$step"; done
    wait "$step"
    got=$?
    [ $status -ne 0 ] || status=$got
done
# 13: muster was warned and drained. The same job is queued again and goes on.
if [ -n "$warned" ] && [ $status -eq 13 ] && [ "${SLURM_RESTART_COUNT:-0}" -lt 3 ]; then
    scontrol requeue "$SLURM_JOB_ID" && sleep 60 # which Slurm ends
fi
exit $status
