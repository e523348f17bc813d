#!/bin/bash
# two_ranks.sh MUSTER MODEL [TURNS]: two ranks of one thread against one rank of two threads, prefill and decode.
#
# The two take turns; a line gives the medians of all turns, the median of the ratios of the turns, and the lowest and
# highest of these. Two threads give way to each other where the host takes a core away for a moment, two ranks cannot:
# a turn in which it took more than 1% of the time (steal in /proc/stat) says nothing and is done again, up to four
# times TURNS in all. Quiet machine with two cores wanted; a checkpoint of about a billion parameters (tests/synth:
# synth DIR 1b bf16).
set -eu
muster=$1 model=$2 turns=${3:-5}
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT

stolen() { awk '/^cpu / { print $9 }' /proc/stat; }     # ticks
now() { awk '{ print int($1 * 100) }' /proc/uptime; }    # ticks
rate() { # OPTIONS...
    "$muster" bench --model "$model" --tokens 16 --repeat 3 --quiet --csv "$@" >"$dir/csv"
    awk -F, 'NR == 1 { for (i = 1; i <= NF; i++) if ($i == "tokens_per_s") c = i } END { print $c }' "$dir/csv"
}

turn() { # NAME OPTIONS...
    name=$1
    shift
    began=$(now) before=$(stolen)
    ranks=$(rate --threads 1 --layout tp=2 "$@")
    threads=$(rate --threads 2 "$@")
    taken=$(($(stolen) - before)) took=$((2 * ($(now) - began)))
    if [ $((100 * taken)) -gt "$took" ]; then
        echo "$name" >>"$dir/disturbed"
        return
    fi
    echo "$name,$threads,$ranks" >>"$dir/turns"
}

touch "$dir/turns" "$dir/disturbed"
work() { # NAME OPTIONS...
    for _ in $(seq $((4 * turns))); do
        [ "$(grep -c "^$1," "$dir/turns")" -lt "$turns" ] || break
        turn "$@"
    done
}
work "prefill 256" --prefill 256 --batch 0
work "decode 1" --prefill 0 --decode 64 --batch 1
work "decode 8" --prefill 0 --decode 64 --batch 8

awk -F, '
    function median(a, n,   i, j, t) { # sorts a
        for (i = 2; i <= n; i++) for (j = i; j > 1 && a[j] < a[j - 1]; j--) { t = a[j]; a[j] = a[j - 1]; a[j - 1] = t }
        return n % 2 ? a[(n + 1) / 2] : (a[n / 2] + a[n / 2 + 1]) / 2
    }
    FILENAME ~ /disturbed$/ { left_out[$1]++; next }
    !($1 in n) { order[++cases] = $1 }
    { one[$1, ++n[$1]] = $2; two[$1, n[$1]] = $3 }
    END {
        printf "%-12s %17s %17s %6s %13s %6s %9s\n", "work", "two threads", "two ranks", "ratio", "least to most", "turns", "disturbed"
        for (j = 1; j <= cases; j++) { k = order[j]
            for (i = 1; i <= n[k]; i++) { a[i] = one[k, i]; b[i] = two[k, i]; r[i] = two[k, i] / one[k, i] }
            m = median(r, n[k])
            printf "%-12s %11.1f tok/s %11.1f tok/s %6.2f %5.2f to %4.2f %6d %9d\n", k, median(a, n[k]), median(b, n[k]),
                m, r[1], r[n[k]], n[k], left_out[k]
        }
        if (cases == 0) print "no turn was undisturbed"
    }' "$dir/disturbed" "$dir/turns"
