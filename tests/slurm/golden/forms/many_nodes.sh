#!/bin/bash
# a test
#SBATCH --job-name=job
#SBATCH --output=/work/out/%x-%j.log
#SBATCH --open-mode=append
#SBATCH --signal=B:USR1@300
#SBATCH --no-kill
#SBATCH --no-requeue
#SBATCH --dependency=afterok:12:13
#SBATCH --kill-on-invalid-dep=yes
#SBATCH --account=acc
#SBATCH --partition=gpu
#SBATCH --nodes=3
#SBATCH --ntasks=11
#SBATCH --ntasks-per-node=4
#SBATCH --cpus-per-task=16
#SBATCH --gres=gpu:a100:4
#SBATCH --mem=0
#SBATCH --constraint=fast&nvlink
#SBATCH --exclusive
#SBATCH --time=0-01:30:00

steps=() warned=
drain() { warned=1; kill -USR1 "${steps[@]}" 2>/dev/null; }
trap drain USR1 # Slurm's warning, which may come at any time

module load mpi/4
module load 'odd name'
export X=$HOME
export SLURM_PMIX_DIRECT_CONN=false # Open MPI 4.1 with uneven tasks a node

srun --mpi=pmix --no-kill --kill-on-bad-exit=0 --nodes=3 --ntasks=11 --ntasks-per-node=4 --cpus-per-task=16 --gpu-bind=none --quiet \
    muster eval --model '/models/a b' &
steps+=($!)

status=0
for step in "${steps[@]}"; do
    while kill -0 "$step" 2>/dev/null; do wait "$step"; done
    wait "$step"
    got=$?
    [ $status -ne 0 ] || status=$got
done
exit $status
