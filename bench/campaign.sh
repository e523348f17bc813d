#!/bin/bash
# campaign.sh MUSTER [TURNS]: is a campaign done sooner than one job a task, and several models side by side sooner than in turn?
#
# 1. On a Slurm of its own, two nodes with two devices of one thread each. A task as a job of its own (`muster eval`, which
#    loads its model, one device a job): all submitted at once, or each when the one before has ended. Against them `muster
#    submit` of the campaign: on all four devices, and on one. Tasks have the very options that the campaign gives them. From
#    the first submission to the last result.
#      example    examples/campaign.yaml as it is; with LM_EVAL=PROGRAM (lm-evaluation-harness, its `hf` backend) also with
#                 its jobs in place of ours, all at once
#      matrix     3 forms of the shipped models, 8 suites, 2 numbers of shots: 48 short tasks
#      stand_in   as many on bench/slow_server.py: OPEN seconds to open a model, ANSWER ms an answer, no CPU. By default half
#                 of what the planner says of Llama-2-7b on one A100: 3.4 s to load, 26 requests a second
# 2. `muster run --devices 4` against `--devices 1` with all threads, no Slurm.
#      beside     shipped models and those of SHAPES (tests/synth; its `synth` lies beside MUSTER)
#      apart      models of four speeds on bench/slow_server.py: work that is not this machine's CPU
#
# Ways take turns and begin with another one each turn; a line gives the median, the least and the most, ratios are medians of
# those of one turn. Before the first turn the campaign runs once for the page cache. PARTS names the parts to do. SCHEDULER
# replaces the fixture's scheduling parameters (SCHEDULER=default: Slurm's own). Skips with status 77 without Slurm.
set -u
muster=$(realpath "$1") turns=${2:-3}
parts=${PARTS:-example matrix stand_in beside apart} shapes=${SHAPES:-30m 200m} open_s=${OPEN:-1.7} answer_ms=${ANSWER:-19}
cd "$(dirname "$0")/.." || exit 1
dir=$(mktemp -d) server=
end() { [ -z "$server" ] || kill "$server" 2>/dev/null; }
trap 'end; rm -rf "$dir"' EXIT
fail() {
    echo "not ok: $*" >&2
    tail -n 5 "$dir"/err "$dir"/out.*/*.log "$dir"/out.*/workers/*.log >&2 2>/dev/null
    exit 1
}
is_part() { [[ " $parts " == *" $1 "* ]]; }

# ---- Slurm ----

start_slurm() {
    # shellcheck source=/dev/null
    . tests/slurm/slurm_lib.sh
    trap 'end; slurm_stop; rm -rf "$dir"' EXIT
    slurm_node c 2 "CPUs=2 RealMemory=16384 Gres=gpu:fake:2"
    slurm_gpus c 2 fake 2
    slurm_partition "PartitionName=cpu Nodes=c[1-2] Default=YES MaxTime=INFINITE"
    slurm_start
    if [ -n "${SCHEDULER:-}" ]; then
        sed -i "s/^SchedulerParameters=.*/$([ "$SCHEDULER" = default ] || echo "SchedulerParameters=$SCHEDULER")/" "$SLURM_CONF"
        scontrol reconfigure
    fi
    echo "Slurm $(sinfo --version | cut -d ' ' -f 2), $(scontrol show config | sed -n 's/^\(SchedulerParameters\) *= /\1=/p')"
    slurm_site "$muster" 2 2 8GiB 2 'signal_lead: 60s' 'restarts: 2' >"$dir/site.yaml"
}

# ---- campaigns ----

suites() { # LIMIT NAMES
    for suite in $2; do
        echo "  - {name: $suite-$1, tasks: muster_$suite, limit: $1, bootstrap_iters: 100}"
    done
}
choices="arithmetic code reasoning" texts="arithmetic_generate code_generate reasoning_generate"
write_matrix() {
    cat >"$dir/matrix.yaml" <<C
name: matrix
output: unused
models:
  - {name: llama, model: models/muster-llama-tiny}
  - {name: dsv3, model: models/muster-dsv3-tiny}
suites:
  - {name: sums, tasks: sums, include_path: examples, bootstrap_iters: 100}
  - {name: all, tasks: muster, limit: 10, bootstrap_iters: 100}
$(suites 20 "$choices $texts")
matrix:
  - {models: llama, weights: [bf16, int8], num_fewshot: [0, 2]}
  - {models: dsv3, num_fewshot: [0, 2]}
C
}
slow_model() { # NAME MS OPEN_S
    echo "  - {name: $1, model: models/muster-llama-tiny, endpoint: \"http://127.0.0.1:$port/ms=$2,open=$3/v1\", concurrency: 1}"
}
start_server() {
    [ -z "$server" ] || return
    python3 bench/slow_server.py >"$dir/port" &
    server=$!
    until [ -s "$dir/port" ]; do sleep 0.1; done
    port=$(cat "$dir/port")
}
write_stand_in() {
    start_server
    { echo "name: stand-in"; echo "output: unused"; echo "models:"
      for m in a b c; do slow_model $m "$answer_ms" "$open_s"; done
      echo "suites:"; suites 10 "$choices"; suites 20 "$choices"; suites 30 "arithmetic code"
      echo "matrix:"; echo "  - {num_fewshot: [0, 2]}"; } >"$dir/stand_in.yaml"
}
write_beside() {
    { echo "name: beside"; echo "output: unused"; echo "models:"
      echo "  - models/muster-llama-tiny"; echo "  - models/muster-dsv3-tiny"
      for shape in $shapes; do
          mkdir -p "$dir/$shape"
          "$(dirname "$muster")/synth" "$dir/$shape" "$shape" bf16 || fail "no synth beside $muster"
          cp models/muster-llama-tiny/tokenizer*.json "$dir/$shape"
          echo "  - $dir/$shape"
      done
      echo "suites:"
      echo "  - {name: sums, tasks: sums, include_path: examples, limit: 5, bootstrap_iters: 100}"
      suites 5 "$choices"; } >"$dir/beside.yaml"
}
write_apart() {
    start_server
    { echo "name: apart"; echo "output: unused"; echo "models:"
      for ms in 5 10 20 40; do slow_model "ms$ms" $ms 0; done
      echo "suites:"; suites 10 "$choices $texts"; } >"$dir/apart.yaml"
}

# ---- ways ----

n_tasks() { "$muster" run --plan --json "$1" | python3 -c 'import json, sys; print(json.load(sys.stdin)["tasks"])'; }
results() { find "$1" -name 'results_*.json' -printf '%T@\n'; }
# From $began to the last result of $tasks of them, and to the last job's end.
await_results() { # OUTPUT WHAT
    latest=$((SECONDS + 900))
    until [ -z "$(squeue --noheader)" ]; do
        [ $SECONDS -lt $latest ] || fail "$2: not done after 15 minutes"
        sleep 0.3
    done
    [ "$(results "$1" | wc -l)" = "$tasks" ] || fail "$2: $(results "$1" | wc -l) results of $tasks tasks"
    results "$1" | sort -n | tail -n 1 | awk -v began="$began" '{ printf "%.2f\n", $1 - began }'
}
# A job a task, by what a finished campaign left in $dir/known: the words of its command from `words TASK INTO`.
jobs() { # WORDS OUTPUT OPTION...
    into=$2
    began=$(date +%s.%N)
    for task in $(cd "$dir/known" && find . -name task.json -printf '%h\n' | sort); do
        mkdir -p "$into/$task"
        sbatch --quiet --job-name=task --nodes=1 --ntasks=1 --cpus-per-task=1 --gres=gpu:1 "${@:3}" --output="$into/$task/log" \
            --wrap "exec $("$1" "$dir/known/$task/task.json" "$into/$task")" || fail "sbatch of $task"
    done
}
ours() { echo "'$muster' eval --config '$1' --output '$2' --quiet"; }
theirs() {
    python3 -c 'import json, shlex, sys
t = json.load(open(sys.argv[1]))
print(shlex.join(["env", "OMP_NUM_THREADS=1", "HF_HUB_OFFLINE=1", sys.argv[3], "run", "--model", "hf", "--model_args",
    "dtype=float32,pretrained=" + t["model"], "--tasks", t["tasks"], "--include_path", t.get("include_path", "tasks"),
    "--device", "cpu", "--batch_size", "64", "--log_samples", "--output_path", sys.argv[2]]))' "$1" "$2" "$LM_EVAL"
}
way_at_once() { jobs ours "$1" && await_results "$1" "all jobs at once"; }
way_in_turn() { jobs ours "$1" --dependency=singleton && await_results "$1" "a job after the other"; }
way_harness() { jobs theirs "$1" && await_results "$1" "all jobs of the harness at once"; }
submit() { # OUTPUT OPTION...
    began=$(date +%s.%N)
    "$muster" submit "$file" --site "$dir/site.yaml" --output "$@" >"$dir/id" 2>"$dir/err" || fail "submit: $(cat "$dir/err")"
    await_results "$1" "a campaign as a job"
}
way_campaign() { submit "$1" --nodes 2 --devices 4; }
way_campaign_1() { submit "$1" --nodes 1 --devices 1; }
run() { # OUTPUT DEVICES: a session of its own, which has one share of a busy machine however many processes it is
    began=$(date +%s.%N)
    setsid --wait "$muster" run "$file" --output "$1" --devices "$2" --launcher local --quiet >"$dir/out" 2>"$dir/err" ||
        fail "muster run --devices $2"
    date +%s.%N | awk -v began="$began" '{ printf "%.2f\n", $1 - began }'
}
way_four() { run "$1" 4; }
way_one() { run "$1" 1; }

measure() { # PART WAY
    rm -rf "$dir/out.$2"
    took=$("way_$2" "$dir/out.$2") || exit 1
    [ "$turn" = warm ] || echo "$1 $2 $took" >>"$dir/samples"
    echo "turn $turn: $1 $2 $took s, load $(cut -d ' ' -f 1 /proc/loadavg)" >&2
}
take_turns() { # PART FILE WAY...: the first is what others are compared with
    part=$1 file=$2
    shift 2
    tasks=$(n_tasks "$file") || fail "$file"
    rm -rf "$dir/known"
    echo "$part $tasks $*" >>"$dir/parts"
    turn=warm
    measure "$part" "$1"
    cp -r "$dir/out.$1" "$dir/known"
    for turn in $(seq "$turns"); do
        for way; do measure "$part" "$way"; done
        set -- "${@:2}" "$1"
    done
}

# ---- all ----

on_slurm="campaign campaign_1 at_once in_turn"
if is_part example || is_part matrix || is_part stand_in; then start_slurm; fi
write_matrix
# shellcheck disable=SC2086 # ways
{
    is_part example && take_turns example examples/campaign.yaml $on_slurm ${LM_EVAL:+harness}
    is_part matrix && take_turns matrix "$dir/matrix.yaml" $on_slurm
    is_part stand_in && write_stand_in && take_turns stand_in "$dir/stand_in.yaml" $on_slurm
    is_part beside && write_beside && take_turns beside "$dir/beside.yaml" four one
    is_part apart && write_apart && take_turns apart "$dir/apart.yaml" four one
}
awk '
    function median(a, n,   i, j, t) {
        for (i = 2; i <= n; i++) for (j = i; j > 1 && a[j] < a[j - 1]; j--) { t = a[j]; a[j] = a[j - 1]; a[j - 1] = t }
        return n % 2 ? a[(n + 1) / 2] : (a[n / 2] + a[n / 2 + 1]) / 2
    }
    FILENAME ~ /parts$/ { order[++parts] = $1; tasks[$1] = $2; ways[$1] = NF - 2; for (i = 3; i <= NF; i++) way[$1, i - 2] = $i; next }
    { s[$1, $2, ++n[$1, $2]] = $3 }
    END {
        printf "%-9s %5s  %-11s %8s %19s %6s\n", "part", "tasks", "way", "s", "least to most, s", "ratio"
        for (p = 1; p <= parts; p++) for (w = 1; w <= ways[order[p]]; w++) {
            k = order[p]; x = way[k, w]; m = n[k, x]
            for (i = 1; i <= m; i++) { a[i] = s[k, x, i]; b[i] = a[i] / s[k, way[k, 1], i] }
            t = median(a, m)
            printf "%-9s %5d  %-11s %8.1f %9.1f to %6.1f %6.2f\n", k, tasks[k], x, t, a[1], a[m], median(b, m)
        }
    }' "$dir/parts" "$dir/samples"
