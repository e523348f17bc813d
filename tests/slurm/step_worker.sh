#!/bin/bash
# step_worker.sh: a worker for test_steps.c. Tells rank, node and its own pid, answers lines, and ends as it is told to.
trap 'echo "asked to end" >&2; exit 13' USR1
trap : PIPE
echo "rank ${SLURM_PROCID:-none} on ${SLURMD_NODENAME:-none} sees ${CUDA_VISIBLE_DEVICES:-none}" >&2
echo "a line of rank ${SLURM_PROCID:-none}" >&2
echo "rank ${SLURM_PROCID:-none} on ${SLURMD_NODENAME:-none} pid $$"
while :; do
    read -r -t 1 line
    got=$?
    [ $got -le 128 ] || continue # nothing was said for a second
    [ $got = 0 ] || break        # the input has ended
    case $line in
    exit*) echo "its last words" >&2; exit "${line#exit }" ;;
    deaf) trap '' USR1 TERM; echo "deaf"; while :; do sleep 1; done ;; # neither signals nor the end of the input count
    *) echo "heard $line" ;;
    esac
done
