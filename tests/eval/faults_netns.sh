#!/bin/bash
# faults_netns.sh MUSTER [ROUNDS]: what faults.sh asks for, over machines made of namespaces that speak by TCP: a cable is cut,
# a rank killed or stopped at a random moment of an evaluation, every other rank ends within 10 s naming it, who was cut off
# ends as well, and a run on fewer ranks writes the bytes of an undisturbed one. Without ROUNDS a short tour; with it each
# rank of each layout in all three ways, as many times. Needs root.
set -u
. "$(dirname "$0")/../comm/netns_lib.sh"
netns_enter "$0" "$@"
muster=$1
rounds=${2:-0}
. "$(dirname "$0")/ranks_lib.sh"
slowest=0 lost=0 finished=0 went_on=0
netns_build 4

fewer() { # LAYOUT: options of a run on fewer ranks, here
    case $1 in
    tp=3) echo "--layout pp=2" ;;
    tp=2,pp=2) echo "--layout tp=3" ;;
    *) ;; # one rank
    esac
}

# What a rank says goes to a file: mpirun's way to a node is cut with the cable.
begin_run() { # LAYOUT HOSTS OUTPUT
    rm -rf "$3" "$dir"/err*
    n=0
    for h in ${2//,/ }; do n=$((n + ${h#*:})); done
    printf '#!/bin/bash\nexec "%s" %s --layout %s 2>"%s/err.$OMPI_COMM_WORLD_RANK"\n' "$muster" "$(arguments "$3")" "$1" \
        "$dir" >"$dir/rank"
    chmod +x "$dir/rank"
    netns_mpirun "$n" "$2" "$dir/rank" >"$dir/out" 2>"$dir/err" </dev/null &
    job=$!
    disown # it will be killed, which is no news
}

node_of() { # RANK HOSTS: ranks fill one node after the other
    at=0
    for h in ${2//,/ }; do
        at=$((at + ${h#*:}))
        [ "$1" -ge $at ] || { h=${h%:*}; echo "${h#node}"; return; }
    done
}

do_cut() { netns_cut "$(node_of "$2" "$3")"; }
do_kill() { kill -9 "$1"; }
do_stop() { kill -STOP "$1"; }

# Behind a cut cable anybody on the other side may be named, and on this side anybody behind it.
others_name() { # HOSTS RANK HOW WHAT
    for other in $(seq 0 $((n - 1))); do
        who="rank $2 on node$(node_of "$2" "$1") \(process ${peer[$2]}\)"
        if [ "$3" = cut ]; then
            here=$(node_of "$other" "$1") there=$(node_of "$2" "$1")
            others=$(for i in $(seq 0 $((n - 1))); do
                is_behind=$([ "$(node_of "$i" "$1")" = "$there" ] && echo 1 || echo 0)
                am_behind=$([ "$here" = "$there" ] && echo 1 || echo 0)
                [ "$is_behind" = "$am_behind" ] || echo "$i"
            done | paste -sd '|')
            who="rank ($others) on node[0-9] \(process [0-9]+\)"
        elif [ "$other" = "$2" ]; then
            continue
        fi
        grep -qE "^muster eval: (.*: )?$who .* while group [a-z]+ ran [a-z_]+, call [0-9]+" "$dir/err.$other" ||
            fail "$4: rank $other does not name $who"
    done
}

lose() { # LAYOUT HOSTS RANK HOW
    draw $((span + span / 2))
    what="seed $seed: $1 on $2, $4 rank $3 after $r ms"
    begin_run "$1" "$2" "$dir/wild"
    await_bill $job "$dir"/err.0 || fail "$what: ended before it began"
    pause_ms "$r"
    for i in $(seq 0 $((n - 1))); do peer[i]=$(pid_of_rank "$i"); done
    had=$(committed "$dir/wild")
    begin=$(now_ms)
    if [ -z "${peer[$3]}" ] || ! "do_$4" "${peer[$3]}" "$3" "$2" 2>/dev/null; then # too late
        while runs $job; do sleep 0.02; done
        same_as_calm "$dir/wild" "$what, which came too late"
        finished=$((finished + 1))
        return
    fi
    if outlives "$1" "$n" "$3"; then
        while runs "${peer[0]}"; do sleep 0.02; done
        took=$(($(now_ms) - begin))
        is_finished "$dir/wild" || [ $took -lt 10000 ] || fail "$what: neither outlived nor over in 10 s"
    else
        await_others "$n" "$([ "$4" = cut ] || echo "$3")" "$what" # who is cut off ends as well
    fi
    netns_stop $job 4
    await_none 10
    no_files_here
    if is_finished "$dir/wild"; then # lost on its way out, or outlived
        same_as_calm "$dir/wild" "$what"
        went_on=$((went_on + 1))
        return
    fi
    others_name "$2" "$3" "$4" "$what"
    lost=$((lost + 1))
    [ "$rounds" = 0 ] || echo "$what: all others ended after $took ms"
    # shellcheck disable=SC2046
    go_on "$dir/wild" "$had" "$what" $(fewer "$1")
}

# mpirun, which we kill, leaves its folder; a node's /dev/shm ends with the node's last process.
no_files_here() {
    rm -rf "$dir/tmp" && mkdir "$dir/tmp"
    no_files
}

[ "$rounds" != 0 ] || limit=16
run_calm
four=node1:1,node2:1,node3:1,node4:1
if [ "$rounds" = 0 ]; then
    draw 3 && lose tp=2,pp=2 $four $((r + 1)) cut
    lose tp=3 node1:1,node2:1,node3:1 0 cut
    draw 2 && lose pp=2 node1:1,node2:1 $r kill
fi
for _ in $(seq "$rounds"); do
    for how in cut kill stop; do
        for rank in 0 1 2 3; do
            lose tp=2,pp=2 $four $rank $how
            lose tp=2,pp=2 node1:2,node2:2 $rank $how
        done
        for rank in 0 1 2; do lose tp=3 node1:1,node2:1,node3:1 $rank $how; done
        for rank in 0 1; do
            lose pp=2 node1:1,node2:1 $rank $how
            lose dp=2 node1:1,node2:1 $rank $how
        done
    done
done
echo "ok: $lost ranks lost over TCP, all others ended after at most $slowest ms; $went_on outlived, $finished too late" \
    "(seed $seed)"
