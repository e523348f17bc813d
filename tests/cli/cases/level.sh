# --level forces the CPU code: commands run with it, say so and give the same bytes; a level this CPU lacks is refused.
m="--model $REPO/models/muster-llama-tiny --threads 1"
echo '{"context": [1, 2, 3], "continuation": [4, 5]}' >pairs

says() { grep -q "^cpu     level $1, 1 thread\$" err || { echo "$2 at $1 does not say so:"; cat err; }; }
check() {
    $MUSTER score $m --level $1 --file pairs >score.$1 2>err || { echo "score at $1 fails:"; cat err; }
    says $1 score
    cmp score.$1 score.ref
    $MUSTER generate $m --level $1 --prompt "What is 12 plus 7?" -n 8 >generate.$1 2>err || { echo "generate at $1 fails:"; cat err; }
    says $1 generate
    cmp generate.$1 generate.ref
    $MUSTER bench $m --level $1 --prefill 8 --decode 0 --batch 1 --tokens 4 --repeat 1 --json >bench 2>err || { echo "bench at $1 fails:"; cat err; }
    says $1 bench
    grep -q "\"level\": \"$1\"" bench || { echo "bench's report does not name $1:"; cat bench; }
}

for level in ref avx2 avx512; do
    if $MUSTER score $m --level $level --file pairs >none 2>err; then
        check $level
    elif [ $level = ref ] || ! grep -q "^muster score: CPU level $level: this CPU has no .*; use auto\$" err || [ -s none ]; then
        echo "$level is neither run nor refused:"; cat err
    fi
    echo "$level: done"
done
$MUSTER score $m --level avx --file pairs; echo "exit $?"
