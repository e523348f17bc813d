#!/bin/sh
# predicted.sh - predicted against measured time and memory of a checkpoint on this machine
#
#   predicted.sh BIN_FOLDER [CHECKPOINT [LAYOUT...]]
#
# CHECKPOINT is a folder, or a shape that synth writes in bf16: 1b where none is given. A layout is "tp=2", "dp=2,ep=2",
# or a number of tensor ranks: 1 2 4 where none is given, and for mixtures of experts 1 tp=2 dp=2,ep=2.
#
# Calibrates, then holds `muster bench` of these layouts to it: a line a case; it fails when a time is more than 20 % away
# or a memory bill more than 5 %. Some five minutes on two cores, which must have nothing else to do; not part of
# `make check`. MACHINE names a calibration to use in place of a new one, CASES bench's own options.
set -eu
bin=$1
checkpoint=${2:-1b}
[ $# -ge 3 ] && { shift 2; layouts=$*; } || layouts=
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 1' INT TERM
if [ ! -d "$checkpoint" ]; then
    mkdir "$work/model"
    "$bin/synth" "$work/model" "$checkpoint" bf16
    checkpoint=$work/model
fi
if grep -q experts "$checkpoint/config.json"; then
    cases=${CASES:---prefill 256 --decode 64 --batch 1,8,32}
    layouts=${layouts:-1 tp=2 dp=2,ep=2}
else
    cases=${CASES:---prefill 64,256 --decode 64 --batch 1,4}
    layouts=${layouts:-1 2 4}
fi
machine=${MACHINE:-$work/machine.json}
[ -e "$machine" ] || "$bin/muster" calibrate --output "$machine"

# The product of a layout's numbers, experts aside: they lie inside the others.
ranks_of() {
    echo "$1" | tr , '\n' | awk -F= 'BEGIN { n = 1 } $1 == "tp" || $1 == "pp" || $1 == "dp" { n *= $2 } END { print n }'
}

worst=0
for layout in $layouts; do
    case $layout in *[!0-9]*) ;; *) layout=tp=$layout ;; esac
    ranks=$(ranks_of "$layout")
    # shellcheck disable=SC2086 # options are words
    set -- --model "$checkpoint" --cluster "$machine" $cases --tokens 16 --repeat 3 --json
    [ "$ranks" -gt 1 ] && set -- "$@" --ranks "$ranks" --layout "$layout"
    "$bin/muster" bench "$@" > "$work/bench.json" 2> "$work/bench.err" || { cat "$work/bench.err" >&2; exit 1; }
    python3 - "$layout" "$work/bench.json" <<'EOF2' || worst=1
import json, sys

layout, report = sys.argv[1], json.load(open(sys.argv[2]))
far = 0


def hold(what, measured, predicted, unit, bound):
    global far
    error = predicted / measured - 1
    far += abs(error) > bound
    print(f"{layout:10} {what:24} measured {measured:9.2f} {unit}  predicted {predicted:9.2f} {unit}  {error:+.1%}")


then, now = report.get("calibrated_bytes_per_s", 0) * 1e-9, report["read_bytes_per_s"] * 1e-9
print(f"{layout:10} {'memory of a rank':24} reads at {now:9.2f} GB/s calibrated at {then:8.2f} GB/s")
for row in report["rows"]:
    what = f"{row['work']} {row['context']} batch {row['batch']}"
    hold(what, row["seconds"] * 1e3, row["predicted_seconds"] * 1e3, "ms ", 0.20)
memory = report["memory"]
hold("memory", memory["measured_bytes"] / 2**20, memory["predicted_bytes"] / 2**20, "MiB", 0.05)
sys.exit(far > 0)
EOF2
done
exit $worst
