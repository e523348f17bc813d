#!/bin/sh
# many.sh MUSTER: `muster serve` with several models as a program: names, who is open, a folder that vanishes, the end.
set -eu
muster=$1
command -v curl >/dev/null || { echo "skip: curl is missing"; exit 77; }
. "$(dirname "$0")/serve_lib.sh"

refused() { # expected part, options...
    part=$1
    shift
    if "$muster" serve --port 0 "$@" >"$dir/out" 2>"$dir/said"; then fail "taken: $*"; fi
    grep -q -- "$part" "$dir/said" || fail "$* says something else than $part"
}

tells() { # what is served
    grep -q "^listening on http:[^ ]* ($1)\$" "$dir/out" || fail "it serves something else: $(cat "$dir/out")"
}

a=models/muster-llama-tiny
b=models/muster-dsv3-tiny
refused "two models are called muster-llama-tiny" --model $a --model $a
refused "leave --layout out" --model $a --model $b --layout tp=2
refused "leave --tokenizer out" --model $a --model $b --tokenizer $a
refused "no --model has that name" --model $a --model $b --keep small
refused "no --model has that name" --model $a --model $b --preload small
refused "nowhere does not exist" --model $a --model nowhere
refused "are allowed for all models" --model $a --model $b --max-memory 9MiB

cp -r $b "$dir/b"
serve --context 128 --threads 1 --model small=$a --model "$dir/b" --max-models 1 --preload small
tells "models small, b"

ask() { # model
    curl -s "$url/v1/completions" -H 'Content-Type: application/json' \
        -d "{\"model\": \"$1\", \"prompt\": \"The\", \"max_tokens\": 4, \"temperature\": 0}"
}

state() { # model, state
    curl -s "$url/v1/models/$1" | grep -q "\"state\": \"$2\"" || fail "$1 is not $2: $(curl -s "$url/v1/models")"
}

state small ready
state b absent
curl -s "$url/v1/models" | grep -q '"max_model_len": 128.*"max_model_len": 128' || fail "lengths are not told"
ask small >"$dir/first"
grep -q '"text"' "$dir/first" || fail "small: $(cat "$dir/first")"
ask b | grep -q '"model": "b"' || fail "b does not answer"
state small absent
state b ready
ask other | grep -q '"code": "model_not_found"' || fail "another model is found"
ask small | sed 's/.*"choices"//' >"$dir/again"
sed 's/.*"choices"//' "$dir/first" | cmp - "$dir/again" || fail "small answers otherwise after it was closed"
rm -r "$dir/b"
ask b | grep -q '"code": "model_not_loaded"' || fail "a folder that is gone is served"
state b failed
ask small | grep -q '"text"' || fail "small no longer answers"
curl -sf "$url/health" | grep -q '"degraded".*"model": "b", "failures_in_row": 1' || fail "health: $(curl -s "$url/health")"
end
grep -q "^model small: open, .* after " "$dir/said" || fail "openings are not told"

# one model by a name of its own; the batch is fitted to what is expected
serve --threads 1 --model "one=$a" --mean-prompt 100 --mean-output 20
tells "model one"
grep -q "for prompts of 100 and outputs of 20 tokens" "$dir/said" || fail "the batch is not fitted"
ask one | grep -q '"model": "one"' || fail "one does not answer"
state one ready
end
echo "ok"
