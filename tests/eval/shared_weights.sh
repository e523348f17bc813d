#!/bin/bash
# shared_weights.sh MUSTER: replicas under MPI read one copy of their weights: one block, mapped read-only by the ranks that
# hold the same part, which has no name and is gone when they are. Without room for it each keeps a copy of its own, says
# so once, and the bytes are the same.
set -u
muster=$1
. "$(dirname "$0")/ranks_lib.sh"
options="--weights f32" # a copy is larger than what the loader shares
n=0

block_of() { # RANK: permissions and inode of what it maps of shared weights
    awk '/memfd:muster-shared/ { print $2, $5 }' "/proc/$(pid_of_rank "$1")/maps" | sort -u
}

# Ranks that hold the same part, in two replicas: both map one block, and nobody else does.
begin_shared() { # LAYOUT RANKS: of a replica
    start --layout "$1"
    await_answers "$1" runs $job
    seen=
    for r in $(seq 0 $(($2 - 1))); do
        one=$(block_of "$r") other=$(block_of $((r + $2)))
        grep -qx 'r--s [0-9]*' <<<"$one" || fail "$1: rank $r maps \"$one\""
        [ "$one" = "$other" ] || fail "$1: rank $r maps \"$one\", rank $((r + $2)) \"$other\""
        ! grep -qF "$one" <<<"$seen" || fail "$1: ranks with other parts share a block"
        seen="$seen[$one]"
    done
    grep -q 'a share of one copy for 2 ranks' "$dir/err" || fail "$1: the bill does not tell"
}

share() { # LAYOUT RANKS: of a replica
    begin_shared "$@"
    await_end "$1"
    n=$((n + 1))
}

# The windows of the loader and Open MPI's segments are smaller than 8 MiB, the weights are not.
without_room() {
    rm -rf "$dir/wild"
    # shellcheck disable=SC2046
    (trap '' XFSZ; ulimit -f 8192; exec "$muster" $(arguments "$dir/wild") --layout dp=2) >"$dir/out" 2>"$dir/err" &
    job=$!
    await_end "dp=2 without room"
    [ "$(grep -c '^warning: each replica keeps a copy of the weights of its own' "$dir/err")" = 1 ] ||
        fail "dp=2 without room: no warning, or several"
    ! grep -q 'one copy for' "$dir/err" || fail "dp=2 without room: the bill tells of a shared copy"
    n=$((n + 1))
}

# Killed all at once, nothing is left but what the system frees by itself.
kill_all() { # LAYOUT RANKS: of a replica
    begin_shared "$@"
    # shellcheck disable=SC2046
    kill -9 $(alive)
    wait $job 2>/dev/null
    await_none 10
    for p in /proc/[0-9]*; do
        ! grep -qsF "$dir" "$p/cmdline" || ! grep -qs 'memfd:muster-shared' "$p/maps" || fail "all killed: $p has the weights still"
    done
    n=$((n + 1))
}

run_calm
share dp=2 1
share pp=2,dp=2 2
without_room
kill_all tp=2,dp=2 2
echo "ok: $n runs"
