#!/bin/bash
# mpi_netns.sh MPI_RANK: ranks on four machines made of namespaces, over TCP: a cable pulled for a moment is no loss; pulled
# for good, or a rank killed, every other rank ends within 10 s naming who was lost, and who was cut off ends as well.
#
# Everything lives in a network, mount and process namespace of this script's own: bridge, cables, hosts, processes.
set -u
if [ "${MPI_NETNS_INSIDE:-}" = "" ]; then
    [ "$(id -u)" = 0 ] || { echo "skipped: network namespaces need root"; exit 77; }
    command -v ip >/dev/null || { echo "skipped: no ip (Debian's package iproute2)"; exit 77; }
    unshare --net --mount --pid --fork true 2>/dev/null || { echo "skipped: no namespaces may be made here"; exit 77; }
    MPI_NETNS_INSIDE=1 exec unshare --net --mount --pid --fork --kill-child=KILL --mount-proc bash "$0" "$@"
fi
. "$(dirname "$0")/mpi_lib.sh"
slowest=0

# The machines: node1 .. node4, 10.213.0.11 .. 14, cables v1 .. v4 into one bridge.
mount --make-rprivate / && mount -t tmpfs tmpfs /run && mkdir -p /run/netns || { echo "skipped: no mounts may be made here"; exit 77; }
ip link set lo up
ip link add bridge0 type bridge 2>"$dir/why" || { echo "skipped: no bridge: $(cat "$dir/why")"; exit 77; }
ip addr add 10.213.0.1/24 dev bridge0
ip link set bridge0 up
echo "127.0.0.1 localhost" >"$dir/hosts"
for i in 1 2 3 4; do
    ip netns add node$i || fail "namespace node$i"
    ip link add v$i type veth peer name eth0 netns node$i || fail "cable v$i"
    ip link set v$i master bridge0 up
    ip -n node$i addr add 10.213.0.1$i/24 dev eth0
    ip -n node$i link set eth0 up
    ip -n node$i link set lo up
    echo "10.213.0.1$i node$i" >>"$dir/hosts"
done

# In place of ssh: the command in the node's namespaces.
cat >"$dir/rsh" <<R
#!/bin/bash
while [[ \$1 == -* ]]; do case \$1 in -l | -p | -o) shift 2 ;; *) shift ;; esac done
host=\$1
shift
exec nsenter --net=/run/netns/\$host unshare --uts --ipc --mount bash -c 'hostname '\$host'
    mount -t tmpfs -o size=64m tmpfs /dev/shm; mount --bind $dir/hosts /etc/hosts; exec bash -c "\$*"' rsh "\$@"
R
# What a rank says goes to a file: mpirun's way to a node is cut with the cable.
cat >"$dir/rank" <<R
#!/bin/bash
exec "$mpi_rank" work 2>"$dir/err.\$OMPI_COMM_WORLD_RANK"
R
chmod +x "$dir/rsh" "$dir/rank"
unset OMPI_MCA_btl_vader_backing_directory

start() { # NODES
    rm -f "$dir"/err*
    : >"$dir/err"
    hosts=$(seq -f 'node%.0f:1' -s, "$1")
    mpirun.openmpi --allow-run-as-root --enable-recovery --bind-to none -np "$1" -H "$hosts" --mca plm rsh \
        --mca plm_rsh_agent "$dir/rsh" --mca ras ^slurm --mca pml ob1 --mca btl self,vader,tcp \
        --mca btl_tcp_if_include eth0 --mca oob_tcp_if_include 10.213.0.0/24 "$dir/rank" >"$dir/out" 2>"$dir/err" &
    mpirun=$!
    disown # it will be killed, which is no news
    until=$(($(now_ms) + 60000))
    while [ "$(cat "$dir"/err.* 2>/dev/null | grep -c works)" -lt "$1" ]; do
        [ "$(now_ms)" -lt "$until" ] || fail "$1 ranks never came to work"
        sleep 0.05
    done
    sleep 1
}
stop() { # whatever remains: mpirun waits for ever for a node that is cut off
    kill -9 "$mpirun" 2>/dev/null
    for p in $(alive) $(pgrep -x orted); do kill -9 "$p" 2>/dev/null; done
    while kill -0 "$mpirun" 2>/dev/null; do sleep 0.05; done
    for i in 1 2 3 4; do ip link set v$i up; done
}
process() { pid_of "$1" "$dir/err.$1"; }
runs() { kill -0 "$1" 2>/dev/null && ! grep -qE 'State:.*Z' "/proc/$1/status" 2>/dev/null; }

# All but a killed rank end within 10 s of begin; each names who it lost.
await_ends() { # NODES LOST WHO_THE_LOST_NAMES
    for rank in $(seq 0 $(($1 - 1))); do
        pid=$(process "$rank")
        while runs "$pid"; do
            [ $(($(now_ms) - begin)) -lt 10000 ] || fail "rank $rank still runs after 10 s"
            sleep 0.02
        done
        names=$2
        [ "$rank" != "$2" ] || names=$3
        [ -z "$names" ] || grep -qE "^rank $rank: EPEER: rank $names on node$((names + 1)) .* while group world ran" \
            "$dir/err.$rank" || fail "rank $rank does not name rank $names"
    done
    took=$(($(now_ms) - begin))
    [ $took -le $slowest ] || slowest=$took
}

cut() { # NODES RANK WHO_IT_NAMES
    start "$1"
    begin=$(now_ms)
    ip link set v$(($2 + 1)) down
    await_ends "$1" "$2" "$3"
    stop
}

start 4
ip link set v3 down
sleep 2
ip link set v3 up
sleep 4
for rank in 0 1 2 3; do
    runs "$(process $rank)" || fail "rank $rank did not outlive a cut of two seconds"
done
begin=$(now_ms)
kill -9 "$(process 1)"
await_ends 4 1 ""
stop

cut 4 2 0
cut 4 0 1
cut 2 1 0
echo "ok: a cut of 2 s outlived; a kill and three cuts over TCP, everybody ended after at most $slowest ms"
