#!/bin/bash
# a test
#SBATCH --job-name=job
#SBATCH --output=/work/out/%x-%j.log
#SBATCH --open-mode=append
#SBATCH --signal=B:USR1@300
#SBATCH --no-kill
#SBATCH --requeue
#SBATCH --account=acc
#SBATCH --partition=gpu
#SBATCH --nodes=1
#SBATCH --ntasks=1
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=16
#SBATCH --gres=gpu:a100:1
#SBATCH --mem=9000M
#SBATCH --constraint=fast
#SBATCH --time=0-01:30:00
#SBATCH hetjob
#SBATCH --account=acc
#SBATCH --qos=low
#SBATCH --partition=cpu
#SBATCH --nodes=1
#SBATCH --ntasks=1
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=16
#SBATCH --time=0-01:30:00

steps=() warned=
drain() { warned=1; kill -USR1 "${steps[@]}" 2>/dev/null; }
trap drain USR1 # Slurm's warning, which may come at any time

module load mpi/4
module load 'odd name'
export X=$HOME

srun --het-group=0 --mpi=pmix --no-kill --kill-on-bad-exit=0 --nodes=1 --ntasks=1 --ntasks-per-node=1 --cpus-per-task=16 --gpu-bind=none --quiet \
    muster eval --model '/models/a b' &
steps+=($!)
srun --het-group=1 --mpi=pmix --no-kill --kill-on-bad-exit=0 --nodes=1 --ntasks=1 --ntasks-per-node=1 --cpus-per-task=16 --quiet \
    muster serve &
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
