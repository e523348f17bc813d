#!/bin/sh
# predicted.sh - predicted against measured step times of a checkpoint on this machine
#
#   predicted.sh BIN_FOLDER [CHECKPOINT [RANKS...]]      default: synth's 1b in bf16, 1 rank
#
# Calibrates, measures with `muster bench`, asks predict_step for the same steps, prints a line a case and fails when one
# is more than 20 % away. Takes some minutes and wants an idle machine; not part of `make check`. Further numbers of
# ranks need `muster bench --ranks`.
set -eu
bin=$1
checkpoint=${2:-}
ranks=${3:-1}
[ $# -ge 3 ] && { shift 2; ranks=$*; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 1' INT TERM
if [ -z "$checkpoint" ]; then
    checkpoint=$work/1b
    "$bin/synth" "$checkpoint" 1b bf16
fi
"$bin/muster" calibrate --output "$work/machine.json"

tokens=12
worst=0
for n in $ranks; do
    set -- --model "$checkpoint" --prefill 64,256 --decode 32,256 --batch 1,4 --tokens $tokens --repeat 3 --json
    [ "$n" -gt 1 ] && set -- "$@" --ranks "$n" --layout "tp=$n"
    "$bin/muster" bench "$@" > "$work/bench.json" 2> "$work/bench.err" || { cat "$work/bench.err" >&2; exit 1; }
    python3 - "$bin/predict_step" "$work/machine.json" "$checkpoint/config.json" "$n" "$work/bench.json" "$tokens" <<'EOF' || worst=1
import json, subprocess, sys

predict, machine, config, ranks, bench, tokens = sys.argv[1:]
report = json.load(open(bench))
rows = report["rows"] if isinstance(report, dict) else report
far = 0
for row in rows:
    # bench stops counting at the first sequence's last token: of the last step one token is counted.
    steps = int(tokens) - 1
    counted = row["batch"] * row["context"] if row["work"] == "prefill" else ((steps - 1) * row["batch"] + 1) / steps
    measured = counted / row["tokens_per_s"]
    case = [row["work"], str(row["context"])] + ([str(row["batch"])] if row["work"] == "decode" else [])
    said = subprocess.run([predict, machine, config, ranks, "bf16"] + case, capture_output=True, text=True, check=True)
    predicted = float(said.stdout.split()[0])
    error = predicted / measured - 1
    far += abs(error) > 0.20
    print(f"{ranks} rank(s) {' '.join(case):18} measured {measured * 1e3:9.2f} ms predicted {predicted * 1e3:9.2f} ms "
          f"{error:+.1%}  {said.stdout.split(' ', 1)[1].strip()}")
print(f"{ranks} rank(s): {far} of {len(rows)} more than 20% away")
sys.exit(far > 0)
EOF
done
exit $worst
