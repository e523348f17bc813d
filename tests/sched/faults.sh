#!/bin/bash
# faults.sh MUSTER [FAULTS [SEED [LOG]]]: campaigns on this machine under random faults, until FAULTS (default 60) of
# them were made; each campaign must come home with the bytes of an undisturbed one, each request answered once, and leave
# nobody behind.
#
# Faults: a worker or a rank of one killed (SIGKILL) or stopped (SIGSTOP), the orchestrator killed, stopped for seconds,
# or asked to end, and, where a small file system may be mounted (root), a full disk. LOG has a line a fault, with its
# times (recovery.py; loading is not counted). Medians at the end (docs/faults.md). Not part of `make check`: a fault takes
# some three seconds. ONLY=kill-rank makes one kind alone.
set -u
muster=$1 wanted=${2:-60} RANDOM=${3:-1}
dir=$(mktemp -d)
log=${4:-$dir/log}
# shellcheck source=/dev/null
. "$(dirname "$0")/../eval/results_lib.sh"
# shellcheck source=/dev/null
. "$(dirname "$0")/faults_lib.sh"
alive() { pgrep -f "$dir/" || true; }
cleanup() {
    for p in $(alive); do kill -CONT "$p" 2>/dev/null; kill -9 "$p" 2>/dev/null; done
    mountpoint -q "$dir/small" && umount -l "$dir/small"
    rm -rf "$dir"
}
trap cleanup EXIT
trap 'exit 1' INT TERM
fail() {
    echo "failed: $*" >&2
    tail -n 8 "$dir"/err "$dir"/*/workers/*.log "$dir"/small/*/workers/*.log >&2 2>/dev/null
    exit 1
}

campaign() { # OUTPUT
    cat <<END
output: $1
models:
  - {name: one, model: models/muster-llama-tiny}
  - {name: two, model: models/muster-dsv3-tiny}
  - {name: three, model: models/muster-llama-tiny, ranks: 2, layout: tp=2}
suites:
  - {name: sums, tasks: sums, include_path: examples, log_samples: true, bootstrap_iters: 100}
  - {name: mixed, tasks: "muster_arithmetic,muster_code", limit: 200, log_samples: true, bootstrap_iters: 100}
  - {name: more, tasks: "muster_arithmetic", log_samples: true, bootstrap_iters: 100}
settings:
  - {retries: {limit: 100, wait: 1s, wait_max: 2s}}
failures:
  killed: {first: retry, tries: 100, then: give_up}
  storage: {first: retry, tries: 100, then: give_up}
  application: {first: retry, tries: 100, then: give_up}
  link: {first: retry, tries: 100, then: give_up}
  network_partition: {first: retry, tries: 100, then: give_up}
END
}
tasks() { for m in one two three; do for s in sums mixed more; do echo "$m/$s"; done; done; }
gather() { for t in $(tasks); do collect "$1/$t" "$2/$t" || return 1; done; }

start() { # the orchestrator
    "$muster" run "$dir/hurt.yaml" --devices 2 >"$dir/out" 2>>"$dir/news" &
    run=$!
}

# Of now.json: the process of a random worker that has a task, and the task.
pick() {
    local rows
    rows=$(tr '{' '\n' <"$out/now.json" 2>/dev/null | sed -n 's/.*"task": *"\([^"]*\)", *"worker": *\([0-9]*\).*/\2 \1/p')
    [ -n "$rows" ] || return 1
    read -r pid task < <(echo "$rows" | sed -n "$((RANDOM % $(echo "$rows" | wc -l) + 1))p")
    kill -0 "$pid" 2>/dev/null
}

fault() {
    task=- at=$(now)
    case $1 in
    kill-worker) pick && kill -9 "$pid" ;;
    stop-worker) pick && kill -STOP "$pid" ;;
    kill-rank | stop-rank)
        pick || return 1
        local ranks=()
        mapfile -t ranks < <(below "$pid")
        [ ${#ranks[@]} -gt 1 ] || return 1
        kill -"$([ "$1" = kill-rank ] && echo KILL || echo STOP)" "${ranks[$((RANDOM % ${#ranks[@]}))]}" 2>/dev/null
        ;;
    kill-orchestrator) kill -9 $run && { wait $run 2>/dev/null; start; } ;;
    end-orchestrator) kill -TERM $run && { wait $run 2>/dev/null; start; } ;;
    stop-orchestrator) kill -STOP $run && { sleep "$((RANDOM % 4 + 1))"; at=$(now); kill -CONT $run; } ;;
    disk-full)
        [ "$out" = "$dir/small/hurt" ] || return 1
        head -c 1G /dev/zero >"$dir/small/full" 2>/dev/null
        sleep "$((RANDOM % 3 + 1))"
        rm "$dir/small/full"
        at=$(now)
        kill -0 $run 2>/dev/null || { wait $run; start; }
        ;;
    esac 2>/dev/null
}

mkdir "$dir/small"
own_program
mount -t tmpfs -o size=48m tmpfs "$dir/small" 2>/dev/null || echo "no small file system may be mounted here: no full disk"
out=$dir/whole
campaign "$out" >"$dir/whole.yaml"
"$muster" run "$dir/whole.yaml" --devices 2 >"$dir/out" 2>"$dir/err" || fail "undisturbed: $(tail -3 "$dir/err")"
gather "$out" "$dir/want" || fail "undisturbed: no results"
# shellcheck disable=SC2046 # words
answers "$out" $(tasks) >"$dir/asked"

kinds=(kill-worker kill-worker stop-worker kill-rank stop-rank kill-orchestrator end-orchestrator stop-orchestrator disk-full)
: >"$log"
made=0 campaigns=0
while [ "$made" -lt "$wanted" ]; do
    campaigns=$((campaigns + 1))
    out=$dir/hurt
    mountpoint -q "$dir/small" && [ $((campaigns % 2)) = 0 ] && out=$dir/small/hurt
    rm -rf "$out" "$dir/news" "$dir/faults"
    touch "$dir/news" "$dir/faults"
    campaign "$out" >"$dir/hurt.yaml"
    begun=$SECONDS here=0
    start
    while kill -0 $run 2>/dev/null; do
        sleep "0.$((RANDOM % 10))$((RANDOM % 10))"
        kill -0 $run 2>/dev/null || break
        what=${ONLY:-${kinds[$((RANDOM % ${#kinds[@]}))]}}
        if [ "$here" -lt 20 ] && fault "$what"; then
            note "$what" "$task" "$at"
            here=$((here + 1))
        fi
        [ $((SECONDS - begun)) -lt 900 ] || fail "campaign $campaigns does not end after $here faults"
    done
    status=0
    wait $run || status=$?
    if [ $status != 0 ]; then # a full disk may have ended it
        grep -q 'no space\|No space' "$dir/news" || { tail -5 "$dir/news" >&2; fail "campaign $campaigns ended with $status"; }
        start
        wait $run || { tail -5 "$dir/news" >&2; fail "campaign $campaigns, again after a full disk: $?"; }
    fi
    gather "$out" "$dir/got" || fail "campaign $campaigns: results are missing"
    same "$dir/want" "$dir/got" "campaign $campaigns" || fail "campaign $campaigns: other results after $here faults"
    rm -rf "$dir/got"
    # shellcheck disable=SC2046
    answers "$out" $(tasks) | diff "$dir/asked" - >&2 || fail "campaign $campaigns: requests lost or doubled"
    for _ in $(seq 200); do [ -z "$(pgrep -f "^$muster")" ] && break; sleep 0.05; done
    [ -z "$(pgrep -f "^$muster")" ] || fail "campaign $campaigns left behind: $(pgrep -af "^$muster")"
    recovered "$out" 2 2
    made=$((made + here))
    echo "campaign $campaigns: $here faults, $((SECONDS - begun)) s, the same bytes ($made of $wanted)"
done

table
echo "ok: $made faults in $campaigns campaigns, the same bytes each time, nobody left behind"
