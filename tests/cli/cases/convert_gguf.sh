# A GGUF file becomes a folder as its publisher's: the same bits from the published folder, the file and the conversion.
g=$REPO/tests/model/golden
echo '{"context": [1, 2, 3], "continuation": [4, 5]}' >pair
$MUSTER convert --quiet --model $g/llama2.gguf --output out | sed 's/[0-9.]* s$/T s/'
ls out
$MUSTER score --quiet --model $REPO/tests/golden/llama2 --file pair >published
$MUSTER score --quiet --model $g/llama2.gguf --file pair | cmp - published && echo "same bits from the file"
$MUSTER score --quiet --model out --file pair | cmp - published && echo "same bits from the conversion"
text="the sun rose over the river"
$MUSTER tokenize --model $g/llama2.gguf "$text" >ids; cat ids
$MUSTER tokenize --model out "$text" | cmp - ids && echo "same ids"
cat out/config.json

# Blocks must become numbers.
$MUSTER convert --quiet --model $g/llama_q8.gguf --output bf16 | sed 's/[0-9.]* s$/T s/'
ls bf16; grep dtype bf16/config.json
$MUSTER convert --quiet --model $g/llama_q8.gguf --output f32 --dtype f32 | sed 's/[0-9.]* s$/T s/'
$MUSTER score --quiet --weights f32 --model $g/llama_q8.gguf --file pair >blocks
$MUSTER score --quiet --weights f32 --model f32 --file pair | cmp - blocks && echo "same bits"

# What cannot be written is refused before anything is.
printf 'GGUF' >short.gguf; $MUSTER convert --model short.gguf --output x; echo "exit $?"
[ -e x ] || echo "nothing written"
