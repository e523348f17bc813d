#!/bin/sh
# fuzz.sh SECONDS [JOBS]: run every fuzz target that long, JOBS at a time, over its kept corpus.
# New inputs stay in build/fuzz/found; a finding is written there too and fails the run.
set -eu
seconds=$1
jobs=${2:-$(nproc)}

cmake --preset fuzz >/dev/null
cmake --build build/fuzz -j"$jobs"
mkdir -p build/fuzz/found
export ASAN_OPTIONS=allocator_may_return_null=1
find build/fuzz/bin -name 'fuzz_*' -type f -perm -u+x | sort | xargs -P "$jobs" -I{} sh -c '
    name=$(basename {}); name=${name#fuzz_}
    mkdir -p build/fuzz/found/$name
    if {} -max_total_time='"$seconds"' -timeout=10 -rss_limit_mb=4096 -artifact_prefix=build/fuzz/found/$name- \
        build/fuzz/found/$name tests/fuzz/corpus/$name >build/fuzz/found/$name.log 2>&1; then
        echo "fuzz $name: $(grep -o "Done [0-9]* runs in [0-9]* second" build/fuzz/found/$name.log)s, no finding"
    else
        tail -20 build/fuzz/found/$name.log; echo "fuzz $name: FOUND, see build/fuzz/found/$name-*"; exit 255
    fi'
