#!/bin/bash
# memory_bill.sh MUSTER SYNTH SHAPE: peak memory of a run against the printed bill, and bytes read against the file.
# Peak resident memory may exceed the bill by 3% + 64 MB at most; weights are read once.
set -euo pipefail
muster=$1 synth=$2 shape=$3
dir=$(mktemp -d "${TMPDIR:-/tmp}/muster-bill-XXXXXX")
trap 'rm -rf "$dir"' EXIT
n=0

"$synth" "$dir" "$shape" bf16
file_bytes=$(stat -c %s "$dir/model.safetensors")

for case in "--weights bf16" "--weights f32 --batch-size 8" "--weights int8 --kv-dtype bf16" "--weights int4 --batch-tokens 64"; do
    n=$((n + 1))
    # shellcheck disable=SC2086
    "$muster" bench --model "$dir" $case --prefill 300 --decode 20 --batch 4 --tokens 8 --repeat 1 >"$dir/out" 2>"$dir/bill"
    # "memory: P MiB at peak, B MiB billed; weights: W MiB read"
    grep '^memory:' "$dir/bill" | awk -v file="$file_bytes" -v name="$shape $case" -v n="$n" '{
        peak = $2; billed = $6; read = $10; allowed = billed * 1.03 + 64e6 / 1048576
        printf "# peak %.1f MiB, billed %.1f, allowed %.1f; file %.1f, read %.1f\n", peak, billed, allowed, file / 1048576, read
        ok = peak > 0 && peak <= allowed && read > 0 && read <= file / 1048576 + 0.05 + 0.05
        printf "%s %d - %s\n", ok ? "ok" : "not ok", n, name
        exit !ok }'
done
echo "1..$n"
