#!/bin/bash
# muster submit: DeepSeek-V3 on cpu-site, tp=1,dp=4,ep=4
#SBATCH --job-name=DeepSeek-V3
#SBATCH --output=runs/DeepSeek-V3/%x-%j.log
#SBATCH --open-mode=append
#SBATCH --signal=B:USR1@60
#SBATCH --no-kill
#SBATCH --requeue
#SBATCH --partition=cpu
#SBATCH --nodes=2
#SBATCH --ntasks=4
#SBATCH --ntasks-per-node=2
#SBATCH --cpus-per-task=48
#SBATCH --gres=gpu:fake:2
#SBATCH --mem=0
#SBATCH --exclusive
#SBATCH --time=1-13:41:00

steps=() warned=
drain() { warned=1; kill -USR1 "${steps[@]}" 2>/dev/null; }
trap drain USR1 # Slurm's warning, which may come at any time

srun --mpi=pmix --no-kill --kill-on-bad-exit=0 --nodes=2 --ntasks=4 --ntasks-per-node=2 --cpus-per-task=48 \
    muster eval --model DeepSeek-V3 --tasks reasoning --layout tp=1,dp=4,ep=4 --threads 48 --output runs/DeepSeek-V3 &
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
