# A bundle that is whole, cut short anywhere, doubled, of a newer format, or none; options that a bundle has no room
# for. A bundle needs no folder of tasks.
ln -s $REPO/models models
ev="$MUSTER eval --model models/muster-llama-tiny --quiet"
try() { $ev "$@"; echo "exit $?"; }
unset MUSTER_TASKS
whole=$REPO/tests/eval/build/own.bundle
n=$(wc -l <$whole)
$ev --bundle $whole | grep -E 'mc_plain|own_choice'

echo "-- cut"
head -c 4000 $whole >b; try --bundle b
head -n 1 $whole >b; try --bundle b
head -n $((n - 1)) $whole >b; try --bundle b
sed 10d $whole >b; try --bundle b
: >b; try --bundle b

echo "-- others"
cat $whole $whole >b; try --bundle b
sed '1s/"version": 1/"version": 2/' $whole >b; try --bundle b
echo hello >b; try --bundle b
try --bundle models
try --bundle $whole --limit 1
try --tasks muster_code
