#!/bin/bash
# instructions.sh COUNT_OPS [--write]: instructions a multiply-add (or element) of the cases of count_ops, counted by
# callgrind, against the bounds in instructions.txt. --write makes these of what is counted now: do so in the commit
# that makes a kernel faster, or slower for a reason, and read the diff. Times are no test: bench/ measures those.
set -eu
prog=$(readlink -f "$1") mode=${2:-}
table=$(dirname "$(readlink -f "$0")")/instructions.txt
slack=1.06 # of a new bound over what is counted
wider=1.40 # for another compiler than the table's
levels="avx512 avx2"

skip() { echo "skipped: $*"; exit 77; }
read -r compiler build < <("$prog" --about)
[ "$build" = plain ] || skip "the build is $build, and its instructions are not those of a release"
command -v valgrind >/dev/null || skip "valgrind is not here; tools/setup.sh installs it"
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT

# LEVEL: lines "LEVEL CASE COUNT", one part of callgrind's output a case, in the program's order. None without the level.
count() {
    local rc=0
    valgrind --tool=callgrind --collect-atstart=no --toggle-collect=count_case --dump-after=count_case \
        --combine-dumps=yes --callgrind-out-file="$dir/$1.parts" "$prog" "$1" >"$dir/$1.cases" 2>"$dir/$1.err" || rc=$?
    if [ $rc -eq 77 ]; then
        sed -n '/# SKIP/{s/.*# SKIP /not counted: /p;q}' "$dir/$1.cases"
        return
    fi
    [ $rc -eq 0 ] || { cat "$dir/$1.cases" "$dir/$1.err"; exit 1; }
    awk -v level="$1" '
        FNR == NR { if ($2 == "case") { name[++n] = $3; work[n] = $4 } next }
        /^desc: Trigger: --dump-after/ { is_case = 1 }
        /^totals:/ { if (is_case) printf "%s %s %.5f\n", level, name[++k], $2 / work[k]; is_case = 0 }
        END { if (k != n || n == 0) { print "instructions: " n + 0 " cases and " k + 0 " counts" >"/dev/stderr"; exit 1 } }
    ' "$dir/$1.cases" "$dir/$1.parts" >>"$dir/counts" || exit 1
}

for level in $levels; do
    count "$level"
done
[ -s "$dir/counts" ] || skip "no level that valgrind can run"

if [ "$mode" = --write ]; then
    {
        sed -n '/^#/p' "$table"
        echo "compiler $compiler"
        awk -v slack=$slack '{ printf "%s %-26s %.4f\n", $1, $2, $3 * slack }' "$dir/counts"
    } >"$dir/table"
    cp "$dir/table" "$table"
    echo "written: $(grep -c '^avx' "$table") bounds for $compiler in $table"
    exit 0
fi

awk -v compiler="$compiler" -v wider=$wider '
    /^#/ || NF == 0 { next }
    FNR == NR && $1 == "compiler" { made = $2; factor = made == compiler ? 1 : wider; next }
    FNR == NR { bound[$1 " " $2] = $3; next }
    {
        key = $1 " " $2
        has[$1] = 1
        seen[key] = 1
        limit = key in bound ? bound[key] * factor : 0
        is_bad = $3 > limit
        bad += is_bad
        printf "%s %d - %s: %.4f, at most %.4f%s\n", is_bad ? "not ok" : "ok", ++n, key, $3, limit,
            limit ? "" : " (not in the table: --write adds it)"
        low += factor == 1 && $3 < 0.85 * limit
    }
    END {
        for (key in bound) {
            split(key, part, " ")
            if (has[part[1]] && !(key in seen)) { printf "not ok %d - %s is counted no more: --write drops it\n", ++n, key; bad++ }
        }
        print "1.." n
        if (factor != 1) print "# the table is of " made ", this is " compiler ": bounds are " wider " times as wide"
        if (low) print "# " low " of these are far below their bounds now: --write tightens them"
        if (bad) print "# " bad " of " n " failed: more instructions than before. A kernel that must be slower: --write, with the reason in the commit"
        exit bad > 0
    }' "$table" "$dir/counts"
