# The program without a command, with an unknown one, and its version.
$MUSTER --version | sed 's/[0-9.]\+/N/'
$MUSTER evla; echo $?
$MUSTER doctor --jsno; echo $?
$MUSTER doctor extra; echo $?
$MUSTER completion | bash -n && echo "the completion script parses"
$MUSTER manual doctor | head -3
for c in doctor manual completion; do $MUSTER manual $c | LC_ALL=C man -l --warnings - 2>&1 >/dev/null; done
