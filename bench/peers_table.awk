# peers_table.awk: samples.tsv of peers.sh as the tables of docs/performance.md. Variables: threads, prompt, items.
#
# A figure is the median over rounds, in brackets the least and the most. A peer stands with the best of its formats. A
# ratio is the median of the ratios of the same round: above 1, muster is ahead, for seconds too.

function median(list,   a, n, i, j, t) { # of "v v v"
    n = split(list, a, " ")
    for (i = 2; i <= n; i++) for (j = i; j > 1 && a[j] + 0 < a[j - 1] + 0; j--) { t = a[j]; a[j] = a[j - 1]; a[j - 1] = t }
    low = a[1]
    high = a[n]
    return n % 2 ? a[(n + 1) / 2] + 0 : (a[n / 2] + a[n / 2 + 1]) / 2
}

function number(v) {
    return sprintf(v < 10 ? "%.2f" : "%.1f", v)
}

function figure(key,   m) {
    m = median(values[key])
    return number(m) (low == high ? "" : " (" number(low) " to " number(high) ")")
}

function share(list) {
    return list == "" ? "" : sprintf(" %.2f", median(list))
}

# The format of a peer with the best median in a row, "" without samples.
function best_format(row, peer,   n, f, i, v, best, which) {
    n = split(formats[row, peer], f, " ")
    for (i = 1; i <= n; i++) {
        v = median(values[row, peer, f[i]])
        if (is_time(row))
            v = -v
        if (which == "" || v > best) { best = v; which = f[i] }
    }
    return which
}

function is_time(row) {
    return row ~ /^load/
}

# Ratios of the same rounds, "r r r".
function ratios(row, a, b,   r, list) {
    for (r = 1; r <= rounds; r++)
        if ((r, a) in at && (r, b) in at)
            list = list " " (is_time(row) ? at[r, b] / at[r, a] : at[r, a] / at[r, b])
    return list
}

function goal(row, bits, factor, whom, arithmetic, bandwidth) {
    rows[++n_rows] = row SUBSEP bits
    want[row, bits] = factor
    against[row, bits] = whom
    want_arithmetic[row, bits] = arithmetic
    want_bandwidth[row, bits] = bandwidth
}

BEGIN {
    split("llama.cpp ik_llama.cpp PyTorch", peers, " ")
    goal("prefill", 16, 1.1, "best", 0.78); goal("prefill", 8, 1.6, "best", 0.65); goal("prefill", 4, 1.5, "best")
    goal("decode", 16, 1, "best", "", 0.9); goal("decode", 8, 1, "best", "", 0.9); goal("decode", 4, 1, "best", "", 0.9)
    goal("decode32", 16, 1.6, "llama.cpp"); goal("decode32", 8, 3, "llama.cpp"); goal("decode32", 4, 2, "llama.cpp")
    goal("score", 16, 3, "llama.cpp"); goal("score", 8, 6, "llama.cpp")
    goal("load", 16, 1, "best")
    title["prefill"] = "prefill " prompt ", tok/s"
    title["decode"] = "decode, one sequence, tok/s"
    title["decode32"] = "decode, 32 sequences, tok/s"
    title["score"] = "HellaSwag, " items " items, items/s"
    title["load"] = "load to first token, s"
}

$1 > 0 {
    row = $2 SUBSEP $3
    key = row SUBSEP $4 SUBSEP $5
    if (!(key in values))
        formats[row, $4] = formats[row, $4] " " $5
    values[key] = values[key] " " $6
    at[$1, key] = $6
    if ($1 > rounds) rounds = $1
    if ($7 != "") arithmetic[row] = arithmetic[row] " " $7
    if ($8 != "") bandwidth[row] = bandwidth[row] " " $8
    if ($2 ~ /_per_s/) machine[$2] = machine[$2] " " $6
}

function judged(row, ours, theirs,   list, m, ok) {
    if (theirs == "") {
        printf " no peer | | |\n"
        return
    }
    list = ratios(row, ours, theirs)
    if (list == "") {
        printf " no common round | | |\n"
        return
    }
    m = median(list)
    printf " %.2f (%.2f to %.2f)", m, low, high
    printf " | %.2f x %s", want[row], against[row] == "best" ? "the best" : against[row]
    ok = m >= want[row]
    if (want_arithmetic[row] != "") {
        printf ", %.2f of arithmetic", want_arithmetic[row]
        ok = ok && median(arithmetic[row]) >= want_arithmetic[row]
    }
    if (want_bandwidth[row] != "") {
        printf ", %.2f of bandwidth", want_bandwidth[row]
        ok = ok && median(bandwidth[row]) >= want_bandwidth[row]
    }
    printf " | %s |\n", ok ? "yes" : "no"
}

function print_row(row,   part, ours, theirs, p, f, v, best) {
    split(row, part, SUBSEP)
    ours = row SUBSEP "muster" SUBSEP best_format(row, "muster")
    if (!(ours in values))
        return
    printf "| %s | %s | %s |%s |%s |", title[part[1]], part[2] "-bit", figure(ours),
        share(arithmetic[row]), share(bandwidth[row])
    for (p = 1; p in peers; p++) {
        f = best_format(row, peers[p])
        if (f == "") {
            printf " |"
            continue
        }
        printf " %s %s |", figure(row SUBSEP peers[p] SUBSEP f), f
        v = median(values[row, peers[p], f]) * (is_time(row) ? -1 : 1)
        if ((against[row] == "best" && (theirs == "" || v > best)) || against[row] == peers[p]) {
            best = v
            theirs = row SUBSEP peers[p] SUBSEP f
        }
    }
    judged(row, ours, theirs)
}

# One thread: shares are of one thread's own arithmetic and bandwidth.
function print_threads(name, bits,   one, row, f, m) {
    f = best_format(name "1t" SUBSEP bits, "muster")
    row = name "1t" SUBSEP bits
    one = row SUBSEP "muster" SUBSEP f
    if (f == "" || threads < 2)
        return
    printf "| %s | %s | %s |%s |%s | %s |", title[name], f, figure(one), share(arithmetic[row]), share(bandwidth[row]),
        figure(name SUBSEP bits SUBSEP "muster" SUBSEP f)
    m = median(ratios(row, name SUBSEP bits SUBSEP "muster" SUBSEP f, one))
    printf " %.2f (%.2f to %.2f) |\n", m, low, high
}

END {
    printf "Rounds: %d, threads: %d. ", rounds, threads
    printf "Measured in the same run: %.1f GB/s read and %.0f GFLOP/s (f32 multiply-add) on %d threads, ",
        median(machine["read_bytes_per_s"]) / 1e9, median(machine["fma_flop_per_s"]) / 1e9, threads
    printf "%.1f GB/s and %.0f GFLOP/s on one.\n\n", median(machine["read_bytes_per_s1t"]) / 1e9,
        median(machine["fma_flop_per_s1t"]) / 1e9
    print "| work | weights | muster | of arithmetic | of bandwidth | llama.cpp | ik_llama.cpp | PyTorch | ratio | goal | met |"
    print "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |"
    for (i = 1; i <= n_rows; i++)
        print_row(rows[i])
    print "\n| work | weights | one thread | of arithmetic | of bandwidth | " threads " threads | ratio |"
    print "| --- | --- | --- | --- | --- | --- | --- |"
    for (i = 1; i <= 6; i++) {
        split(rows[i], part, SUBSEP)
        print_threads(part[1], part[2])
    }
}
