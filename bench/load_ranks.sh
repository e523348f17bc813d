#!/bin/bash
# load_ranks.sh MUSTER MODEL [TURNS]: does the time from the start to the first token stay flat when more ranks load?
#
# One rank, then 2 and 4 of a tensor group, of a pipeline and of replicas, all of this machine, one thread each; they
# take turns, and a line gives the median, the shortest and the longest, and the ratio to one rank of one thread.
# Beside more ranks than cores this tells how the work of loading grows, not only how long it takes: CPU seconds of all
# ranks stand beside, muster's own and the kernel's, which clears memory (on a virtual machine whose host has taken free
# memory back that is most of it, and varies tenfold). Page cache warm after the first turn, which does not count.
set -eu
muster=$1 model=$2 turns=${3:-3}
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
TIMEFORMAT='%R %U %S'

for turn in $(seq 0 "$turns"); do
    for layout in tp=1 tp=2 tp=4 pp=2 pp=4 dp=2 dp=4; do
        { time "$muster" generate --model "$model" --prompt hello --max-tokens 1 --threads 1 --layout "$layout" \
            --quiet >/dev/null 2>"$dir/err" || { cat "$dir/err" >&2; exit 1; }; } 2>"$dir/time"
        [ "$turn" = 0 ] || echo "$layout $(tail -1 "$dir/time")" >>"$dir/turns"
    done
done
sort "$dir/turns" | awk '
    function median(a, n,   i, j, t) {
        for (i = 2; i <= n; i++) for (j = i; j > 1 && a[j] < a[j - 1]; j--) { t = a[j]; a[j] = a[j - 1]; a[j - 1] = t }
        return n % 2 ? a[(n + 1) / 2] : (a[n / 2] + a[n / 2 + 1]) / 2
    }
    { wall[$1, ++n[$1]] = $2; user[$1, n[$1]] = $3; kernel[$1, n[$1]] = $4 }
    END {
        printf "%-8s %9s %17s %9s %10s %6s\n", "layout", "wall, s", "least to most, s", "user, s", "kernel, s", "ratio"
        split("tp=1 tp=2 tp=4 pp=2 pp=4 dp=2 dp=4", order, " ")
        for (i = 1; i in order; i++) {
            k = order[i]
            for (j = 1; j <= n[k]; j++) { a[j] = wall[k, j]; b[j] = user[k, j]; d[j] = kernel[k, j] }
            m = median(a, n[k])
            if (i == 1) one = m
            printf "%-8s %9.2f %8.2f to %5.2f %9.2f %10.2f %6.2f\n", k, m, a[1], a[n[k]], median(b, n[k]), median(d, n[k]), m / one
        }
    }'
