# What is kept and where, that the planner reads it back, and what is refused; the numbers are the machine's own.
# Sums between ranks are measured where there is MPI, whose own leaks are nobody's here.
export XDG_CACHE_HOME=$PWD/cache ASAN_OPTIONS=detect_leaks=0
mkdir cache
$MUSTER calibrate --quick 2>/dev/null | sed 's/^[0-9]* threads.*/N threads/; s/  *[0-9][0-9.]*/ N/g'
ls cache/muster
grep -o '^    "[a-z_0-9]*"' cache/muster/machine.json | grep -v crowded | sort | tr -d '\n'; echo
$MUSTER plan gpt2 --cluster cache/muster/machine.json --layout tp=1 --batch 1 | sed -n '1s/, [0-9.]* GiB.*//p'
ls
# A run predicts by what was kept, says so where nothing was, and takes no numbers of GPUs.
model=$REPO/models/muster-llama-tiny
echo '{"context": [5, 6, 7], "continuation": [8, 9]}' > pairs.jsonl
echo 'gpus: {kind: h100}' > gpus.yaml
time_line() { grep ^time: | sed 's/[0-9][0-9.]*/N/g; s/[+-]N/N/'; }
$MUSTER score --model "$model" --file pairs.jsonl 2>&1 >/dev/null | time_line
XDG_CACHE_HOME=$PWD/none $MUSTER score --model "$model" --file pairs.jsonl 2>&1 >/dev/null | time_line
$MUSTER score --model "$model" --file pairs.jsonl --quiet 2>&1 >/dev/null | wc -l
$MUSTER score --model "$model" --file pairs.jsonl --cluster gpus.yaml --quiet; echo "exit $?"
$MUSTER bench --model "$model" --prefill 16 --decode 8 --batch 2 --tokens 4 --repeat 1 --quiet --csv | sed 's/[0-9][0-9.]*/N/g; s/[+-]N/N/g'
$MUSTER calibrate --output no/such/folder.json; echo "exit $?"
$MUSTER calibrate extra; echo "exit $?"
XDG_CACHE_HOME= HOME= $MUSTER calibrate; echo "exit $?"
