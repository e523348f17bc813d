# Checkpoints that are broken, each in its own way: one sentence, a status, no crash.
g=$REPO/tests/golden/llama2
echo '{"context": [1], "continuation": [2]}' >pair
try() { $MUSTER score --quiet --model m --file pair "$@"; echo "exit $?"; rm -rf m; }
fresh() { rm -rf m; cp -r $g m; chmod -R u+w m; }

fresh; truncate -s -100 m/model.safetensors; try
fresh; truncate -s 4 m/model.safetensors; try
fresh; printf '\377\377\377\377\377\377\377\177' | dd of=m/model.safetensors conv=notrunc status=none; try
fresh; rm m/model.safetensors; try
fresh; rm m/config.json; try
fresh; echo '{' >m/config.json; try
fresh; sed -i 's/"num_attention_heads": [0-9]*/"num_attention_heads": 7/' m/config.json; try
fresh; sed -i 's/"hidden_act": "silu"/"hidden_act": "mystery"/' m/config.json; try
fresh; sed -i 's/LlamaForCausalLM/NobodyForCausalLM/; s/"model_type": "llama"/"model_type": "nobody"/' m/config.json; try
fresh; sed -i 's/"intermediate_size": [0-9]*/"intermediate_size": 4096/' m/config.json; try
fresh; sed -i 's/layers.0.self_attn.q_proj/layers.0.self_attn.x_proj/' m/model.safetensors; try
fresh; printf '\377\377\377\177' | dd of=m/model.safetensors conv=notrunc status=none bs=1 seek=$(($(stat -c %s m/model.safetensors) - 4)); try
fresh; try --max-memory 1MB 2>&1 | sed "s,[0-9.]* MiB,N MiB,g"
cp -r $REPO/tests/golden/llama_sharded m; chmod -R u+w m; rm m/model-00002*; try
