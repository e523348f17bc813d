# What is read and written in unusual ways: pipes as files, CRLF, zero bytes, no newline at the end, full and closed output.
l="--model $REPO/models/muster-llama-tiny --quiet"
pair='{"context": [1], "continuation": [2]}'
$MUSTER generate $l -n 8 --file <(printf 'Question: What is 12 plus 7?\nAnswer:')
printf '%s\r\n%s' "$pair" "$pair" | $MUSTER score $l --file - | wc -l
printf '%s\0\n' "$pair" | $MUSTER score $l --file -; echo "exit $?"
$MUSTER score $l --file /dev/null; echo "exit $?"
$MUSTER score $l --file .; echo "exit $?"
$MUSTER generate $l --prompt x -n 2 >/dev/full; echo "exit $?"
$MUSTER generate $l --prompt x -n 2 >&-; echo "exit $?"
$MUSTER generate $l -n 2 <&-; echo "exit $?"
$MUSTER --version >/dev/full; echo "exit $?"
$MUSTER generate $l --chat --prompt $'\377\376' -n 2; echo "exit $?"
printf '{"messages": [{"role": "user", "content": "What is 1 plus 2?"}]}\n{"prompt": 7}\n' >prompts
$MUSTER generate $l -n 2 --prompts prompts; echo "exit $?"

# Options that would have no effect are refused.
$MUSTER generate $l --prompt x --system hi; echo "exit $?"
$MUSTER generate $l --prompt x --logprobs 2; echo "exit $?"
$MUSTER help nosuch; echo "exit $?"
