# Presets, a checkpoint folder, and what is neither.
$MUSTER models | wc -l
$MUSTER models Llama-3-8B deepseek-ai/DeepSeek-V3
$MUSTER models "$REPO/tests/golden/mixtral"
$MUSTER models "$REPO/tests/golden/llama_sharded" --json | head -4
$MUSTER models nothing-like-it; echo "exit $?"
$MUSTER generate --model Llama-3-8B --prompt x; echo "exit $?"
mkdir empty; $MUSTER models empty; echo "exit $?"
$MUSTER score --model "$REPO/README.md" --file -; echo "exit $?"
$MUSTER score --model "" --file - </dev/null; echo "exit $?"
