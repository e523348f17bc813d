#!/bin/sh
# check.sh PRESET [JOBS]: configure, build with that preset and run its tests.
set -eu
preset=$1
jobs=${2:-$(nproc)}
b=build/$preset

cmake --preset "$preset" >/dev/null
cmake --build "$b" -j"$jobs"
# One more at a time than there are cores: some tests wait.
ctest --test-dir "$b" -j$((jobs + 1)) --output-on-failure --no-tests=error
