# netns_lib.sh: machines made of namespaces, for scripts run as root: hosts node1 .. nodeN at 10.213.0.11 and on, cables v1 ..
# vN into one bridge. Everything lives in a network, mount and process namespace of the script's own and ends with it.

# First of all: the script starts again inside. Skips, with the reason, where that cannot be.
netns_enter() { # SCRIPT ARGUMENTS...
    [ "${NETNS_INSIDE:-}" = "" ] || return 0
    [ "$(id -u)" = 0 ] || { echo "skipped: network namespaces need root"; exit 77; }
    command -v ip >/dev/null || { echo "skipped: no ip (Debian's package iproute2)"; exit 77; }
    unshare --net --mount --pid --fork true 2>/dev/null || { echo "skipped: no namespaces may be made here"; exit 77; }
    NETNS_INSIDE=1 exec unshare --net --mount --pid --fork --kill-child=KILL --mount-proc bash "$@"
}

# Needs dir and fail.
netns_build() { # NODES
    mount --make-rprivate / && mount -t tmpfs tmpfs /run && mkdir -p /run/netns ||
        { echo "skipped: no mounts may be made here"; exit 77; }
    ip link set lo up
    ip link add bridge0 type bridge 2>"$dir/why" || { echo "skipped: no bridge: $(cat "$dir/why")"; exit 77; }
    ip addr add 10.213.0.1/24 dev bridge0
    ip link set bridge0 up
    echo "127.0.0.1 localhost" >"$dir/hosts"
    for i in $(seq "$1"); do
        ip netns add "node$i" || fail "namespace node$i"
        ip link add "v$i" type veth peer name eth0 netns "node$i" || fail "cable v$i"
        ip link set "v$i" master bridge0 up
        ip -n "node$i" addr add "10.213.0.1$i/24" dev eth0
        ip -n "node$i" link set eth0 up
        ip -n "node$i" link set lo up
        echo "10.213.0.1$i node$i" >>"$dir/hosts"
    done
    netns_rsh
    unset OMPI_MCA_btl_vader_backing_directory
}

# Makes $dir/rsh, which stands for ssh: a command in a node's network, host name, IPC and /dev/shm of shm_kib KiB. What
# $dir/mounts.NODE says, as a shell script, is done there first.
netns_rsh() {
    cat >"$dir/rsh" <<R
#!/bin/bash
while [[ \$1 == -* ]]; do case \$1 in -l | -p | -o) shift 2 ;; *) shift ;; esac done
host=\$1
shift
exec nsenter --net=/run/netns/\$host unshare --uts --ipc --mount bash -c 'hostname '\$host'
    mount -t tmpfs -o size=${shm_kib:-65536}k tmpfs /dev/shm; mount --bind $dir/hosts /etc/hosts
    [ ! -e $dir/mounts.'\$host' ] || . $dir/mounts.'\$host'
    exec bash -c "\$*"' rsh "\$@"
R
    chmod +x "$dir/rsh"
}

# mpirun over such machines, survivors of a lost rank left alone. In the background: the shell becomes mpirun.
netns_mpirun() { # RANKS HOSTS PROGRAM...: HOSTS as mpirun has them, node1:1,node2:1
    n=$1 hosts=$2
    shift 2
    exec mpirun.openmpi --allow-run-as-root --enable-recovery --bind-to none -np "$n" -H "$hosts" --mca plm rsh \
        --mca plm_rsh_agent "$dir/rsh" --mca ras ^slurm --mca pml ob1 --mca btl self,vader,tcp \
        --mca btl_tcp_if_include eth0 --mca oob_tcp_if_include 10.213.0.0/24 "$@"
}

# A node's port of the bridge passes nothing, and passes everything again, both at once: a cable pulled and put back would
# take the kernel up to four seconds to believe in again. Who failed to find a neighbour meanwhile looks anew.
netns_cut() { bridge link set dev "v$1" state 0 || fail "cannot cut node$1 off"; } # NODE
netns_mend() {                                                                    # NODE
    bridge link set dev "v$1" state 3 || fail "cannot mend node$1"
    ip -n "node$1" neigh flush dev eth0
}

# Whatever remains: mpirun waits for ever for a node that is cut off. Cables are put back. Needs alive.
netns_stop() { # MPIRUN NODES
    kill -9 "$1" 2>/dev/null
    for p in $(alive) $(pgrep -x orted); do kill -9 "$p" 2>/dev/null; done
    while kill -0 "$1" 2>/dev/null; do sleep 0.05; done
    for i in $(seq "$2"); do netns_mend "$i"; done
}
