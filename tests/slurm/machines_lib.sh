# machines_lib.sh: the nodes of slurm_lib.sh as machines that can lose power and cables: each has its own network, hostname,
# processes and shared memory (Linux namespaces, which need root). Sourced after slurm_lib.sh, before slurm_node.
#
#   machines_are_possible
#   machine_off NODE, machine_on NODE       every process of it dies at once; it starts again
#   machine_cut NODE, machine_joined NODE   its cable is pulled, and put back
#   machines_stop                           after slurm_stop
machines_bridge='' machines_id=$slurm_port machines_net=10.213.$((slurm_port % 250))
slurm_address=$machines_net.1
slurm_pid_file=$slurm/spool/%n.pid # numbers of its own processes: of no use out here

machines_are_possible() {
    command -v ip >/dev/null && command -v nsenter >/dev/null && ip link add "mb$machines_id" type bridge 2>/dev/null &&
        machines_bridge=mb$machines_id &&
        ip addr add "$slurm_address/24" dev "mb$machines_id" && ip link set "mb$machines_id" up &&
        ip netns add "mu${machines_id}try" 2>/dev/null && ip netns del "mu${machines_id}try"
}
slurm_node() { # PREFIX COUNT WHAT...
    for i in $(seq "$2"); do slurm_names+=("$1$i"); done
    slurm_lines+="NodeName=$1[1-$2] NodeHostname=$1[1-$2] NodeAddr=$machines_net.[11-$((10 + $2))] Port=$((slurm_port + 1)) $3"
    slurm_lines+=" State=UNKNOWN"$'\n'
}
machine_wire() { # NUMBER
    ip netns add "mu${machines_id}n$1" &&
        ip link add "mv${machines_id}n$1" type veth peer name eth0 netns "mu${machines_id}n$1" &&
        ip link set "mv${machines_id}n$1" master "mb$machines_id" up &&
        ip -n "mu${machines_id}n$1" addr add "$machines_net.$((10 + $1))/24" dev eth0 &&
        ip -n "mu${machines_id}n$1" link set eth0 up && ip -n "mu${machines_id}n$1" link set lo up
}
machine_number() { echo "${1##*[a-z]}"; }
machine_hosts() {
    echo "127.0.0.1 localhost"
    echo "$slurm_address $(hostname -s)"
    for n in "${slurm_names[@]}"; do echo "$machines_net.$((10 + $(machine_number "$n"))) $n"; done
}
# What runs as its process 1: a Slurm daemon that is started again when it ends.
machine_on() { # NODE
    setsid nsenter --net="/run/netns/mu${machines_id}n$(machine_number "$1")" \
        unshare --uts --ipc --mount --pid --fork --kill-child=KILL --mount-proc bash -c '
            hostname "$1"; mount -t tmpfs -o size=512m tmpfs /dev/shm; mount --bind "$2/etc/hosts" /etc/hosts
            while :; do slurmd -D -N "$1" & wait $!; sleep 1; done' "$dir/machine" "$1" "$slurm" \
        </dev/null >>"$slurm/log/boot-$1" 2>&1 &
    disown $!
    echo $! >"$slurm/run/machine-$1"
}
machine_off() { # NODE
    kill -9 "$(cat "$slurm/run/machine-$1")" 2>/dev/null
    rm -f "$slurm/run/machine-$1"
}
machine_is_on() { [ -e "$slurm/run/machine-$1" ]; }
machine_cut() { ip link set "mv${machines_id}n$(machine_number "$1")" down; }
machine_joined() { ip link set "mv${machines_id}n$(machine_number "$1")" up; }
slurm_boot() { # NODE
    [ -e "$slurm/etc/hosts" ] || machine_hosts >"$slurm/etc/hosts"
    machine_wire "$(machine_number "$1")" && machine_on "$1"
}
machines_stop() {
    [ -n "$machines_bridge" ] || return
    for n in "${slurm_names[@]}"; do
        machine_off "$n"
        ip netns del "mu${machines_id}n$(machine_number "$n")" 2>/dev/null
        ip link del "mv${machines_id}n$(machine_number "$n")" 2>/dev/null
    done
    ip link del "$machines_bridge" 2>/dev/null
}
