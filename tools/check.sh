#!/bin/sh
# check.sh PRESET [JOBS]: configure, build with that preset and run its tests.
set -eu
preset=$1
jobs=${2:-$(nproc)}
b=build/$preset

cmake --preset "$preset" >/dev/null
cmake --build "$b" -j"$jobs"
ctest --test-dir "$b" -j"$jobs" --output-on-failure --no-tests=error
