#!/bin/sh
# shared_work.sh MUSTER MODEL TASKS_DIR DATA_DIR TASK SHOTS DOCUMENTS [options of muster eval...]
# One task with shared and with naive work: tokens computed, wall time, and whether the samples are the same bytes. Quiet
# machine wanted. TASKS_DIR is lm-eval's lm_eval/tasks; DATA_DIR mirrors hub names (docs/evaluate.md).
set -eu
muster=$1 model=$2 tasks=$3 data=$4 task=$5 shots=$6 docs=$7
shift 7
. "$(dirname "$0")/../tests/eval/results_lib.sh"
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT

for work in shared naive; do
    "$muster" eval --model "$model" --include-path "$tasks" --data-dir "$data" --tasks "$task" --num-fewshot "$shots" \
        --limit "$docs" --work "$work" --output "$dir/$work" --log-samples --quiet "$@" >/dev/null
    collect "$dir/$work" "$dir/$work.plain"
    file=$(find "$dir/$work" -name 'results_*.json')
    tokens=$(sed -n 's/^ *"tokens_computed": \([0-9]*\).*/\1/p' "$file")
    seconds=$(sed -n 's/^    "seconds": \([0-9.]*\).*/\1/p' "$file")
    echo "$work $tokens $seconds" >>"$dir/figures"
done
awk '{ printf "%-7s %9d tokens computed, %8.2f s in the model\n", $1, $2, $3; t[$1] = $2; s[$1] = $3 }
    END { printf "ratio: %.2f in tokens, %.2f in time\n", t["naive"] / t["shared"], s["naive"] / s["shared"] }' \
    "$dir/figures"
same "$dir/shared.plain" "$dir/naive.plain" "samples of shared and naive work" && echo "samples: the same bytes"
