#!/bin/bash
# muster submit: ALIA-40b on h100-site, tp=1
#SBATCH --job-name=ALIA-40b
#SBATCH --output=/lustre/lm-eval/runs/ALIA-40b/%x-%j.log
#SBATCH --open-mode=append
#SBATCH --signal=B:USR1@600
#SBATCH --no-kill
#SBATCH --requeue
#SBATCH --account=lm-eval
#SBATCH --qos=normal
#SBATCH --partition=batch
#SBATCH --nodes=1
#SBATCH --ntasks=1
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=12
#SBATCH --gres=gpu:h100:1
#SBATCH --constraint=h100
#SBATCH --time=0-00:40:00

steps=() warned=
drain() { warned=1; kill -USR1 "${steps[@]}" 2>/dev/null; }
trap drain USR1 # Slurm's warning, which may come at any time

mpirun -np 1 --bind-to none --mca btl_tcp_if_exclude lo,docker0 \
    muster eval --model /lustre/lm-eval/models/ALIA-40b --tasks reasoning --layout tp=1 --threads 12 --output /lustre/lm-eval/runs/ALIA-40b &
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
