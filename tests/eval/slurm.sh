#!/bin/bash
# slurm.sh MUSTER: ranks started by Slurm, a real one in a folder of this script's own: two nodes on this host. `srun
# --mpi=pmix` and `salloc mpirun` give the bytes of one rank; a rank killed under srun is named by all others, and a run on
# fewer ranks goes on. Skips where Slurm is not installed (Debian's packages slurmctld slurmd slurm-client munge
# slurm-wlm-basic-plugins).
set -u
muster=$(realpath "$1")
PATH=$PATH:/usr/sbin
for program in slurmctld slurmd srun munged; do
    command -v $program >/dev/null || { echo "skipped: no $program (Slurm is not installed)"; exit 77; }
done
. "$(dirname "$0")/ranks_lib.sh"
ulimit -c 0
port=$((20000 + RANDOM % 20000))
export SLURM_CONF=$dir/etc/slurm.conf SLURM_PMIX_DIRECT_CONN=false OMPI_MCA_mpi_yield_when_idle=1
unset OMPI_MCA_btl_vader_backing_directory # of each node its own: the prolog

configure() {
    mkdir -p "$dir"/{etc,run,state,log,spool,node/node1,node/node2}
    dd if=/dev/urandom bs=1024 count=1 of="$dir/etc/munge.key" 2>/dev/null
    chmod 400 "$dir/etc/munge.key"
    cat >"$dir/etc/slurm.conf" <<C
ClusterName=muster
SlurmctldHost=$(hostname -s)(127.0.0.1)
SlurmUser=$(id -un)
SlurmdUser=$(id -un)
AuthType=auth/munge
AuthInfo=socket=$dir/run/munge.sock
SlurmctldPort=$port
StateSaveLocation=$dir/state
SlurmdSpoolDir=$dir/spool/%n
SlurmctldPidFile=$dir/run/slurmctld.pid
SlurmdPidFile=$dir/run/slurmd-%n.pid
SlurmctldLogFile=$dir/log/slurmctld.log
SlurmdLogFile=$dir/log/slurmd-%n.log
TmpFS=$dir/node/%n
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
KillOnBadExit=0
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
ReturnToService=2
KillWait=2
SlurmdParameters=config_overrides
TaskProlog=$dir/etc/taskprolog
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
NodeName=node[1-2] NodeHostname=localhost NodeAddr=127.0.0.1 Port=[$((port + 101))-$((port + 102))] CPUs=8 State=UNKNOWN
PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE State=UP
C
    printf '#!/bin/sh\necho export OMPI_MCA_btl_vader_backing_directory=%s\n' "$dir/node/\$SLURMD_NODENAME" \
        >"$dir/etc/taskprolog"
    chmod 755 "$dir/etc/taskprolog"
}
start_slurm() {
    munged --force --socket="$dir/run/munge.sock" --key-file="$dir/etc/munge.key" --pid-file="$dir/run/munged.pid" \
        --log-file="$dir/log/munged.log" --seed-file="$dir/state/munge.seed" 2>"$dir/err" &&
        slurmctld -c 2>"$dir/err" && slurmd -N node1 2>"$dir/err" && slurmd -N node2 2>"$dir/err" &&
        timeout 60 srun -N2 true >"$dir/out" 2>"$dir/err" ||
        { echo "skipped: no Slurm can be started here: $(tail -n 1 "$dir/err")"; exit 77; }
}
stop_slurm() {
    scancel -u "$(id -un)" 2>/dev/null
    for f in "$dir"/run/slurmd-*.pid "$dir/run/slurmctld.pid" "$dir/run/munged.pid"; do
        [ ! -e "$f" ] || kill "$(cat "$f")" 2>/dev/null
    done
    for p in $(pgrep -x slurmstepd); do
        ! grep -qzxF "SLURM_CONF=$SLURM_CONF" "/proc/$p/environ" 2>/dev/null || kill -9 "$p"
    done
    cleanup
}
trap stop_slurm EXIT

begin_srun() { # LAYOUT RANKS options of srun...
    layout=$1 ranks=$2
    shift 2
    rm -rf "$dir/wild"
    : >"$dir/err"
    # shellcheck disable=SC2046
    timeout 120 srun "$@" -n "$ranks" --mpi=pmix "$muster" $(arguments "$dir/wild") --layout "$layout" >"$dir/out" \
        2>"$dir/err" </dev/null &
    job=$!
}

configure
start_slurm
run_calm

begin_srun tp=2,pp=2 4 -N2 --ntasks-per-node=2
wait $job || fail "srun: status $?"
same_as_calm "$dir/wild" "srun -N2 -n4"

rm -rf "$dir/wild"
# shellcheck disable=SC2046
OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 timeout 120 salloc -Q -N2 --ntasks-per-node=2 mpirun.openmpi \
    --oversubscribe --bind-to none "$muster" $(arguments "$dir/wild") --layout pp=2,dp=2 >"$dir/out" 2>"$dir/err" </dev/null ||
    fail "salloc mpirun: status $?"
same_as_calm "$dir/wild" "salloc mpirun"

begin_srun tp=3 3 -N1
await_bill $job "$dir/err" || fail "srun: ended before it began"
pause_ms $((span / 2))
had=$(committed "$dir/wild")
lost=$(pid_of_rank 1)
begin=$(now_ms)
kill -9 "$lost" || fail "srun: no rank 1"
wait $job
got=$?
took=$(($(now_ms) - begin))
[ $took -lt 10000 ] || fail "srun: it took $took ms to end after rank 1 was killed"
[ $got != 0 ] || fail "srun: status 0 after rank 1 was killed"
for p in $(pgrep -x muster); do ! grep -qFe "$dir" "/proc/$p/cmdline" 2>/dev/null || fail "srun: process $p stays"; done
grep -qE "rank 1 on .* \(process $lost\) .* while group" "$dir/err" || fail "srun: nobody names rank 1"
go_on "$dir/wild" "$had" "srun, rank 1 killed" --layout tp=2
echo "ok: srun and salloc give one rank's bytes; a killed rank was named, srun ended with $got after $took ms"
