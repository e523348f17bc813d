#!/bin/sh
# two_ranks.sh MUSTER MODEL: two ranks of one thread against one rank of two threads, prefill and decode, in one sitting.
# Quiet machine with two cores wanted; a checkpoint of about a billion parameters (tests/synth: synth DIR 1b bf16).
set -eu
muster=$1 model=$2
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT

measure() { # NAME options...
    name=$1
    shift
    "$muster" bench --model "$model" --prefill 256 --decode 64 --batch 1,8 --quiet --csv "$@" >"$dir/$name"
}

measure ranks --threads 1 --layout tp=2
measure threads --threads 2
paste -d, "$dir/threads" "$dir/ranks" | awk -F, 'NR == 1 { half = NF / 2; for (i = 1; i <= half; i++) if ($i ~ /tokens/) c = i
        printf "%-8s %6s %8s %14s %14s %6s\n", "work", "batch", "context", "two threads", "two ranks", "ratio"; next }
    $c > 0 { printf "%-8s %6d %8d %8.1f tok/s %8.1f tok/s %6.2f\n", $1, $2, $3, $c, $(half + c), $(half + c) / $c }'
