#!/bin/bash
# lost_replicas_netns.sh MUSTER: replicas on machines made of namespaces that speak by TCP. The checkpoint is read once by all
# machines together, or once on each where that was asked for; a machine whose cable is cut, or a rank that is killed or
# stopped there, costs its replica, and rank 0 ends with status 0 and the bytes of an undisturbed run. Needs root.
set -u
. "$(dirname "$0")/../comm/netns_lib.sh"
netns_enter "$0" "$@"
muster=$1
. "$(dirname "$0")/ranks_lib.sh"
netns_build 4
n=0

begin_run() { # LAYOUT HOSTS options...
    rm -rf "$dir/wild" "$dir"/err* "$dir"/status*
    : >"$dir/err.0"
    layout=$1 hosts=$2 ranks=0
    shift 2
    for h in ${hosts//,/ }; do ranks=$((ranks + ${h#*:})); done
    printf '#!/bin/bash\n"%s" %s 2>"%s/err.$OMPI_COMM_WORLD_RANK"\necho $? >"%s/status.$OMPI_COMM_WORLD_RANK"\n' "$muster" \
        "$(arguments "$dir/wild") --layout $layout $*" "$dir" "$dir" >"$dir/rank"
    chmod +x "$dir/rank"
    netns_mpirun "$ranks" "$hosts" "$dir/rank" >"$dir/out" 2>"$dir/err" </dev/null &
    job=$!
    disown # it will be killed, which is no news
}

await_rank_0() { # WHAT
    until=$(($(now_ms) + 120000))
    until [ -s "$dir/status.0" ]; do
        [ "$(now_ms)" -lt "$until" ] || fail "$1: rank 0 does not end"
        sleep 0.05
    done
    [ "$(cat "$dir/status.0")" = 0 ] || fail "$1: rank 0 ended with $(cat "$dir/status.0")"
}

bytes_read() { sed -nE 's/^ *"weight_bytes_read": ([0-9]+),?$/\1/p' "$1"/*/results_*.json; } # FOLDER

# So many times the bytes that one rank reads.
loads() { # TIMES LAYOUT HOSTS options...
    times=$1
    shift
    begin_run "$@" --limit 1 --batch-size 32
    await_rank_0 "$*"
    got=$(bytes_read "$dir/wild") want=$(bytes_read "$dir/calm")
    [ "$got" = $((times * want)) ] || fail "$*: $got bytes were read, the file once is $want"
    netns_stop $job 4
    await_none 10
}

lose() { # LAYOUT HOSTS HOW RANK NODE
    what="$1 on $2, $3 rank $4"
    begin_run "$1" "$2"
    await_answers "$what" test ! -e "$dir/status.0"
    victim=$(pid_of_rank "$4")
    case $3 in
    cut) netns_cut "$5" ;;
    kill) kill -9 "$victim" ;;
    stop) kill -STOP "$victim" ;;
    esac
    begin=$(now_ms)
    while [ "$3" = cut ] && runs "$victim"; do
        [ $(($(now_ms) - begin)) -lt 10000 ] || fail "$what: it still runs after 10 s"
        sleep 0.05
    done
    await_rank_0 "$what"
    same_as_calm "$dir/wild" "$what"
    grep -qE '^warning: rank [0-9]+ on node[0-9] .*: replica 1 is lost; [0-9]+ requests? ' "$dir/err.0" ||
        fail "$what: rank 0 does not tell"
    grep -q '"replicas_lost": 1' "$dir"/wild/*/results_*.json || fail "$what: the results do not tell"
    netns_stop $job 4
    await_none 10
    n=$((n + 1))
}

run_calm
loads 1 dp=2 node1:1,node2:1
loads 1 tp=2,pp=2 node1:1,node2:1,node3:1,node4:1
loads 1 tp=2,dp=2 node1:2,node2:2
loads 2 dp=2 node1:1,node2:1 --weights-from file
# A machine with a copy of its own reads that.
mkdir "$dir/copy_of"
cp "$model"/* "$dir/copy_of/"
echo "mount --bind $dir/copy_of $(realpath "$model")" >"$dir/mounts.node2"
loads 2 dp=2 node1:1,node2:1
loads 1 dp=2 node1:1,node2:1 --weights-from peer
rm "$dir/mounts.node2"
lose dp=2 node1:1,node2:1 cut 1 2
lose tp=2,dp=2 node1:2,node2:2 cut 3 2
lose dp=3 node1:1,node2:1,node3:1 kill 1 2
lose tp=2,dp=2 node1:1,node2:1,node3:1,node4:1 stop 2 3
echo "ok: each byte once over machines; $n replicas lost over TCP, the same bytes"
