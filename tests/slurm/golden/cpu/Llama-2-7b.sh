#!/bin/bash
# muster submit: Llama-2-7b on cpu-site, tp=1
#SBATCH --job-name=Llama-2-7b
#SBATCH --output=runs/Llama-2-7b/%x-%j.log
#SBATCH --open-mode=append
#SBATCH --signal=B:USR1@60
#SBATCH --no-kill
#SBATCH --requeue
#SBATCH --partition=cpu
#SBATCH --nodes=1
#SBATCH --ntasks=1
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=48
#SBATCH --gres=gpu:fake:1
#SBATCH --mem=16828M
#SBATCH --time=0-18:51:00

steps=() warned=
drain() { warned=1; kill -USR1 "${steps[@]}" 2>/dev/null; }
trap drain USR1 # Slurm's warning, which may come at any time

srun --mpi=pmix --no-kill --kill-on-bad-exit=0 --nodes=1 --ntasks=1 --ntasks-per-node=1 --cpus-per-task=48 \
    muster eval --model Llama-2-7b --tasks reasoning --layout tp=1 --threads 48 --output runs/Llama-2-7b &
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
