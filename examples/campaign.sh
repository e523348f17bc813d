#!/bin/sh
# campaign.sh [OUT]: several models on the same tasks, one after the other, and one page that compares them.
# Stopped, it goes on where it was when it is started again: finished answers are in each folder's journal.
set -eu
cd "$(dirname "$0")/.."
out=${1:-build/campaign}
muster=${MUSTER:-muster}

set --
for model in models/muster-llama-tiny models/muster-dsv3-tiny models/muster-falcon-tiny; do
    dir=$out/$(basename "$model")
    "$muster" eval --model "$model" --tasks sums,muster --include-path examples --output "$dir" --log-samples --quiet
    set -- "$@" "$dir"
done
"$muster" report "$@" --title "Three small models" --output "$out/report.html"
