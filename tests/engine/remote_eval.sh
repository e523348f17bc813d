#!/bin/sh
# remote_eval.sh MUSTER: an evaluation through `muster serve` writes the samples and metrics of a local one, keeps its
# answers apart from local ones in one journal, and goes on from there without asking again.
set -eu
muster=$1
model=models/muster-llama-tiny
. "$(dirname "$0")/../serve/serve_lib.sh"
unset OPENAI_API_KEY

serve --model $model --context 512 --quiet

run() { # folder, options...: an evaluation
    out=$1
    shift
    "$muster" eval --model $model --context 512 --tasks muster --limit 6 --output "$dir/$out" --log-samples "$@" \
        >"$dir/$out.table" 2>"$dir/$out.said" || fail "$out: $(tail -3 "$dir/$out.said")"
}

samples() {
    cat "$dir/$1"/*/samples_*.jsonl
}

run local
run remote --endpoint "$url" --concurrency 4
[ "$(samples local | wc -l)" -gt 10 ] || fail "there are too few samples to tell"
samples local >"$dir/a"
samples remote >"$dir/b"
cmp "$dir/a" "$dir/b" || fail "the samples differ"
diff "$dir/local.table" "$dir/remote.table" || fail "the metrics differ"
grep -q '"numerics": "remote v1"' "$dir"/remote/*/results_*.json || fail "the results do not say that they are a server's"

grep -q "\"base_url\": \"$url\"" "$dir"/remote/*/results_*.json || fail "the results do not name the server"

run remote --endpoint "$url"
grep -q 'all [0-9]* answers were in the journal' "$dir/remote.said" || fail "finished answers were asked for again"
run remote
grep -q 'in the journal' "$dir/remote.said" && fail "a server's answers were taken for local ones"

run local --endpoint "$url"
grep -q 'in the journal' "$dir/local.said" && fail "local answers were taken for a server's"

ask="--prompt Once --max-tokens 20 --quiet"
"$muster" generate --model $model $ask >"$dir/a"
"$muster" generate --model $model --endpoint "$url" $ask >"$dir/b"
cmp "$dir/a" "$dir/b" || fail "the texts differ"
"$muster" generate --model $model --engine auto --endpoint "$url" --prompt Once --max-tokens 1 2>&1 >/dev/null |
    grep -q '^> remote .* an endpoint was given$' || fail "the table of engines does not say why"
echo "ok: samples, metrics and texts are the local ones"
