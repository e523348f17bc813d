#!/bin/sh
# predicted.sh - predicted against measured time and memory of a checkpoint on this machine
#
#   predicted.sh BIN_FOLDER [CHECKPOINT [RANKS...]]      default: synth's 1b in bf16; 1, 2 and 4 ranks
#
# Calibrates, then holds `muster bench` of tensor groups to it: a line a case; it fails when a time is more than 20 % away
# or a memory bill more than 5 %. Some five minutes on two cores, which must have nothing else to do; not part of
# `make check`. MACHINE names a calibration to use in place of a new one.
set -eu
bin=$1
checkpoint=${2:-}
[ $# -ge 3 ] && { shift 2; ranks=$*; } || ranks="1 2 4"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 1' INT TERM
if [ -z "$checkpoint" ]; then
    checkpoint=$work/1b
    "$bin/synth" "$checkpoint" 1b bf16
fi
machine=${MACHINE:-$work/machine.json}
[ -e "$machine" ] || "$bin/muster" calibrate --output "$machine"

worst=0
for n in $ranks; do
    set -- --model "$checkpoint" --cluster "$machine" --prefill 64,256 --decode 64 --batch 1,4 --tokens 16 --repeat 2 --json
    [ "$n" -gt 1 ] && set -- "$@" --ranks "$n" --layout "tp=$n"
    "$bin/muster" bench "$@" > "$work/bench.json" 2> "$work/bench.err" || { cat "$work/bench.err" >&2; exit 1; }
    python3 - "$n" "$work/bench.json" <<'EOF2' || worst=1
import json, sys

ranks, report = sys.argv[1], json.load(open(sys.argv[2]))
far = 0


def hold(what, measured, predicted, unit, bound):
    global far
    error = predicted / measured - 1
    far += abs(error) > bound
    print(f"{ranks} rank(s)  {what:24} measured {measured:9.2f} {unit}  predicted {predicted:9.2f} {unit}  {error:+.1%}")


for row in report["rows"]:
    what = f"{row['work']} {row['context']} batch {row['batch']}"
    hold(what, row["seconds"] * 1e3, row["predicted_seconds"] * 1e3, "ms ", 0.20)
memory = report["memory"]
hold("memory", memory["measured_bytes"] / 2**20, memory["predicted_bytes"] / 2**20, "MiB", 0.05)
sys.exit(far > 0)
EOF2
done
exit $worst
