# A packed model has the bits of its checkpoint; it appears whole or not at all, and what it cannot do is said.
g=$REPO/tests/golden/llama_bf16
echo '{"context": [1, 2, 3], "continuation": [4, 5]}' >pair
score() { $MUSTER score --quiet --file pair "$@"; }
$MUSTER convert --quiet --model $g --output p --packed | sed 's/[0-9.]* s$/T s/'
ls p
score --model $g >a
score --model p | cmp - a && echo "same bits"
score --model p/model.packed | cmp - a && echo "same bits by the file's name"
score --model p --ranks 1 --level ref --threads 1 | cmp - a && echo "same bits by another level"
$MUSTER convert --quiet --model $g --output p8 --packed --weights int8 --json | sed 's/"seconds.*/.../'
score --model $g --weights int8 >a
score --model p8 | cmp - a && echo "same bits in int8"
score --model p8 2>&1 --weights int8 | cmp - a && echo "same bits in int8 by name"
$MUSTER convert --quiet --model $REPO/tests/model/golden/llama2.gguf --output pg --packed | sed 's/[0-9.]* s$/T s/'
score --model $REPO/tests/model/golden/llama2.gguf >a
score --model pg | cmp - a && echo "same bits from a GGUF"

# What it holds, and whether it is as it was written.
$MUSTER models --verify p8
$MUSTER models --json p8 | grep packed
printf x | dd of=p8/model.packed bs=1 seek=2200000 conv=notrunc 2>/dev/null
$MUSTER models --verify p8; echo "exit $?"
$MUSTER models --verify $g; echo "exit $?"
$MUSTER models --verify; echo "exit $?"

# Refused, with the way out.
score --model p8 --weights bf16; echo "exit $?"
truncate -s -64 p8/model.packed; score --model p8; echo "exit $?"
cp $REPO/tests/golden/llama_linear/config.json pg; score --model pg; echo "exit $?"
$MUSTER convert --model p --output x; echo "exit $?"
$MUSTER convert --model p --output x --packed; echo "exit $?"
$MUSTER convert --model $g --output x --packed --dtype f32; echo "exit $?"
$MUSTER convert --model $g --output x --packed --max-shard-size 1MB; echo "exit $?"
$MUSTER convert --model $g --output x --weights int8; echo "exit $?"
$MUSTER convert --model $g --output p --packed; echo "exit $?"
(ulimit -f 40; $MUSTER convert --quiet --model $g --output full --packed; echo "exit $?")
ls

# Replaced by safetensors, it is gone.
$MUSTER convert --quiet --model $g --output p --overwrite >/dev/null; echo "exit $?"
ls p
