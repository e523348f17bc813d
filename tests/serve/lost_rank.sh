#!/bin/bash
# lost_rank.sh MUSTER: `muster serve` over two tensor ranks, one of which is killed while it computes: every request is answered
# with the sentence, and the program ends with it and its status, as whoever supervises it needs.
set -u
alive() {
    for p in $(pgrep -f -- "$dir"); do
        grep -qE '^State:.[ZX]' "/proc/$p/status" 2>/dev/null || [ ! -d "/proc/$p" ] || echo "$p"
    done
}
. "$(dirname "$0")/../comm/processes_lib.sh" "$1"
command -v curl >/dev/null || { echo "skip: curl is missing"; exit 77; }

ln -s "$PWD/models/muster-llama-tiny" "$dir/model" # so that command lines name the folder
: >"$dir/out"
timeout 120 "$1" serve --port 0 --ranks 2 --layout tp=2 --threads 1 --model "$dir/model" --served-model-name tiny \
    >"$dir/out" 2>"$dir/err" &
server=$!
until grep -q listening "$dir/out"; do
    runs $server || fail "the server does not start"
    sleep 0.1
done
url=$(sed -n 's/^listening on \(http:[^ ]*\) .*/\1/p' "$dir/out")

rank_1() {
    for p in $(pgrep -f -- "$dir/model"); do
        tr '\0' '\n' 2>/dev/null <"/proc/$p/environ" | grep -qx OMPI_COMM_WORLD_RANK=1 && echo "$p" && return
    done
}
victim=$(rank_1)
[ -n "$victim" ] || fail "there is no rank 1"
asks=
for i in 1 2 3; do
    curl -s -m 60 "$url/v1/completions" -H 'Content-Type: application/json' \
        -d '{"prompt": [0, 40], "max_tokens": 900, "n": 16, "ignore_eos": true}' >"$dir/answer$i" &
    asks="$asks $!"
done
until curl -s "$url/metrics" | grep -qE '^muster_http_requests_open\{.*\} 3'; do
    runs $server || fail "the server ended by itself"
done
kill -9 "$victim"
begin=$(now_ms)
wait $server
status=$?
took=$(($(now_ms) - begin))
wait $asks
[ $status = 14 ] || fail "it ends with status $status"
[ $took -lt 10000 ] || fail "it took $took ms to end"
for i in 1 2 3; do
    grep -q '"message": "\(the model tiny broke down: \)\?rank 1 on .* ended' "$dir/answer$i" || fail "answer $i: $(cat "$dir/answer$i")"
done
grep -q '^muster serve: the model tiny broke down: rank 1 on .* ended' "$dir/err" || fail "it does not say why"
await_none 10
echo "ok: $took ms"
