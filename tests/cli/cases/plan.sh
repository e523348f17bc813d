# Plans of fixed layouts (predicted times and what is fastest are the unit tests' matter), refusals, and bad input.
$MUSTER plan Llama-2-70b --machine a100 --layout tp=3,pp=2 --devices 6 --batch 64 | sed -n '1,/in all/p'
$MUSTER plan falcon-180B --machine a100 --devices 16 --layout tp=16 --batch 8 --all | sed -n '/^ranks/,/^$/p' | head -4
$MUSTER plan DeepSeek-V3 --machine h200 --devices 16 --layout ep=16 --batch 32 --json | grep -c '"stage"'
$MUSTER plan DeepSeek-V3 --machine h200 --devices 16 --layout ep=16 --batch 32 --json --all | grep -c '"stage"'
$MUSTER plan "$REPO/tests/golden/llama2" --machine t4 --devices 1 --batch 4 --layout tp=1 | head -4
$MUSTER plan Llama-3.1-405B --machine a100-40 --devices 2 --strategy tensor; echo "exit $?"
$MUSTER plan Llama-2-70b --machine a100 --devices 6 --layout tp=65; echo "exit $?"
$MUSTER plan Llama-2-70b --machine a100 --devices 6 --layout tp=4,dp=2; echo "exit $?"
$MUSTER plan gpt2 --machine a100 --devices 32 --layout tp=16; echo "exit $?"
$MUSTER plan gpt2 --machine a1000; echo "exit $?"
$MUSTER plan evo2-7b --machine a100; echo "exit $?"
$MUSTER plan nothing-like-it --machine a100; echo "exit $?"
$MUSTER plan; echo "exit $?"
$MUSTER plan gpt2 --machine a100 --cluster x.yaml; echo "exit $?"
printf 'nodes: 4\ndevices: 30\ngpus:\n  kind: h100\n  count: 8\n' >site.yaml
$MUSTER plan gpt2 --cluster site.yaml; echo "exit $?"
printf 'gpus: {kind: h100, count: 4, memroy: 80GB}\n' >site.yaml
$MUSTER plan gpt2 --cluster site.yaml; echo "exit $?"
printf 'nodes: 2\ngpus: {kind: h100, count: 4}\nnetwork: {cards: 4, card_rate: 200Gb/s}\n' >site.yaml
$MUSTER plan Llama-2-13b --cluster site.yaml --layout tp=2 --batch 16 | head -4
$MUSTER plan gpt2 --cluster site.yaml --devices 9; echo "exit $?"
$MUSTER plan gpt2 --devices 2 --layout dp=2 --batch 1 2>/dev/null | grep -c "of 1 node x 2 CPU"
$MUSTER plan Mixtral-8x7B --machine h100 --layout tp=4,ep=4 --devices 4 --batch 8 --redundant-experts 4 | grep "experts a layer\|  weights"
$MUSTER plan Mixtral-8x7B --machine h100 --layout tp=4,ep=4 --devices 4 --redundant-experts 3; echo "exit $?"
$MUSTER plan gpt2 --machine h100 --redundant-experts 3 --devices 2 --layout tp=2; echo "exit $?"
