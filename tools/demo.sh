#!/bin/sh
# demo.sh MUSTER: the shipped models evaluated on the shipped tasks, which hold problems they have not seen.
set -eu
muster=$1
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT

say() { printf '\n== %s\n' "$*"; }

# A field of JSON lines, still escaped; enough for comparing what JSON wrote with what JSON wrote.
field() { sed -nE "s/.*\"$1\": \"(([^\"\\\\]|\\\\.)*)\".*/\1/p"; }

say "this machine (muster doctor)"
"$muster" doctor

for model in models/muster-llama-tiny models/muster-dsv3-tiny models/muster-falcon-tiny; do
    say "$model: what it is (muster models)"
    "$muster" models "$model"
done

say "one held-out problem of each family, greedy (muster generate)"
sed -E 's/.*"question": "(([^"\\]|\\.)*)".*/{"prompt": "Question: \1\\nAnswer:"}/' models/heldout.jsonl >"$dir/prompts"
field answer <models/heldout.jsonl >"$dir/answers"
for family in reasoning arithmetic code; do
    n=$(grep -n "\"family\": \"$family\"" models/heldout.jsonl | head -1 | cut -d: -f1)
    prompt=$(sed -n "${n}p" "$dir/prompts" | field prompt)
    printf "$prompt"
    printf "$prompt" | "$muster" generate --model models/muster-llama-tiny --quiet --max-tokens 24 --stop '
'
    printf '   (right: %s)\n\n' "$(sed -n "${n}p" "$dir/answers")"
done

out=build/demo
rm -rf "$out"
for model in muster-llama-tiny muster-dsv3-tiny muster-falcon-tiny; do
    say "models/$model on the shipped tasks, multiple choice and generated answers (muster eval)"
    "$muster" eval --model "models/$model" --tasks muster,muster_generate --output "$out/$model" --log-samples
done

say "the same again: every answer is in the journal (muster eval)"
"$muster" eval --model models/muster-llama-tiny --tasks muster,muster_generate --output "$out/muster-llama-tiny" \
    --log-samples | tail -1

say "the same on four processes that share the model: the same bytes (muster eval --ranks)"
"$muster" eval --model models/muster-llama-tiny --tasks muster --output "$out/ranks" --log-samples --ranks 4 \
    --layout tp=2,pp=2 >"$dir/table"
for many in $(find "$out/ranks" -name 'samples_*'); do
    task=$(basename "$many" | sed 's/_[0-9T.-]*jsonl$//')
    one=$(find "$out/muster-llama-tiny" -name "${task}_*" | sort | head -1)
    cmp "$one" "$many"
    echo "$task: the same bytes as one process"
done

say "all three on one page: scores with error bars, significance, calibration, disagreements (muster report)"
"$muster" report "$out/muster-llama-tiny" "$out/muster-dsv3-tiny" "$out/muster-falcon-tiny" --title "The shipped models" \
    --output "$out/report.html"
find "$out" -name 'results_*.json' | sort

say "a layout for a machine that is elsewhere (muster plan)"
"$muster" plan Llama-2-70b --machine h100 --devices 6

say "log-likelihood of a right and a wrong answer (muster score)"
printf '%s\n' '{"context": "Question: What is 12 plus 7?\nAnswer:", "continuation": " 12 + 7 = 19"}' \
    '{"context": "Question: What is 12 plus 7?\nAnswer:", "continuation": " 12 + 7 = 26"}' |
    "$muster" score --model models/muster-llama-tiny --quiet --file -
