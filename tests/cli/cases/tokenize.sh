# Text to ids and back, whole or by lines, for people and as JSON.
t="--tokenizer $REPO/tests/golden/tokenizers/llama3"
$MUSTER tokenize $t "Hello  world" "" --ids
$MUSTER tokenize $t --json "a é"
printf 'one\ntwo\n' >text
$MUSTER tokenize $t --file text --ids
$MUSTER tokenize $t --file text --ids --lines
$MUSTER tokenize $t --ids "any text: déjà vu 漢字" | $MUSTER detokenize $t --file -
$MUSTER tokenize $t --info
$MUSTER detokenize $t "1 x"; echo "exit $?"
$MUSTER detokenize $t 99999999; echo "exit $?"
$MUSTER tokenize "text"; echo "exit $?"
$MUSTER tokenize $t; echo "exit $?"
$MUSTER tokenize --tokenizer nowhere "text"; echo "exit $?"
