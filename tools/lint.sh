#!/bin/sh
# lint.sh: the rules a compiler does not check. Formatting, and includes that point only down the map.
set -eu
bad=0

git ls-files '*.c' '*.h' | xargs clang-format --dry-run -Werror || bad=1

# Folders of src/ from the ground up; a folder includes itself and what stands before it.
order="base fmt tok tensor comm model plan engine monitor train eval sched http dash cli"
below=
for part in $order; do
    below="$below $part"
    [ -d "src/$part" ] || continue
    allowed=$(echo $below | tr ' ' '|')
    found=$(grep -rnE '^#include "' "src/$part" --include='*.[ch]' | grep -vE "#include \"($allowed)/" || true)
    if [ -n "$found" ]; then
        echo "lint: src/$part may include only $allowed:" >&2
        echo "$found" >&2
        bad=1
    fi
done

# Only cli and tests name a backend; who has no choice to make opens the default one.
found=$(grep -rnE 'mu_device_open_[a-z]+\(' src --include='*.c' | grep -vE '^src/(cli|tensor)/|mu_device_open_default\(' || true)
if [ -n "$found" ]; then
    echo "lint: only cli and tests name a backend:" >&2
    echo "$found" >&2
    bad=1
fi
exit $bad
