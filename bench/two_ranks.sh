#!/bin/sh
# two_ranks.sh MUSTER MODEL [SITTINGS]: two ranks of one thread against one rank of two threads, prefill and decode.
#
# The two take turns; a line gives the medians of all turns, the median of the ratios of neighbouring turns, and the
# lowest and highest of these. Quiet machine with two cores wanted; a checkpoint of about a billion parameters
# (tests/synth: synth DIR 1b bf16).
set -eu
muster=$1 model=$2 sittings=${3:-5}
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT

measure() { # NAME options...
    name=$1
    shift
    "$muster" bench --model "$model" --prefill 256 --decode 64 --batch 1,8 --tokens 16 --repeat 3 --quiet --csv "$@" >"$dir/$name"
}

for i in $(seq "$sittings"); do
    measure "ranks.$i" --threads 1 --layout tp=2
    measure "threads.$i" --threads 2
    paste -d, "$dir/threads.$i" "$dir/ranks.$i"
done | awk -F, '
    function median(a, n,   i, j, t) { # sorts a
        for (i = 2; i <= n; i++) for (j = i; j > 1 && a[j] < a[j - 1]; j--) { t = a[j]; a[j] = a[j - 1]; a[j - 1] = t }
        return n % 2 ? a[(n + 1) / 2] : (a[n / 2] + a[n / 2 + 1]) / 2
    }
    /tokens/ { half = NF / 2; for (i = 1; i <= half; i++) if ($i ~ /tokens_per_s/) c = i; next }
    c > 0 { k = sprintf("%-8s %6d %8d", $1, $2, $3); if (!(k in n)) order[++cases] = k
        one[k, ++n[k]] = $c; two[k, n[k]] = $(half + c) }
    END {
        printf "%-8s %6s %8s %17s %17s %6s %13s\n", "work", "batch", "context", "two threads", "two ranks", "ratio", "least to most"
        for (j = 1; j <= cases; j++) { k = order[j]
            for (i = 1; i <= n[k]; i++) { a[i] = one[k, i]; b[i] = two[k, i]; r[i] = two[k, i] / one[k, i] }
            m = median(r, n[k])
            printf "%s %11.1f tok/s %11.1f tok/s %6.2f %5.2f to %4.2f\n", k, median(a, n[k]), median(b, n[k]), m, r[1], r[n[k]]
        }
    }'
