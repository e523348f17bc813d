# Hostile and clumsy use: every mistake in task files, data sets, options, the journal and the output is one sentence with
# the place, and the exit status that belongs to it.
export MUSTER_TASKS=$REPO/tasks
ln -s $REPO/models models
ev="$MUSTER eval --model models/muster-llama-tiny --quiet"
try() { $ev "$@"; echo "exit $?"; }

# task TEXT [SED...]: a good task of two documents, changed, is run
task() {
    [ -n "$1" ] && echo "-- $1"; shift
    printf '%s\n' 'task: t' 'dataset_path: json' 'dataset_kwargs:' '  data_files:' '    test: d.jsonl' \
        'output_type: multiple_choice' 'test_split: test' 'doc_to_text: "Q: {{question}}"' 'doc_to_choice: choices' \
        'doc_to_target: gold' 'metric_list:' '  - metric: acc' >t.yaml
    printf '%s\n' '{"question": "one", "choices": ["a", "b"], "gold": 0}' \
        '{"question": "two", "choices": ["a", "b"], "gold": 1}' >d.jsonl
    for s in "$@"; do sed -i -e "$s" t.yaml; done
    [ -z "$LATER" ] && try --tasks t.yaml
}
# data TEXT DOCUMENTS: a good task of these documents
data() { LATER=1 task "$1"; printf "$2" >d.jsonl; try --tasks t.yaml; }
LATER=

task "fields" 's/doc_to_text/doc_to_txt/'
task "" 's/multiple_choice/multi_choice/'
task "" 's/metric: acc/metric: acc_nrm/'
task "" 's/metric: acc/metric: rouge/'
task "" '$a\    aggregation: meen'
task "" '$afilter_list:\n  - name: x\n    filter:\n      - function: take_frist'
task "" '$afilter_list:\n  - name: x\n    filter:\n      - function: regex\n        regex_pattern: "(["'
task "" '$afilter_list:\n  - name: x\n    filter:\n      - function: regex\n        regex_patern: "x"'
task "" '$aprocess_docs: !function utils.nothing'
task "templates" 's/{{question}}/{{question/'
task "" 's/{{question}}/{{question|upperr}}/'
task "" 's/{{question}}/{{quest}}/'
task "" 's/{{question}}/{{questoin}}/'
LATER=1 task "document 4711" "s/doc_to_text.*/doc_to_text: '{{question + 5 if question == \"4711\" else question}}'/"
seq 0 4999 | sed 's/.*/{"question": "&", "choices": ["a", "b"], "gold": 0}/' >d.jsonl
try --tasks t.yaml
task "data sets" 's/test_split: test/test_split: tst/'
task "" '/test_split/d'
task "" '/dataset_path/d'
task "" 's/data_files/data_file/'
task "" 's/d.jsonl/none.jsonl/'
mkdir folder
task "" 's/d.jsonl/folder/'
data "" ''
data "" '{"question": "a", "choices": ["a", "b"], "gold": 0}\n\n{"question": "a", "choices": ["a" "gold": 0}\n'
data "" '{"question": "a", "choices": ["a", "b"], "gold": 0}\n{"question": "a", "cho'
data "" '5\n'
data "" '{"question": "\xff", "choices": ["a", "b"], "gold": 0}\n'
LATER=1 task "" 's/: json/: csv/' 's/d.jsonl/d.csv/'
printf 'question,choices,gold\n"a,b\n' >d.csv; try --tasks t.yaml
printf 'question,choices,gold\na,b,c,d\n' >d.csv; try --tasks t.yaml
data "choices" '{"question": "a", "choices": [], "gold": 0}\n'
data "" '{"question": "a", "choices": "ab", "gold": 0}\n'
data "" '{"question": "a", "choices": ["a", 5], "gold": 0}\n'
task "" 's/doc_to_choice: choices/doc_to_choice: choses/'
data "" '{"question": "a", "choices": ["a", "b"], "gold": 0}\n{"question": "b", "choices": ["a", "b"], "gold": null}\n'
data "" '{"question": "a", "choices": ["a", "b"], "gold": "c"}\n{"question": "b", "choices": ["a", "b"], "gold": "b"}\n'
LATER=1 task "" '$atarget_delimiter: ""'
echo '{"question": "a", "choices": ["", "b"], "gold": 0}' >d.jsonl; try --tasks t.yaml

echo "-- too long"
long=$(printf 'word %.0s' $(seq 1100))
LATER=1 task ""
echo "{\"question\": \"a\", \"choices\": [\"$long\", \"b\"], \"gold\": 0}" >d.jsonl; try --tasks t.yaml
echo "{\"question\": \"$long\", \"choices\": [\"a\", \"b\"], \"gold\": 0}" >d.jsonl
$MUSTER eval --model models/muster-llama-tiny --tasks t.yaml --max-length 64 2>&1 | grep -E '^note|acc'

echo "-- YAML"
LATER=1
task "" '1iinclude: u.yaml'; echo 'include: t.yaml' >u.yaml; try --tasks t.yaml
task "" '1iinclude: nofile'; try --tasks t.yaml
task ""; (printf 'a: '; printf '[%.0s' $(seq 1000)) >>t.yaml; try --tasks t.yaml
line() { printf "$1: &$1 [$2,$2,$2,$2,$2,$2,$2,$2,$2,$2]\n"; }
(line a x; line b '*a'; line c '*b'; line d '*c'; line e '*d'; line f '*e'; line g '*f') >t.yaml; try --tasks t.yaml
: >t.yaml; try --tasks t.yaml
printf 'group: g\ntask: [muster_arithmetik]\n' >t.yaml; try --tasks t.yaml
printf 'group: g\ntask: []\n' >t.yaml; try --tasks t.yaml

echo "-- options"
A="--tasks muster_arithmetic"
try --tasks ''
try --tasks 'muster_*x'
try --tasks none.yaml
try $A --limit nan
try $A --limit ten
try $A --num-fewshot 10000 --limit 1
try $A --seed x
try $A --seed 99999999999999999999
try $A --seed 1,2,-99999999999999999999,4
try $A --samples '{'
for s in '[0, 5]' '{"muster_arithmetic": 5}' '{"muster_arithmetic": []}' '{"muster_arithmetic": [0, -1]}' \
    '{"muster_arithmetic": ["x"]}'; do
    try $A --samples "$s"
done
for k in x '{"temperature": 1' temperature=hot max_gen_toks=0 until=5 untli=5 max_gen_toks=5000 temperatur=0.3; do
    try --tasks muster_arithmetic_generate --limit 1 --gen-kwargs "$k"
done
task "" '$aunsafe_code: true'; try --tasks t.yaml

echo "-- journal and output"
try $A --limit 2 --output /dev/null/x
$ev $A --limit 2 --output j >/dev/null && cp j/journal.sqlite good
head -c 50 good >j/journal.sqlite; try $A --limit 2 --output j
head -c 5000 good >j/journal.sqlite; try $A --limit 2 --output j
cp good j/journal.sqlite; head -c 4000 /dev/zero | tr '\0' x | dd of=j/journal.sqlite bs=1 seek=4196 conv=notrunc 2>/dev/null
try $A --limit 2 --output j
: >j/journal.sqlite; $ev $A --limit 2 --output j | grep -c arithmetic
cp good j/journal.sqlite; $MUSTER eval --model models/muster-dsv3-tiny --quiet $A --limit 2 --output j | grep -c arithmetic
(ulimit -f 20; try $A --limit 20 --output full)
$ev $A --limit 20 --output full | grep -c arithmetic
LATER=1 task ""
q=$(printf 'no %.0s' $(seq 200))
for i in $(seq 300); do echo "{\"question\": \"$q\", \"choices\": [\"a\", \"b\"], \"gold\": 0}"; done >d.jsonl
(ulimit -f 200; try --tasks t.yaml --output wide --log-samples 2>&1 | sed 's/_[0-9T.-]*\.jsonl/_DATE.jsonl/')
$ev $A --limit 1 >/dev/full; echo "exit $?"
