#!/bin/sh
# golden_layouts.sh MUSTER [CHECKPOINT...]: scores of the golden checkpoints are the same bytes for every layout over real
# ranks under MPI. By hand: a thousand runs take a quarter of an hour on two cores. A layout that a checkpoint's sizes
# rule out is refused in a sentence, which is counted.
set -eu
muster=$1
shift
golden="$(dirname "$0")/../golden"
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
[ $# -gt 0 ] || set -- $(cd "$golden" && ls -d */ | sed 's:/::' | grep -v tokenizers)

dense="tp=2 tp=3 tp=4 tp=6 tp=8 pp=2 pp=3 pp=4 dp=2 dp=3 tp=2,pp=2 tp=3,pp=2 tp=2,pp=3 tp=2,dp=2 tp=2,dp=3 tp=3,dp=2 pp=2,dp=2
    pp=2,dp=3 pp=3,dp=2 tp=2,pp=2,dp=2 tp=4,pp=2 tp=4,dp=2"
experts="ep=2 ep=4 ep=8 tp=2,ep=2 tp=2,dp=2,ep=4 tp=4,dp=2,ep=8 pp=2,dp=2,ep=2 pp=2,tp=2,ep=2 tp=2,pp=2,dp=2,ep=4 pp=2,dp=4,ep=4
    dp=4,ep=2 dp=6,ep=2"

# Pairs of token ids of several lengths, below the vocabulary.
pairs() {
    awk -v V="$1" 'BEGIN { for (i = 0; i < 12; i++) { n = 3 + i * 5 % 29; m = 1 + i % 4; printf "{\"context\": ["
        for (k = 0; k < n; k++) printf "%s%d", k ? ", " : "", (7 + 13 * k + (i % 3) * k * k) % V
        printf "], \"continuation\": ["
        for (k = 0; k < m; k++) printf "%s%d", k ? ", " : "", (5 + 11 * k + i) % V
        print "]}" } }'
}

score() { # OUTPUT options...
    out=$1
    shift
    "$muster" score --model "$golden/$model" --file "$dir/pairs" --token-logprobs --top 3 --threads 1 --quiet "$@" \
        >"$out" 2>"$dir/err"
}

same=0 refused=0
for model in "$@"; do
    pairs "$(sed -n 's/.*"vocab_size": *\([0-9]*\).*/\1/p' "$golden/$model/config.json" | head -1)" >"$dir/pairs"
    score "$dir/one" || { cat "$dir/err" >&2; exit 1; }
    layouts=$dense
    ! grep -qE '"(num_local_experts|n_routed_experts)"' "$golden/$model/config.json" || layouts="$dense $experts"
    for l in $layouts; do
        case $l in ep=*) ranks="--ranks ${l#ep=}" ;; *) ranks= ;; esac
        if score "$dir/many" $ranks --layout "$l"; then
            cmp "$dir/one" "$dir/many" || { echo "$model $l: other bytes than one rank's" >&2; exit 1; }
            same=$((same + 1))
        else
            grep -q 'cannot be' "$dir/err" || { echo "$model $l:" >&2; cat "$dir/err" >&2; exit 1; }
            refused=$((refused + 1))
        fi
    done
    echo "$model: $(wc -w <<X
$layouts
X
) layouts"
done
echo "ok: $same runs the same bytes as one rank's, $refused layouts refused"
