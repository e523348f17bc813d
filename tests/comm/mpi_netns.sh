#!/bin/bash
# mpi_netns.sh MPI_RANK: ranks on four machines made of namespaces, over TCP: a cable pulled for a moment is no loss; pulled
# for good, or a rank killed, every other rank ends within 10 s naming who was lost, and who was cut off ends as well.
#
# Everything lives in namespaces of this script's own: netns_lib.sh.
set -u
. "$(dirname "$0")/netns_lib.sh"
netns_enter "$0" "$@"
. "$(dirname "$0")/mpi_lib.sh"
slowest=0
netns_build 4

# What a rank says goes to a file: mpirun's way to a node is cut with the cable.
cat >"$dir/rank" <<R
#!/bin/bash
exec "$mpi_rank" work 2>"$dir/err.\$OMPI_COMM_WORLD_RANK"
R
chmod +x "$dir/rank"

start() { # NODES
    rm -f "$dir"/err*
    : >"$dir/err"
    hosts=$(seq -f 'node%.0f:1' -s, "$1")
    netns_mpirun "$1" "$hosts" "$dir/rank" >"$dir/out" 2>"$dir/err" &
    mpirun=$!
    disown # it will be killed, which is no news
    until=$(($(now_ms) + 60000))
    while [ "$(cat "$dir"/err.* 2>/dev/null | grep -c works)" -lt "$1" ]; do
        [ "$(now_ms)" -lt "$until" ] || fail "$1 ranks never came to work"
        sleep 0.05
    done
    sleep 1
}
process() { pid_of "$1" "$dir/err.$1"; }

# All but a killed rank end within 10 s of begin; each names who it lost. Who was cut off hears of nobody any more and
# names any other.
await_ends() { # NODES LOST [killed]
    for rank in $(seq 0 $(($1 - 1))); do
        pid=$(process "$rank")
        while runs "$pid"; do
            [ $(($(now_ms) - begin)) -lt 10000 ] || fail "rank $rank still runs after 10 s"
            sleep 0.02
        done
        names="rank $2 on node$(($2 + 1))"
        if [ "$rank" = "$2" ]; then
            [ $# -lt 3 ] || continue
            names="rank [0-9] on node[0-9]"
            ! grep -q "EPEER: rank $rank on" "$dir/err.$rank" || fail "rank $rank names itself"
        fi
        grep -qE "^rank $rank: EPEER: $names .* while group world ran" "$dir/err.$rank" ||
            fail "rank $rank does not name $names"
    done
    took=$(($(now_ms) - begin))
    [ $took -le $slowest ] || slowest=$took
}

cut() { # NODES RANK
    start "$1"
    begin=$(now_ms)
    netns_cut $(($2 + 1))
    await_ends "$1" "$2"
    netns_stop "$mpirun" 4
}

start 4
netns_cut 3
sleep 2
netns_mend 3
sleep 4
for rank in 0 1 2 3; do
    runs "$(process $rank)" || fail "rank $rank did not outlive a cut of two seconds"
done
begin=$(now_ms)
kill -9 "$(process 1)"
await_ends 4 1 killed
netns_stop "$mpirun" 4

cut 4 2
cut 4 0
cut 2 1
echo "ok: a cut of 2 s outlived; a kill and three cuts over TCP, everybody ended after at most $slowest ms"
