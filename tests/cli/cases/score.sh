# Scoring by token ids on a random checkpoint; text needs a tokenizer; every bad line is named.
m="--model $REPO/tests/golden/llama2 --quiet"
printf '%s\n' '{"context": [1, 2, 3], "continuation": [4, 5]}' '' '{"context": [9], "continuation": [7, 7, 7, 7]}' >pairs
$MUSTER score $m --file pairs --threads 1 >one; cut -c1-40 one
$MUSTER score $m --file - --threads 2 --batch-size 1 <pairs | cmp - one && echo "same bits"
$MUSTER score $m --file pairs --level ref --no-prefix-sharing | cmp - one && echo "same bits at level ref"
$MUSTER score $m --file pairs --top 2 --token-logprobs | tail -1 | tr -dc '[],' ; echo

try() { printf '%s\n' "$1" | $MUSTER score $m --file -; echo "exit $?"; }
try '{"context": "text", "continuation": "text"}'
try '{"context": [1], "continuation": [100000]}'
try '{"context": [1], "continuation": []}'
try '{"context": [1]}'
try '{"context": [1], '
printf '{"context": [1], "continuation": [2]}\n[]\n' | $MUSTER score $m --file -; echo "exit $?"
echo "{\"context\": [1$(printf ',1%.0s' $(seq 5000))], \"continuation\": [2]}" >long
$MUSTER score $m --file long; echo "exit $?"
$MUSTER score $m --file long --truncate left | cut -c1-20; echo "exit $?"
$MUSTER score $m --file nothing; echo "exit $?"
$MUSTER score $m; echo "exit $?"
