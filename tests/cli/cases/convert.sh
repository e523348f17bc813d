# Another type and shards hold the same numbers; nothing half-written is left.
g=$REPO/tests/golden/llama_bf16
echo '{"context": [1, 2, 3], "continuation": [4, 5]}' >pair
$MUSTER convert --model $g --output f32 --dtype f32 --max-shard-size 60KB | sed 's/[0-9.]* s$/T s/'
ls f32
$MUSTER score --quiet --weights f32 --model $g --file pair >a
$MUSTER score --quiet --weights f32 --model f32 --file pair | cmp - a && echo "same bits"
$MUSTER convert --model $g --output f32; echo "exit $?"
$MUSTER convert --model $g --output f32 --overwrite >/dev/null; echo "exit $?"
$MUSTER convert --model $g --output no/such/parent; echo "exit $?"
(ulimit -f 40; $MUSTER convert --model $g --output full; echo "exit $?")
ls
