#!/bin/sh
# peers.sh MUSTER MODEL OUT [ROUNDS [MINUTES]]: muster and its peers on the CPU, taking turns on one machine in one run.
#
# Prints the tables of docs/performance.md and keeps every sample in OUT/samples.tsv, what the programs said in OUT/log.
# MODEL is a Llama checkpoint in bf16 with a tokenizer (tests/synth: synth DIR 1b bf16, and a tokenizer.json beside it).
# Peers by environment; one that is not found is left out, and the table says so:
#
#   LLAMA=DIR     llama.cpp's llama-bench, llama-batched-bench, llama-perplexity, llama-quantize
#   IK=DIR        ik_llama.cpp's, by the same names
#   TORCH=PYTHON  a Python that has torch
#   GGUF=DIR      MODEL for the first two: bf16.gguf, f16.gguf, q8_0.gguf, q4_0.gguf. Missing ones are made. Default: OUT
#   HELLASWAG=FILE  six lines an item: context, gold, four endings. Without it nothing is scored; ITEMS of them are
#
# A short round 0 chooses the best of a peer's formats. No round begins that would end after MINUTES.
set -eu
[ $# -ge 3 ] || { sed -n '2,13s/^# \{0,1\}//p' "$0" >&2; exit 2; }
muster=$1 model=$2 out=$3 rounds=${4:-3} minutes=${5:-19}
threads=${THREADS:-2} items=${ITEMS:-4} prompt=${PROMPT:-512} steps=${STEPS:-12} # small ones for a trial
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$out"
out=$(cd "$out" && pwd)
gguf=${GGUF:-$out}
samples=$out/samples.tsv log=$out/log
: >"$samples" && : >"$log"
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir" # some peers write logs where they stand
. "$here/peers_run.sh"

find_peers
make_items
began=$(date +%s) last=0 round=0
for bits in 16 8 4; do
    try_ggml llama.cpp "$LLAMA" "$bits"
    try_ggml ik_llama.cpp "$IK" "$bits"
done
for round in $(seq "$rounds"); do
    start=$(date +%s)
    [ $((start - began + last)) -le $((60 * minutes)) ] || break
    say "round $round of $rounds"
    for bits in 16 8 4; do
        run_muster "$bits"
        run_ggml llama.cpp "$LLAMA" "$bits"
        run_ggml ik_llama.cpp "$IK" "$bits"
        run_torch "$bits"
    done
    last=$(($(date +%s) - start))
done
awk -F '\t' -v threads="$threads" -v prompt="$prompt" -v items="$items" -f "$here/peers_table.awk" "$samples"
