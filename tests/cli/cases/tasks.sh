# Our own tasks listed, described, shown and checked; names nobody has; files with faults.
cat >faults.yaml <<'END'
task: faulty
dataset_path: json
test_spilt: test
output_type: multiple_choice
doc_to_text: "{{question"
process_docs: !function utils.process_docs
num_fewshot: three
metric_list:
  - metric: acuracy
    aggregation: mean
filter_list:
  - name: none
    filter:
      - function: take_frist
END
dir=$PWD
unset MUSTER_TASKS
$MUSTER tasks --validate faults.yaml | grep -c faults.yaml
$MUSTER tasks muster_code; echo "exit $?"
cd "$REPO"
$MUSTER tasks
$MUSTER tasks muster_reasoning
$MUSTER tasks muster --json | sed -n 1,8p
$MUSTER tasks --show muster_code --doc 3 --num-fewshot 1
$MUSTER tasks --show muster_arithmetic_generate --doc 2
mkdir -p "$dir/sets/own/set"
echo '{"q": "Which?", "a": "this"}' >"$dir/sets/own/set/test.jsonl"
printf '%s\n' 'task: own' 'dataset_path: own/set' 'output_type: generate_until' 'test_split: test' 'doc_to_text: q' \
    'doc_to_target: a' >"$dir/own.yaml"
MUSTER_DATA=/nowhere:$dir/sets $MUSTER tasks --show "$dir/own.yaml"
$MUSTER tasks mustr; echo "exit $?"
$MUSTER tasks coding; echo "exit $?"
$MUSTER tasks --show muster_code --doc 161; echo "exit $?"
$MUSTER tasks --validate tasks/muster.yaml tasks/suites/math.yaml "$dir/faults.yaml"; echo "exit $?"
$MUSTER tasks --validate; echo "exit $?"
$MUSTER tasks --include-path nowhere; echo "exit $?"
