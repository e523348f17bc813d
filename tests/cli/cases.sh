#!/bin/bash
# cases.sh MUSTER [NAME]: runs tests/cli/cases/*.sh and compares what each prints (both streams, and the exit status)
# with the .out beside it. A case runs in a fresh folder with $MUSTER set, and $REPO for files of the repository.
# SKIP=NAME leaves one out. RECORD=1 writes the .out files anew: read the diff before committing it.
set -u
export MUSTER=$(readlink -f "$1") LC_ALL=C
export REPO=$(cd "$(dirname "$0")/../.." && pwd)
cases=$REPO/tests/cli/cases
n=0 failed=0

for script in "$cases"/*${2:-}*.sh; do
    name=$(basename "$script" .sh)
    n=$((n + 1))
    [ "$name" != "${SKIP:-}" ] || { echo "ok $n - $name # SKIP"; continue; }
    dir=$(mktemp -d)
    (cd "$dir" && timeout 120 bash "$script" >"$dir.out" 2>&1; echo "exit $?" >>"$dir.out")
    sed -i -e "s|$REPO|REPO|g" -e "s|$dir|DIR|g" -e "s|\.[0-9]\+\.tmp|.PID.tmp|g" "$dir.out"
    [ -n "${RECORD:-}" ] && cp "$dir.out" "$cases/$name.out"
    if diff -u "$cases/$name.out" "$dir.out" | sed 's/^/# /'; [ "${PIPESTATUS[0]}" -eq 0 ]; then
        echo "ok $n - $name"
    else
        echo "not ok $n - $name"
        failed=$((failed + 1))
    fi
    rm -rf "$dir" "$dir.out"
done
echo "1..$n"
echo "# $((n - failed)) passed, $failed failed, 0 skipped"
[ $failed -eq 0 ] && [ $n -gt 0 ]
