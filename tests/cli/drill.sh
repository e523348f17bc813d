#!/bin/bash
# drill.sh MUSTER: `muster doctor --drill` tells pass, slow and broken apart, loses ranks of its own and leaves nothing
# behind. Folders and a baseline are made up, so that it is known what has to be told.
set -u
muster=$1
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
mkdir "$dir/scratch"
fail() {
    echo "failed: $*" >&2
    cat "$dir/out" "$dir/err" >&2
    exit 1
}
# Expected status, then arguments.
drill() {
    want=$1
    shift
    timeout 60 "$muster" doctor --drill --scratch "$dir/scratch" "$@" >"$dir/out" 2>"$dir/err"
    got=$?
    [ "$got" = "$want" ] || fail "doctor --drill $*: status $got, not $want"
    [ -z "$(ls -A "$dir/scratch")" ] || fail "$* left $(ls -AR "$dir/scratch")"
}
says_not() { ! grep -qE "$1" "$dir/out" "$dir/err" || fail "somebody said $1"; }
says() { grep -qE "$1" "$dir/out" "$dir/err" || fail "nobody said $1"; }

# Machines far below and far above this one.
machine() { # RATE, of all but sums
    cat <<END
{"name": "made-up", "nodes": 1, "storage": {"rate": $1, "total": $1},
 "gpus": {"name": "CPU", "count": 1, "memory": "8GiB", "memory_rate": $1, "f32": 1e9},
 "links": {"kind": "memory", "rate": 1e6, "latency": 100},
 "host": {"memory": "8GiB", "is_device": true, "cores": 2}}
END
}
machine 1e6 >"$dir/weak.json"
machine 1e15 >"$dir/strong.json"

drill 0 --only memory --memory 32MB --only storage --storage "$dir" --baseline "$dir/weak.json"
says '^memory +pass .*% of the calibrated'
says '^storage +pass .*% of the calibrated'
drill 8 --only memory --memory 32MB --baseline "$dir/strong.json"
says '^memory +slow '
says 'muster doctor: 1 slow, 0 passed, 0 skipped'
drill 14 --only storage --storage "$dir/not-there" --only memory --memory 32MB --baseline "$dir/strong.json"
says '^storage +broken .*No such file'
says '1 broken, 1 slow'
drill 14 --only memory --memory 1000TB
says '^memory +broken .*free'
drill 2 --only dsk
says 'did you mean "disk"'

drill 0 --only disk --json
says '"verdict": "pass"'
drill 0 --only slurm
says '^slurm +skipped'
if [ "$(id -u)" = 0 ] && command -v setpriv >/dev/null; then # the other way to fill a disk, and to cut no link
    chmod 777 "$dir/scratch" && chmod 755 "$dir"
    timeout 60 setpriv --reuid 65534 --regid 65534 --clear-groups "$muster" doctor --drill --scratch "$dir/scratch" \
        --only disk --only link >"$dir/out" 2>"$dir/err" || fail "as nobody"
    says '^disk +pass +a file that may grow'
    says '^link +skipped +only root'
fi

drill 0 --only kill
if grep -q '^kill *skipped' "$dir/out"; then
    echo "ranks cannot be started here: $(cat "$dir/out")"
else
    says '^kill +pass +rank 2 was named by the 2 others'
    drill 0 --only ranks --baseline "$dir/weak.json"
    says '^ranks +pass +2 ranks on 1 node: messages are right.*% of the calibrated'
    # A terminal that goes away: ranks, launcher and guardian go, too.
    "$muster" doctor --drill --only stop --scratch "$dir/scratch" >"$dir/out" 2>"$dir/err" &
    doctor=$!
    for _ in $(seq 300); do
        [ -n "$(find "$dir/scratch" -name 'rank-2')" ] && break
        sleep 0.1
    done
    kill -HUP "$doctor" && kill -HUP "$doctor"
    wait "$doctor"
    got=$?
    [ "$got" = 13 ] || fail "hung up: status $got"
    [ -z "$(ls -A "$dir/scratch")" ] || fail "hung up, it left $(ls -AR "$dir/scratch")"
    pgrep -f "$dir/scratch" >>"$dir/out" && fail "hung up, it left processes"
    # Ranks of somebody's job are not a drill's, whatever their command line says.
    [ "$(id -u)" != 0 ] || export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
    timeout 60 mpirun --oversubscribe -n 3 "$muster" doctor --drill --only kill --scratch "$dir/scratch" \
        >"$dir/out" 2>"$dir/err"
    says 'run it outside of mpirun and srun'
    says_not 'signal 9'
fi
for _ in $(seq 50); do # some are on their way
    pgrep -f "$dir/scratch" >"$dir/out" || exit 0
    sleep 0.1
done
fail "processes are left"
