# slurm_lib.sh: a Slurm of the script's own, a real one on this host in $dir/slurm; nothing is written outside of it and no root is
# needed. Sourced by bash after $dir is there. Skips where Slurm is not installed (Debian's packages slurmctld slurmd
# slurm-client munge slurm-wlm-basic-plugins).
#
#   slurm_node node 2 "CPUs=8"              nodes node1 and node2, and what slurm.conf says of them
#   slurm_gpus node 2 h100 8                GPUs that they claim to have
#   slurm_partition "PartitionName=all Nodes=ALL Default=YES"
#   slurm_more="SlurmdTimeout=2"            further lines of slurm.conf
#   slurm_start                             skips where it cannot; then every command of Slurm speaks to it
#   slurm_stop
PATH=$PATH:/usr/sbin
for program in slurmctld slurmd srun munged; do
    command -v $program >/dev/null || { echo "skipped: no $program (Slurm is not installed)"; exit 77; }
done
slurm=$dir/slurm slurm_port=$((12000 + RANDOM % 20000)) slurm_names=() slurm_lines='' slurm_gres='' slurm_parts='' slurm_more=''
slurm_address=127.0.0.1 # the controller's
slurm_pid_file=$slurm/run/slurmd-%n.pid
export SLURM_CONF=$slurm/etc/slurm.conf SLURM_PMIX_DIRECT_CONN=false OMPI_MCA_mpi_yield_when_idle=1
unset OMPI_MCA_btl_vader_backing_directory # of each node its own: the prolog

slurm_boot() { slurmd -N "$1"; } # NODE
slurm_node() { # PREFIX COUNT WHAT...
    first=$((slurm_port + 101 + ${#slurm_names[@]}))
    slurm_lines+="NodeName=$1[1-$2] NodeHostname=localhost NodeAddr=127.0.0.1 Port=[$first-$((first + $2 - 1))] $3 State=UNKNOWN"$'\n'
    for i in $(seq "$2"); do slurm_names+=("$1$i"); done
}
# A GPU needs a character device of its own, whichever.
slurm_gpus() { # PREFIX NODES KIND COUNT
    for device in $(printf '%s\n' null zero full random urandom tty ptmx console | head -n "$4"); do
        slurm_gres+="NodeName=$1[1-$2] Name=gpu Type=$3 File=/dev/$device"$'\n'
    done
}
slurm_partition() { slurm_parts+="$1 State=UP"$'\n'; } # LINE

slurm_configure() {
    mkdir -p "$slurm"/{etc,run,state,log,spool}
    for n in "${slurm_names[@]}"; do mkdir -p "$slurm/node/$n"; done
    dd if=/dev/urandom bs=1024 count=1 of="$slurm/etc/munge.key" 2>/dev/null
    chmod 400 "$slurm/etc/munge.key"
    cat >"$slurm/etc/slurm.conf" <<C
ClusterName=muster
SlurmctldHost=$(hostname -s)($slurm_address)
SlurmUser=$(id -un)
SlurmdUser=$(id -un)
AuthType=auth/munge
AuthInfo=socket=$slurm/run/munge.sock,cred_expire=5
SlurmctldPort=$slurm_port
StateSaveLocation=$slurm/state
SlurmdSpoolDir=$slurm/spool/%n
SlurmctldPidFile=$slurm/run/slurmctld.pid
SlurmdPidFile=$slurm_pid_file
SlurmctldLogFile=$slurm/log/slurmctld.log
SlurmdLogFile=$slurm/log/slurmd-%n.log
TmpFS=$slurm/node/%n
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
KillOnBadExit=0
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerParameters=bf_interval=1,sched_interval=1,sched_min_interval=0,batch_sched_delay=0
ReturnToService=2
JobRequeue=1
KillWait=2
SlurmdParameters=config_overrides
TaskProlog=$slurm/etc/taskprolog
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
${slurm_gres:+GresTypes=gpu}
$slurm_more
$slurm_lines$slurm_parts
C
    printf '%s' "$slurm_gres" >"$slurm/etc/gres.conf"
    printf '#!/bin/sh\necho export OMPI_MCA_btl_vader_backing_directory=%s\n' "$slurm/node/\$SLURMD_NODENAME" \
        >"$slurm/etc/taskprolog"
    chmod 755 "$slurm/etc/taskprolog"
}
# Ports may be taken, a daemon may end behind our back: then nodes do not come.
slurm_await_nodes() {
    for _ in $(seq 600); do
        [ "$(sinfo --noheader --format=%T | sort -u)" != idle ] || return 0
        sleep 0.1
    done
    echo "nodes do not come up: $(sinfo --noheader --format='%N %T' | tr '\n' ' ')"
    return 1
}
slurm_try_start() {
    munged --force --socket="$slurm/run/munge.sock" --key-file="$slurm/etc/munge.key" --pid-file="$slurm/run/munged.pid" \
        --log-file="$slurm/log/munged.log" --seed-file="$slurm/state/munge.seed" && slurmctld -c || return 1
    for n in "${slurm_names[@]}"; do slurm_boot "$n" || return 1; done
    timeout 60 srun --partition="$(sed -n 's/^PartitionName=\([^ ]*\).*/\1/p' "$SLURM_CONF" | head -n 1)" true &&
        slurm_await_nodes
}
slurm_start() {
    slurm_configure
    slurm_try_start >"$slurm/log/start" 2>&1 ||
        { echo "skipped: no Slurm can be started here: $(tail -n 1 "$slurm/log/start")"; exit 77; }
}
# Signals reach what the fixture started alone: by its own files, or by the configuration in a process's environment.
slurm_stop() {
    timeout 10 scancel -u "$(id -un)" 2>/dev/null
    slurm_pids=
    for f in "$slurm"/run/slurmd-*.pid "$slurm/run/slurmctld.pid" "$slurm/run/munged.pid"; do
        [ ! -e "$f" ] || { slurm_pids="$slurm_pids $(cat "$f")" && kill "$(cat "$f")" 2>/dev/null; }
    done
    for p in $(pgrep -x slurmstepd); do
        ! grep -qzxF "SLURM_CONF=$SLURM_CONF" "/proc/$p/environ" 2>/dev/null || kill -9 "$p"
    done
    for _ in $(seq 100); do # they save their state, in a folder that goes next
        # shellcheck disable=SC2086 # numbers
        kill -0 $slurm_pids 2>/dev/null || return 0
        sleep 0.1
    done
    # shellcheck disable=SC2086
    kill -9 $slurm_pids 2>/dev/null || true
}

# ---- what jobs of tests share ----

# The fixture as a site: NODES of its partition "cpu" with so many CPUS, a node being a device of MEMORY and CORES; and lines
# of the profile's own.
slurm_site() { # MUSTER NODES CPUS MEMORY CORES LINE...
    cat <<S
name: fixture
muster: $1
gres: {CPU: "gpu:fake"}
$([ $# -le 5 ] || printf '%s\n' "${@:6}")
partitions:
  - name: cpu
    nodes: $2
    cpus: $3
    ranks: 2
    machine:
      gpus: {name: CPU, count: 1, memory: $4, memory_rate: 10GB/s, f32: 50GFLOPS}
      links: {kind: memory, rate: 5GB/s, latency: 3us}
      network: {kind: ethernet, cards: 1, card_rate: 10Gb/s, latency: 30us}
      host: {memory: $4, is_device: true, cores: $5}
S
}
await() { # SECONDS WHAT COMMAND...: until that is true; `fail` is the script's own
    latest=$((SECONDS + $1)) what=$2
    shift 2
    until "$@"; do
        [ $SECONDS -lt $latest ] || fail "$what"
        sleep 0.1
    done
}
state_is() { [ "$(squeue --noheader --states=all --jobs "$1" --format=%T 2>/dev/null)" = "$2" ]; } # JOB STATE
restarts() { squeue --noheader --states=all --jobs "$1" --Format=RestartCnt:8 | tr -d ' '; }       # JOB
restarts_are() { [ "$(restarts "$1")" = "$2" ]; }                                                 # JOB N
