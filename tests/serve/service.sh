#!/bin/sh
# service.sh MUSTER: two evaluations at once through one registered service write the bytes of a local one; the service is
# killed and started again on another port in the middle of them; who has no token is refused; records are listed.
set -eu
muster=$1
model=models/muster-llama-tiny
. "$(dirname "$0")/serve_lib.sh"
command -v curl >/dev/null || { echo "skip: curl is missing"; exit 77; }
unset OPENAI_API_KEY
a= b=
trap 'kill $server $a $b 2>/dev/null || true; rm -rf "$dir"' EXIT
export MUSTER_SERVICES="$dir/services"
record=$dir/services/night.json

run() { # folder, tasks, options...: an evaluation
    out=$1
    tasks=$2
    shift 2
    "$muster" eval --model $model --context 512 --tasks "$tasks" --output "$dir/$out" --log-samples "$@" \
        >"$dir/$out.table" 2>"$dir/$out.said" || { cat "$dir/$out.said" >&2; return 1; }
}

samples() {
    cat "$dir/$1"/*/samples_*.jsonl
}

field() { # of the record
    sed -n "s/^ *\"$1\": \"\{0,1\}\([^\",]*\)\"\{0,1\},\{0,1\}$/\1/p" "$record"
}

answered() { # requests that the service has taken
    curl -s -H "Authorization: Bearer $(field token)" "$url/metrics" |
        sed -n 's/^muster_http_requests_total[^ ]* \([0-9]*\).*/\1/p'
}

start() {
    serve --model $model --context 512 --quiet --service night
}

start
[ "$(stat -c %a "$record" "$dir/services" | tr '\n' ' ')" = "600 700 " ] || fail "others may read: $(ls -la "$dir/services")"
[ "$(curl -s -o "$dir/body" -w '%{http_code}' "$url/v1/models")" = 401 ] || fail "no token, and it answers"
[ "$(curl -s -o "$dir/body" -w '%{http_code}' -H 'Authorization: Bearer wrong' "$url/v1/models")" = 401 ] ||
    fail "a wrong token, and it answers"
grep -q 'a key is needed' "$dir/body" || fail "no sentence: $(cat "$dir/body")"
curl -si "$url/v1/models" | grep -qi '^muster-service' && fail "the id is told without a token"
curl -sf "$url/health" >/dev/null || fail "health needs a token"
"$muster" serve --port 0 --model $model --service night >/dev/null 2>"$dir/twice" && fail "a second one took the name"
grep -q 'the service night is up already' "$dir/twice" || fail "$(cat "$dir/twice")"

"$muster" serve --model a=$model --model b=$model --service x 2>"$dir/why" && fail "several models are a service"
grep -q 'a service is one model' "$dir/why" || fail "$(cat "$dir/why")"

"$muster" services | grep -q '^night  *live .*muster-llama-tiny' || fail "not listed: $("$muster" services)"
"$muster" services --json >"$dir/list"
grep -q '"state": "live"' "$dir/list" || fail "$(cat "$dir/list")"
grep -q "$(field token)" "$dir/list" && fail "the list shows the token"

# Two at once, and in their midst a kill and a new life on another port.
run arithmetic muster_arithmetic --limit 50
run reasoning muster_reasoning --limit 50
run far_arithmetic muster_arithmetic --limit 50 --endpoint service:night --concurrency 1 &
a=$!
run far_reasoning muster_reasoning --limit 50 --endpoint "service:$dir/services/night" --concurrency 2 &
b=$!
for _ in $(seq 200); do
    n=$(answered)
    [ "${n:-0}" -lt 40 ] || break
    sleep 0.02
done
[ "${n:-0}" -ge 40 ] || fail "nothing is asked"
kill -9 "$server"
wait "$server" 2>/dev/null || true
"$muster" services | grep -q '^night  *gone' || fail "not gone: $("$muster" services)"
first=$url
start
[ "$first" != "$url" ] || fail "the same port"
wait $a || fail "the first evaluation failed"
wait $b || fail "the second evaluation failed"
a= b=
for out in arithmetic reasoning; do
    samples $out >"$dir/local"
    samples far_$out >"$dir/far"
    cmp "$dir/local" "$dir/far" || fail "$out: the samples differ"
    diff "$dir/$out.table" "$dir/far_$out.table" || fail "$out: the metrics differ"
done
results=$(ls "$dir"/far_reasoning/*/results_*.json)
grep -A4 '"service": {' $results | grep -q '"name": "night"' || fail "the results do not name the service"
grep -q "\"weights_hash\": \"$(field weights_hash)\"" $results || fail "the results do not tell the weights"
grep -q '"service_lives": 2' $results || fail "it did not go through two lives: $(grep service_lives $results)"

# What is not to be trusted.
chmod 644 "$record"
run open muster_arithmetic --endpoint service:night --limit 1 2>"$dir/why" && fail "a token that others may read was used"
grep -q 'others may read or change (mode 644)' "$dir/why" || fail "$(cat "$dir/why")"
"$muster" services | grep -q '^night  *refused' || fail "it is not refused"
chmod 600 "$record"
run hash muster_arithmetic --endpoint service:night --endpoint-hash 00000000 --limit 1 2>"$dir/why" && fail "another hash"
grep -q 'its weights have the hash' "$dir/why" || fail "$(cat "$dir/why")"

end
[ ! -e "$record" ] || fail "the record is left"
[ -z "$(ls -A "$dir/services")" ] || fail "something is left: $(ls -A "$dir/services")"
echo "ok: two evaluations through two lives of a service, the bytes of local ones"
