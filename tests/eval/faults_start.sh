#!/bin/bash
# faults_start.sh MUSTER: ranks that cannot work together are told so at the start, in one sentence that names the rank and
# what differs: another program, configuration, tokenizer or weights, no model, no memory. A full disk is told as well; with
# room the same command goes on. Nothing hangs.
set -u
muster=$(realpath "$1")
. "$(dirname "$0")/ranks_lib.sh"
limit=4
make_rank

begin_run() {
    rm -rf "$dir/wild" "$dir"/err.* "$dir"/status.*
    # shellcheck disable=SC2046
    OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 timeout 60 mpirun.openmpi --oversubscribe --bind-to none \
        --enable-recovery -n 3 "$dir/rank" $(arguments "$dir/wild") --layout tp=3 >"$dir/out" 2>"$dir/err" </dev/null &
    job=$!
}
end_run() { # WHAT
    begin=$(now_ms)
    wait $job
    [ $(($(now_ms) - begin)) -lt 40000 ] || fail "$1: the ranks took longer than 40 s to end"
    rm -f "$dir"/on.*
    await_none 5
}
accepted() { # WHAT
    begin_run
    end_run "$1"
    same_as_calm "$dir/wild" "$1"
}
refused() { # WHAT STATUS SENTENCE
    begin_run
    end_run "$1"
    check_refused "$@"
}

run_calm
begin_run
await_bill $job "$dir/err.0" || fail "ended before it began"
third=$(pid_of_rank 2) peak_kib=
while runs "$third"; do
    kib=$(sed -nE 's/^VmPeak:[^0-9]*([0-9]+) kB/\1/p' "/proc/$third/status" 2>/dev/null)
    peak_kib=${kib:-$peak_kib}
    sleep 0.05
done
end_run "nothing amiss"
same_as_calm "$dir/wild" "three ranks of mpirun's"

# ---- what differs ----

mkdir "$dir/bin"
cp "$muster" "$(dirname "$muster")/muster_mpi.so" "$dir/bin/"
printf x >>"$dir/bin/muster"
echo "program=$dir/bin/muster" >"$dir/on.1"
refused "another program" 15 "rank 1 on .* has another program file than rank 0 on .*"

other_config "$dir/other"
echo "other=$dir/other" >"$dir/on.2"
refused "another configuration" 15 "rank 2 on .* has another model configuration than rank 0 on .*"

folder "$dir/other" tokenizer.json
python3 - "$dir/other/tokenizer.json" <<'P' || fail "no other tokenizer"
import json, sys
t = json.load(open(sys.argv[1]))
t["model"]["merges"].pop()
json.dump(t, open(sys.argv[1], "w"))
P
echo "other=$dir/other" >"$dir/on.1"
refused "another tokenizer" 15 "rank 1 on .* has another tokenizer than rank 0 on .*"

folder "$dir/other" model.safetensors
python3 - "$dir/other/model.safetensors" <<'P' || fail "no other head"
import struct, sys
b = open(sys.argv[1], "rb").read()
n = struct.unpack("<Q", b[:8])[0]
open(sys.argv[1], "wb").write(struct.pack("<Q", n + 64) + b[8 : 8 + n] + b" " * 64 + b[8 + n :])
P
echo "other=$dir/other" >"$dir/on.1"
refused "another head of the weights" 15 "rank 1 on .* has other heads of weight files than rank 0 on .*"

folder "$dir/other" model.safetensors
echo "other=$dir/other" >"$dir/on.1"
refused "a copy of the weights" 15 "rank 1 has other weight files before it than rank 0 on the same node, .*"

folder "$dir/other"
echo "other=$dir/other" >"$dir/on.1"
accepted "the same files by another path"

# ---- what is missing ----

echo "other=$dir/nowhere" >"$dir/on.1"
refused "no model" 3 "cannot open $dir/nowhere.* \(while rank 1 on .*\)"

# Memory for the program and for MPI, not for all of the model. Where rank 2 can still answer, rank 0 says it for all;
# else each says whom it lost.
echo "ulimit -v $((peak_kib - 8192))" >"$dir/on.2"
begin_run
end_run "no memory"
names="^muster eval: (rank 2 on .* gave up: out of memory: .*|.*memory.* \(while rank 2 on .*\))"
grep -qE "$names" "$dir/err.0" || fail "no memory: rank 0 does not name rank 2"
! grep '^muster eval: ' "$dir/err.1" | grep -qvE "$names" || fail "no memory: rank 1 names another than rank 2"
! grep -qx 0 "$dir"/status.* || fail "no memory: a rank ended with 0"
[ "$(cat "$dir/status.2")" = 7 ] || fail "no memory: rank 2 ends with $(cat "$dir/status.2"), not 7"

# ---- a full disk ----

# A file system of our own needs namespaces of a user's; root has them as well.
full_disk() {
    mkdir -p "$dir/full"
    # shellcheck disable=SC2016,SC2046
    unshare --user --map-root-user --mount bash -c 'folder=$1; copy=$2; shift 2
        mount -t tmpfs -o size=200k tmpfs "$folder" || exit 77
        "$@" >"$copy.out" 2>"$copy.first"; echo $? >"$copy.status"
        mount -o remount,size=64m tmpfs "$folder"
        "$@" >"$copy.out" 2>"$copy.second" || exit 1
        cp -r "$folder" "$copy"' full "$dir/full" "$dir/copy" "$muster" $(arguments "$dir/full") --layout tp=2 2>"$dir/err"
}
limit=16
rm -rf "$dir/calm" "$dir/calm.plain"
run_calm
full_disk
got=$?
if [ $got != 0 ] && [ ! -e "$dir/copy.status" ]; then
    echo "skipped: the full disk, no file system can be made here: $(cat "$dir/err")"
else
    cp "$dir/copy.first" "$dir/err.first"
    [ $got = 0 ] || fail "a full disk, then room: status $got: $(cat "$dir/copy.second")"
    [ "$(cat "$dir/copy.status")" = 9 ] || fail "a full disk: status $(cat "$dir/copy.status"), not 9"
    [ "$(grep -c '^muster eval: ' "$dir/err.first")" = 1 ] || fail "a full disk: not one sentence"
    grep -qE '^muster eval: (no space for|cannot write .*; make room and run again)' "$dir/err.first" || fail "a full disk is not told"
    grep -qE '^(in the journal already: |all [0-9]+ answers were in the journal)' "$dir/copy.second" || fail "a full disk: nothing was kept"
    same_as_calm "$dir/copy" "a full disk, then room"
    # shellcheck disable=SC2016,SC2046
    unshare --user --map-root-user --mount bash -c 'mount -t tmpfs -o size=16k tmpfs "$1" || exit 77; shift; exec "$@"' \
        full "$dir/shm" "$muster" $(arguments "$dir/wild") --layout tp=2 >"$dir/out" 2>"$dir/err"
    got=$?
    [ $got = 9 ] && grep -qE "^muster eval: $dir/shm has room for [0-9]+ bytes: each rank needs " "$dir/err" ||
        fail "no room for shared memory: status $got"
fi
await_none 5
no_files
echo "ok: ranks that differ, without a model, memory or space; each in one sentence"
