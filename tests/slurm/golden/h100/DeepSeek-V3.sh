#!/bin/bash
# muster submit: DeepSeek-V3 on h100-site, tp=1,pp=4,dp=6,ep=6
#SBATCH --job-name=DeepSeek-V3
#SBATCH --output=/lustre/lm-eval/runs/DeepSeek-V3/%x-%j.log
#SBATCH --open-mode=append
#SBATCH --signal=B:USR1@600
#SBATCH --no-kill
#SBATCH --requeue
#SBATCH --account=lm-eval
#SBATCH --qos=normal
#SBATCH --partition=batch
#SBATCH --nodes=3
#SBATCH --ntasks=24
#SBATCH --ntasks-per-node=8
#SBATCH --cpus-per-task=12
#SBATCH --gres=gpu:h100:8
#SBATCH --constraint=h100&nvlink
#SBATCH --exclusive
#SBATCH --time=0-00:17:00

steps=() warned=
drain() { warned=1; kill -USR1 "${steps[@]}" 2>/dev/null; }
trap drain USR1 # Slurm's warning, which may come at any time

mpirun -np 24 --bind-to none --mca btl_tcp_if_exclude lo,docker0 \
    muster eval --model /lustre/lm-eval/models/DeepSeek-V3 --tasks reasoning --layout tp=1,pp=4,dp=6,ep=6 --threads 12 --output /lustre/lm-eval/runs/DeepSeek-V3 &
steps+=($!)

status=0
for step in "${steps[@]}"; do
    while kill -0 "$step" 2>/dev/null; do wait "$step"; done
    wait "$step"
    got=$?
    [ $status -ne 0 ] || status=$got
done
# 13: muster was warned and drained. The same job is queued again and goes on.
if [ -n "$warned" ] && [ $status -eq 13 ] && [ "${SLURM_RESTART_COUNT:-0}" -lt 50 ]; then
    scontrol requeue "$SLURM_JOB_ID" && sleep 60 # which Slurm ends
fi
exit $status
