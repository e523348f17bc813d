# What is kept and where, that the planner reads it back, and what is refused; the numbers are the machine's own.
export XDG_CACHE_HOME=$PWD/cache
mkdir cache
$MUSTER calibrate --quick 2>/dev/null | sed 's/^[0-9]* threads.*/N threads/; s/  *[0-9][0-9.]*/ N/g'
ls cache/muster
$MUSTER calibrate --quick --output here.json --json 2>/dev/null | grep -o '^    "[a-z_0-9]*"' | sort | tr -d '\n'; echo
cmp -s <(grep -o '"[a-z_0-9]*":' here.json) <(grep -o '"[a-z_0-9]*":' cache/muster/machine.json) && echo "the same form"
$MUSTER plan gpt2 --cluster here.json --layout tp=1 --batch 1 | sed -n '1s/, [0-9.]* GiB.*//p'
ls
$MUSTER calibrate --output no/such/folder.json; echo "exit $?"
$MUSTER calibrate extra; echo "exit $?"
XDG_CACHE_HOME= HOME= $MUSTER calibrate; echo "exit $?"
