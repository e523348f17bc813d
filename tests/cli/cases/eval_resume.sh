# Stopped, the same command goes on; finished, it takes nothing from the engine; however it ran, the results are the same.
export MUSTER_TASKS=$REPO/tasks
ln -s $REPO/models models
ev="$MUSTER eval --model models/muster-llama-tiny --tasks muster_generate --log-samples"
few="--limit 4"
same() { grep -vE '"(date|total_evaluation_time_seconds)"' "$1"/*/results_*.json | sed '/^  "run": {/,$d'; }
$ev $few --output whole --quiet >table
cat table

$ev --output parts --level ref --work naive --threads 1 >/dev/null 2>log &
for i in $(seq 400); do grep -q '^plan' log && break; sleep 0.1; done
$ev $few --output parts --quiet 2>&1 | sed -E 's/process [0-9]+ on .*:/process N:/'
sleep 0.2; kill -TERM $!; wait $!; echo "exit $?"
tail -1 log | sed -E 's/with [0-9]+ of/with N of/'
ls parts | grep -v journal
$ev $few --output parts --quiet | cmp - table && echo "same table"
same whole >a; same parts >b; cmp a b && echo "same results"
cat whole/*/samples* | cmp - <(cat parts/*/samples*) && echo "same samples"
rm -r parts/*/
$ev $few --output parts --threads 1 2>&1 >/dev/null | grep journal
rm -r parts/*/
$ev $few --output parts --batch-size 1 2>&1 >/dev/null | grep journal
same parts >b; cmp a b && echo "same results"
$ev --output parts --limit 1 --fresh 2>&1 >/dev/null | grep -c "in the journal"

echo "-- a journal that is none"
mkdir bad && echo "no journal" >bad/journal.sqlite
$ev --output bad --quiet; echo "exit $?"
cat bad/journal.sqlite
