# The page of two runs of the shipped models, and what is said of runs that are missing, broken or none.
export MUSTER_TASKS=$REPO/tasks
ln -s $REPO/models models
for m in llama dsv3; do
    $MUSTER eval --model models/muster-$m-tiny --quiet --tasks muster_arithmetic,muster_code --limit 8 --output $m --log-samples >/dev/null
done
try() { $MUSTER report "$@"; echo "exit $?"; }
try llama dsv3 --title 'Llama & DeepSeek'
grep -o '<title>[^<]*</title><style>' report.html
grep -o '<section id=[a-z]*' report.html
grep -o '<section id=compare.*' report.html | sed 's/<t[rdh][^>]*>/ /g; s/ muster_/\n&/g' | grep '^ muster'
try llama --output one.html
grep -o '<section id=[a-z]*' one.html

echo "-- mistakes"
try
try ''
try nothing
mkdir r
try r
try llama/*/samples_muster_code*.jsonl 2>&1 | sed 's/_2[^ ]*\.jsonl/_DATE.jsonl/'
try llama --output r
try llama --output /dev/full
try llama --output none/x.html
try --output x.html
for text in '' '{"results": ' '[]' '{"results": {}}' 'null' '{"results": {"t": NaN, "u": {"acc,none": NaN}}}'; do
    echo "$text" >r/results_2020.json
    try r
done
grep -o 'acc,none.*not a number' report.html
printf '{"acc": 1}\n{"acc": \n' >r/samples_u_2020.jsonl; try r
printf '5\n' >r/samples_u_2020.jsonl; try r
