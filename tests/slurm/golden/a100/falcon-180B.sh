#!/bin/bash
# muster submit: falcon-180B on a100-site, tp=1,pp=8
#SBATCH --job-name=falcon-180B
#SBATCH --output=/work/lm-eval/runs/falcon-180B/%x-%j.log
#SBATCH --open-mode=append
#SBATCH --signal=B:USR1@300
#SBATCH --no-kill
#SBATCH --requeue
#SBATCH --account=lm-eval
#SBATCH --partition=gpu
#SBATCH --nodes=2
#SBATCH --ntasks=8
#SBATCH --ntasks-per-node=4
#SBATCH --cpus-per-task=16
#SBATCH --gres=gpu:a100:4
#SBATCH --mem=0
#SBATCH --exclusive
#SBATCH --time=0-01:01:00

steps=() warned=
drain() { warned=1; kill -USR1 "${steps[@]}" 2>/dev/null; }
trap drain USR1 # Slurm's warning, which may come at any time

module load openmpi/4.1
export OMPI_MCA_mpi_yield_when_idle=1

srun --mpi=pmix --no-kill --kill-on-bad-exit=0 --nodes=2 --ntasks=8 --ntasks-per-node=4 --cpus-per-task=16 --gpu-bind=none \
    muster eval --model /work/lm-eval/models/falcon-180B --tasks reasoning --layout tp=1,pp=8 --threads 16 --output /work/lm-eval/runs/falcon-180B &
steps+=($!)

status=0
for step in "${steps[@]}"; do
    while kill -0 "$step" 2>/dev/null; do wait "$step"; done
    wait "$step"
    got=$?
    [ $status -ne 0 ] || status=$got
done
# 13: muster was warned and drained. The same job is queued again and goes on.
if [ -n "$warned" ] && [ $status -eq 13 ] && [ "${SLURM_RESTART_COUNT:-0}" -lt 20 ]; then
    scontrol requeue "$SLURM_JOB_ID" && sleep 60 # which Slurm ends
fi
exit $status
