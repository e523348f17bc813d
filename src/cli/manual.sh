#!/bin/sh
# manual.sh MUSTER DIR: writes muster.1, muster-<command>.1 for every command, and muster.bash.
set -eu
muster=$1 dir=$2
for c in $("$muster" --help | sed -n '/^Commands:/,/^$/s/^  \([a-z]*\) .*/\1/p'); do
    "$muster" manual "$c" >"$dir/muster-$c.1"
done
"$muster" completion >"$dir/muster.bash"
"$muster" manual >"$dir/muster.1"
