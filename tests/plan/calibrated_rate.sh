#!/bin/sh
# calibrated_rate.sh - bench says when the memory's bandwidth is another one than that of the calibration
#
#   calibrated_rate.sh MUSTER CHECKPOINT
set -eu
muster=$1
checkpoint=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 1' INT TERM

# A host of one core whose memory is read at $1 bytes a second.
bench() {
    cat > "$work/machine.json" <<EOF2
{"name": "host", "nodes": 1, "storage": {"rate": 1e9}, "links": {"kind": "memory", "rate": 1e9, "latency": 1e-6},
 "gpus": {"name": "CPU", "count": 1, "memory": 1e10, "memory_rate": $1, "f32": 1e10},
 "host": {"memory": 1e10, "is_device": true, "cores": 1}}
EOF2
    "$muster" bench --model "$checkpoint" --cluster "$work/machine.json" --threads 1 --prefill 4 --decode 0 --batch 0 \
        --repeat 1 --json > "$work/bench.json" 2> "$work/bench.err" || { cat "$work/bench.err" >&2; exit 1; }
}

fail() {
    echo "calibrated_rate: $1" >&2
    cat "$work/bench.err" >&2
    exit 1
}

bench 1e15
grep -q "calibrated at 1000000.0 GB/s, .* GB/s now" "$work/bench.err" || fail "a rate far above what is read was not told"
grep -q '"calibrated_bytes_per_s": \(1e+\{0,1\}15\|1000000000000000\)' "$work/bench.json" ||
    fail "the report lacks the calibrated rate"
bench 1e3
grep -q "calibrated at 0.0 GB/s, .* GB/s now" "$work/bench.err" || fail "a rate far below what is read was not told"
