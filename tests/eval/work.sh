#!/bin/bash
# work.sh MUSTER: `muster work` gives each task the bytes that `muster eval` does, loads a model once for tasks of the same
# options, outlives a task that fails, and stops within a task when its input ends or a signal comes; what it had
# finished is not computed again. Over two ranks too, where they can be started.
set -eu
muster=$1
. "$(dirname "$0")/results_lib.sh"
dir=$(mktemp -d)
worker=
cleanup() {
    [ -z "$worker" ] || kill -9 "$worker" 2>/dev/null || true
    rm -rf "$dir"
}
trap cleanup EXIT
fail() {
    echo "failed: $*" >&2
    tail -n 8 "$dir/err" "$dir/out" >&2
    exit 1
}

task() { # FOLDER NAME TASKS LIMIT [options]: FOLDER/NAME.yaml, with its output beside it
    mkdir -p "$dir/$1"
    printf 'model: models/muster-llama-tiny\ntasks: "%s"\nlimit: %s\noutput: %s\nlog_samples: true\nbootstrap_iters: 100\n' \
        "$3" "$4" "$dir/$1/$2" >"$dir/$1/$2.yaml"
    printf '%b' "${5:-}" >>"$dir/$1/$2.yaml"
}
tasks() { # FOLDER
    task "$1" sums muster_arithmetic 12
    task "$1" code muster_code 12
    task "$1" texts muster_generate 4
    task "$1" small muster_arithmetic 12 "weights: int8\n"
    task "$1" long muster 50 "batch_size: 1\nthreads: 1\nwork: naive\n" # some seconds
}

start() { # options...
    mkfifo "$dir/in"
    : >"$dir/out"
    "$muster" work "$@" <"$dir/in" >"$dir/out" 2>"$dir/err" &
    worker=$!
    exec 7>"$dir/in"
    rm "$dir/in"
}
await() { # PATTERN: a line of the worker's
    for _ in $(seq 1000); do
        grep -q "$1" "$dir/out" && return
        kill -0 "$worker" 2>/dev/null || break
        sleep 0.02
    done
    grep -q "$1" "$dir/out" || fail "no line with $1"
}
say() { printf '{"task": %d, "config": "%s"}\n' "$1" "$dir/$2.yaml" >&7; }
run() { # NUMBER FOLDER/NAME STATUS
    say "$1" "$2"
    await "\"ended\": $1, "
    grep -q "^{\"ended\": $1, \"status\": $3, " "$dir/out" || fail "task $1 ended otherwise"
}
leave() { # STATUS: its input is closed
    exec 7>&-
    status=0
    wait "$worker" || status=$?
    worker=
    [ "$status" = "$1" ] || fail "the worker ended with $status, not with $1"
}
loads() { grep -c ': loaded, and kept' "$dir/err" || true; }

tasks eval
for t in sums code texts small long; do
    "$muster" eval --config "$dir/eval/$t.yaml" --quiet >"$dir/out" 2>"$dir/err" || fail "muster eval of $t"
    collect "$dir/eval/$t" "$dir/want/$t"
done

# Four tasks of one model, one of them impossible: the model is loaded once. Another format is another model.
all() { # FOLDER options...
    folder=$1
    shift
    tasks "$folder"
    task "$folder" none no_such_task 12
    start "$@"
    run 0 "$folder/sums" 0
    run 1 "$folder/none" 3
    run 2 "$folder/code" 0
    run 3 "$folder/missing" 3
    run 4 "$folder/texts" 0
    [ "$(loads)" = 1 ] || fail "loaded $(loads) times, not once"
    run 5 "$folder/small" 0
    [ "$(loads)" = 2 ] || fail "loaded $(loads) times, not twice"
    leave 0
    for t in sums code texts small; do
        collect "$dir/$folder/$t" "$dir/got/$folder/$t"
        same "$dir/want/$t" "$dir/got/$folder/$t" "$folder: $t by a worker"
    done
}
all alone

# In mid-task: the end of the input, a signal. The answers so far are there, and what goes on has the same bytes.
computed() { sed -n "s/^    \"$1\": \([0-9]*\).*/\1/p" "$(find "$dir/hurt/long" -name 'results_*.json')"; }
hurt() { # COMMAND
    start
    say 9 hurt/long
    for _ in $(seq 500); do grep -q '^plan: ' "$dir/err" && break; sleep 0.02; done
    sleep 0.3 # some of it is computed
    eval "$1"
    leave 13
    grep -q '^{"ended": 9, "status": 13, ' "$dir/out" || fail "not told: stopped"
}
tasks hurt
hurt 'exec 7>&-'
hurt 'kill -TERM $worker'
start
run 9 hurt/long 0
leave 0
collect "$dir/hurt/long" "$dir/got/long"
same "$dir/want/long" "$dir/got/long" "stopped twice"
[ "$(computed from_journal)" -gt 0 ] || fail "nothing was in the journal"

if [ "$(command -v mpirun.openmpi)" ]; then
    all ranks --ranks 2 --gpus 1,0
    export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
    CUDA_VISIBLE_DEVICES=4,5 mpirun.openmpi --oversubscribe -n 2 "$muster" work --gpus 1,0 </dev/null >"$dir/out" 2>"$dir/err" ||
        fail "two ranks with a GPU each: status $?"
    for own in 4 5; do
        [ "$(grep -cx "gpus    CUDA_VISIBLE_DEVICES=$own of 4,5" "$dir/err")" = 1 ] || fail "no rank has GPU $own alone"
    done
    task ranks three muster_arithmetic 12 "ranks: 3\n"
    start --layout tp=2
    run 0 ranks/three 2
    run 1 ranks/sums 0
    leave 0
fi
echo "ok: the same bytes by a worker, alone, stopped$([ -d "$dir/ranks" ] && echo ', over two ranks')"
