#!/bin/sh
# predicted.sh - predicted against measured time and memory of a checkpoint on this machine
#
#   predicted.sh BIN_FOLDER [CHECKPOINT [LAYOUT...]]
#
# CHECKPOINT is a folder, or a shape that synth writes in bf16: 1b where none is given. A layout is "tp=2", "dp=2,ep=2",
# or a number of tensor ranks: 1 2 4 where none is given, and for mixtures of experts 1 tp=2 dp=2,ep=2.
#
# Calibrates, then holds `muster bench` of these layouts to it, ROUNDS (3) times: on a shared machine a calibration is
# true for some minutes only. Prints each case's median error and the range; fails when a median of a time is more than
# 20 % away or one of a memory bill more than 5 %. Some five minutes a round on two cores, which must have nothing else
# to do; not part of `make check`. MACHINE names a calibration to use in place of new ones, CASES bench's own options.
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

# The product of a layout's numbers, experts aside: they lie inside the others.
ranks_of() {
    echo "$1" | tr , '\n' | awk -F= 'BEGIN { n = 1 } $1 == "tp" || $1 == "pp" || $1 == "dp" { n *= $2 } END { print n }'
}

run() { # LAYOUT FILE
    ranks=$(ranks_of "$1")
    # shellcheck disable=SC2086 # options are words
    set -- "$1" "$2" --model "$checkpoint" --cluster "$machine" $cases --tokens 16 --repeat 3 --json
    [ "$ranks" -gt 1 ] && set -- "$@" --ranks "$ranks" --layout "$1"
    to=$2
    shift 2
    "$bin/muster" bench "$@" > "$to" 2> "$work/bench.err" || { cat "$work/bench.err" >&2; exit 1; }
}

for round in $(seq "${ROUNDS:-3}"); do
    machine=${MACHINE:-$work/machine.json}
    [ -n "${MACHINE:-}" ] || "$bin/muster" calibrate --output "$machine"
    for layout in $layouts; do
        case $layout in *[!0-9]*) ;; *) layout=tp=$layout ;; esac
        run "$layout" "$work/$layout.$round.json"
        echo "$layout $work/$layout.$round.json" >> "$work/runs"
    done
done

python3 - "$work/runs" <<'END'
import json, statistics, sys

cases = {}  # what: [(measured, predicted)], its unit and bound


def add(layout, what, measured, predicted, unit, bound):
    cases.setdefault((layout, what, unit, bound), []).append((measured, predicted))


for layout, path in (line.split() for line in open(sys.argv[1])):
    report = json.load(open(path))
    then, now = report.get("calibrated_bytes_per_s", 0) * 1e-9, report["read_bytes_per_s"] * 1e-9
    print(f"{layout:10} {'memory of a rank':24} reads at {now:9.2f} GB/s calibrated at {then:8.2f} GB/s")
    for row in report["rows"]:
        what = f"{row['work']} {row['context']} batch {row['batch']}"
        add(layout, what, row["seconds"] * 1e3, row["predicted_seconds"] * 1e3, "ms ", 0.20)
    memory = report["memory"]
    add(layout, "memory", memory["measured_bytes"] / 2**20, memory["predicted_bytes"] / 2**20, "MiB", 0.05)

far = 0
for (layout, what, unit, bound), pairs in cases.items():
    errors = sorted(predicted / measured - 1 for measured, predicted in pairs)
    error = statistics.median(errors)
    far += abs(error) > bound
    measured, predicted = (statistics.median(p[i] for p in pairs) for i in (0, 1))
    print(f"{layout:10} {what:24} measured {measured:9.2f} {unit}  predicted {predicted:9.2f} {unit}  "
          f"{error:+.1%} ({errors[0]:+.1%} to {errors[-1]:+.1%})")
sys.exit(far > 0)
END
