#!/bin/bash
# faults_nodes.sh MUSTER: machines made of namespaces whose files differ: another program, configuration or weights on one
# are told at the start, with the rank; so is a full disk. A /dev/shm without room is no hindrance. Needs root.
set -u
. "$(dirname "$0")/../comm/netns_lib.sh"
netns_enter "$0" "$@"
muster=$(realpath "$1")
. "$(dirname "$0")/ranks_lib.sh"
limit=4
model=$(realpath "$model")
netns_build 2
make_rank

run() { # WHAT HOSTS LAYOUT
    rm -rf "$dir"/err* "$dir"/status.* "$dir/wild"
    mkdir "$dir/wild"
    n=0
    for h in ${2//,/ }; do n=$((n + ${h#*:})); done
    begin=$(now_ms)
    # shellcheck disable=SC2046
    netns_mpirun "$n" "$2" "$dir/rank" $(arguments "$dir/wild") --layout "$3" >"$dir/out" 2>"$dir/err" </dev/null &
    job=$!
    while runs $job; do
        [ $(($(now_ms) - begin)) -lt 60000 ] || fail "$1: the ranks took longer than a minute to end"
        sleep 0.05
    done
    wait $job
    rm -f "$dir"/mounts.*
    await_none 5
}

run_calm
two=node1:1,node2:1
run "nothing amiss" $two tp=2
same_as_calm "$dir/wild" "two machines"

mkdir "$dir/bin"
cp "$muster" "$dir/bin/muster"
printf x >>"$dir/bin/muster"
echo "mount --bind $dir/bin/muster $muster" >"$dir/mounts.node2"
run "another program" $two tp=2
check_refused "another program" 15 "rank 1 on node2 has another program file than rank 0 on node1: .*"

other_config "$dir/other"
echo "mount --bind $dir/other/config.json $model/config.json" >"$dir/mounts.node2"
run "another configuration" $two pp=2
check_refused "another configuration" 15 "rank 1 on node2 has another model configuration than rank 0 on node1: .*"

# One byte in the middle of the file, where every rank's part of some matrix lies.
cp "$model/model.safetensors" "$dir/weights"
printf '\x01' | dd of="$dir/weights" bs=1 seek=$(($(stat -c %s "$dir/weights") / 2)) conv=notrunc 2>/dev/null
! cmp -s "$dir/weights" "$model/model.safetensors" || fail "the weights are the same"
for layout in tp=2 pp=2 dp=2; do
    echo "mount --bind $dir/weights $model/model.safetensors" >"$dir/mounts.node2"
    run "other weights" $two $layout
    check_refused "other weights, $layout" 15 "rank 1 on node2 has other weights than rank 0 on node1: .*"
done

# A copy of the same bytes on a machine of its own is as good.
cp "$model/model.safetensors" "$dir/weights"
echo "mount --bind $dir/weights $model/model.safetensors" >"$dir/mounts.node2"
run "a copy of the weights" $two tp=2
same_as_calm "$dir/wild" "a copy of the weights"

echo "mount -t tmpfs -o size=100k tmpfs $dir/wild" >"$dir/mounts.node1"
run "a full disk" $two tp=2
[ "$(cat "$dir/status.0")" = 9 ] || fail "a full disk: status $(cat "$dir/status.0"), not 9"
[ "$(cat "$dir"/err.[0-9] | grep -c '^muster eval: ')" = 1 ] || fail "a full disk: not one sentence"
grep -qE '^muster eval: (no space for|cannot write .*; make room and run again)' "$dir/err.0" || fail "a full disk is not told"

# Ranks of a machine then speak by TCP, which takes its time on few cores.
limit=1
rm -rf "$dir/calm" "$dir/calm.plain"
run_calm
shm_kib=16 netns_rsh
run "a full /dev/shm" node1:2,node2:2 tp=2,pp=2
same_as_calm "$dir/wild" "a full /dev/shm"
echo "ok: machines that differ are told; a full /dev/shm is no hindrance"
