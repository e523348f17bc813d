#!/bin/sh
# demo.sh MUSTER: the shipped models at work on problems they have not seen.
set -eu
muster=$1
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT

say() { printf '\n== %s\n' "$*"; }

# A field of JSON lines, still escaped; enough for comparing what JSON wrote with what JSON wrote.
field() { sed -nE "s/.*\"$1\": \"(([^\"\\\\]|\\\\.)*)\".*/\1/p"; }

say "this machine (muster doctor)"
"$muster" doctor

for model in models/muster-llama-tiny models/muster-dsv3-tiny; do
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

say "all $(wc -l <models/heldout.jsonl) held-out problems, answers compared letter by letter (muster generate --prompts)"
for model in models/muster-llama-tiny models/muster-dsv3-tiny; do
    "$muster" generate --model "$model" --prompts "$dir/prompts" --max-tokens 24 --stop '\n' --stop '
' >"$dir/out"
    field text <"$dir/out" | sed 's/^ *//; s/ *$//' >"$dir/texts"
    field family <models/heldout.jsonl | paste - "$dir/answers" "$dir/texts" |
        awk -F '\t' -v model="$model" '{ n[$1]++; all++; if ($2 == $3) { ok[$1]++; right++ } }
            END { printf "%-26s", model; for (f in n) printf "  %s %.1f%%", f, 100 * ok[f] / n[f];
                  printf "  all %.1f%% of %d\n", 100 * right / all, all; exit right * 2 < all }'
done

say "log-likelihood of a right and a wrong answer (muster score)"
printf '%s\n' '{"context": "Question: What is 12 plus 7?\nAnswer:", "continuation": " 12 + 7 = 19"}' \
    '{"context": "Question: What is 12 plus 7?\nAnswer:", "continuation": " 12 + 7 = 26"}' |
    "$muster" score --model models/muster-llama-tiny --quiet --file -
