# The shipped tasks on a shipped model: table, JSON, files, documents by choice; every mistake is one sentence.
export MUSTER_TASKS=$REPO/tasks
ln -s $REPO/models models
ev="$MUSTER eval --model models/muster-llama-tiny --quiet"
$ev --tasks muster --limit 5
$ev --tasks muster_arithmetic --samples '{"muster_arithmetic": [7, 2, 7]}' --json | grep -E '"(acc,none|effective|original)"'
$ev --tasks muster_code_generate --limit 0.01 --gen_kwargs 'until=["\n"],max_gen_toks=12' --output out --log_samples
ls out | grep -v lock; ls out/* | grep -o 'results_\|samples_muster_code_generate_'
cut -d, -f1 out/*/samples*.jsonl
grep -A3 '"generation_kwargs"' out/*/results*.json
$ev --tasks muster_arithmetic --limit 2 --num_fewshot 2 --predict_only --output out
$ev --tasks muster_arithmetic_generate --limit 2 --apply_chat_template --system_instruction 'Be brief.' --json |
    grep -E '"(system_instruction|fewshot_as_multiturn|exact_match,first-line)"'
$MUSTER eval --model models/muster-llama-tiny --tasks ' muster_code , muster_arithmetic_generate' --limit 2.5 \
    --gen-kwargs max_gen_toks=3 --output long --json 2>&1 | grep -E '^note|ended_by|"documents"'
$MUSTER eval --model models/muster-llama-tiny --tasks muster_code,muster_arithmetic_generate --limit 2 \
    --gen-kwargs max_gen_toks=3 --output long --apply-chat-template=false --json 2>&1 | grep -E '^note|ended_by|^all'
$MUSTER eval --model models/muster-llama-tiny --tasks muster_code --limit 1 --apply-chat-template=nope 2>&1 | grep ^note

echo "-- what the user chose, from a file"
printf 'tasks: [muster_arithmetic, muster_code]\nlimit: 2\nbootstrap_iters: 0\nseed: [1, 2, 3, 4]\n' >run.yaml
$ev --config run.yaml --limit 3
$ev --config run.yaml --json | grep _seed
printf 'tasks: x\nlimits: 2\n' >run.yaml; $ev --config run.yaml; echo "exit $?"
printf -- '- x\n' >run.yaml; $ev --config run.yaml; echo "exit $?"
$ev --config nothing.yaml; echo "exit $?"

echo "-- mistakes"
try() { $ev "$@"; echo "exit $?"; }
try
try --tasks muster_arithmetik
try --tasks muster_arithmetic,muster_cod
try --tasks muster_arithmetic --limit -1
try --tasks muster_arithmetic --seed 1,2
try --tasks muster_arithmetic --gen-kwargs temperature
try --tasks muster_arithmetic --batch-size many
try --tasks muster_arithmetic --log-samples
try --tasks muster_arithmetic --limit 1 --samples '{}'
try --tasks muster_arithmetic --samples '{"muster_arithmetic": [200]}'
try --tasks muster_arithmetic --samples '{"muster_code": [1]}'
try --tasks muster_arithmetic --samples nothing.json
try --tasks muster_arithmetic --fewshot-as-multiturn
try --tasks muster_arithmetic --resume --fresh
try --tasks muster_arithmetic --include-path nothing
try --tasks muster_arithmetic --limit 1 --max-length 100000
try --tasks muster_arithmetic --bundle nothing
try --bundle nothing
try --tasks muster_arithmetic --limit 1 --output run.yaml
try muster_arithmetic
printf 'task: lost\ndataset_path: nobody/nothing\noutput_type: multiple_choice\ntest_split: test\ndoc_to_text: q\ndoc_to_choice: c\ndoc_to_target: a\n' >lost.yaml
try --tasks lost.yaml
printf 'task: lost\ndataset_path: json\ndataset_kwargs: {data_files: {train: d.jsonl}}\noutput_type: multiple_choice\ntest_split: test\ndoc_to_text: q\ndoc_to_choice: c\ndoc_to_target: a\n' >lost.yaml
printf '{"q": "a", "c": ["b", "c"], "a": 0}\n{"q": "a", "c": ["b", "c"], "a": 5}\n' >d.jsonl
try --tasks lost.yaml
sed -i 's/{train: d.jsonl}/{test: d.jsonl}/' lost.yaml
$ev --tasks lost.yaml --json 2>&1 | grep -E '^warning|labels_out'
printf '{"q": "a", "c": ["b", "c"], "a": "b"}\n{"q": "a", "c": ["b", "c"], "a": "nothing"}\n' >d.jsonl
$ev --tasks lost.yaml 2>&1 | grep ^warning
