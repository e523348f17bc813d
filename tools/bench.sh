#!/bin/sh
# bench.sh BUILD_FOLDER [SHAPE]: operations, loading and whole-model rates on a random checkpoint. Not a test: figures of a
# shared machine move by tens of percent, so compare within one run only.
set -eu
bin=$1/bin
shape=${2:-1b}
dir=$(mktemp -d "${TMPDIR:-/tmp}/muster-bench-XXXXXX")
trap 'rm -rf "$dir"' EXIT

echo "== operations (share of measured bandwidth and arithmetic)"
"$bin/bench_ops"
"$bin/synth" "$dir" "$shape" bf16
echo "== loading, $shape in bf16, warm page cache"
"$bin/bench_load" "$dir"
for weights in bf16 int8 int4; do
    echo "== $shape, weights $weights"
    "$bin/muster" bench --quiet --model "$dir" --weights $weights --prefill 128,512 --decode 0,512 --batch 1,8,32
done
