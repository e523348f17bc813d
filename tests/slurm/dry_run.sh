#!/bin/bash
# dry_run.sh MUSTER: `muster submit --dry-run` of five models on the three example sites, and of the example campaign on two,
# against the scripts kept in golden/.
# RECORD=1 writes these anew: read the difference before committing it. Each is also a script that bash reads, asks for what its
# layout needs, and is what JSON says.
set -u
muster=$(realpath "$1")
here=$(cd "$(dirname "$0")" && pwd)
cd "$here/../.." || exit 1
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
failed=0 n=0
fail() {
    echo "not ok: $*" >&2
    failed=1
}
asked() { sed -n "s/^#SBATCH --$1=//p" "$dir/job.sh"; }

check() { # SITE MODEL
    kept=$here/golden/$1/$2.sh
    n=$((n + 1))
    "$muster" submit --model "$2" --tasks reasoning --site "examples/sites/$1.yaml" --dry-run >"$dir/job.sh" 2>"$dir/report" ||
        { fail "$1 $2: status $?: $(tail -n 1 "$dir/report")"; return; }
    if [ -n "${RECORD:-}" ]; then mkdir -p "$here/golden/$1" && cp "$dir/job.sh" "$kept"; fi
    diff -u "$kept" "$dir/job.sh" || fail "$1 $2: another script"
    bash -n "$dir/job.sh" || fail "$1 $2: bash cannot read it"
    layout=$(sed -n 's/.* --layout \([^ ]*\).*/\1/p' "$dir/job.sh")
    ranks=$(($(sed 's/\(^\|,\)\(ep\|cp\)=[0-9]*//g; s/[a-z]*=//g; s/,/*/g' <<<"$layout")))
    [ "$(asked ntasks)" = "$ranks" ] || fail "$1 $2: $(asked ntasks) tasks for $layout"
    [ $(($(asked nodes) * $(asked ntasks-per-node))) -ge "$ranks" ] || fail "$1 $2: too few nodes"
    [ "$(asked gres)" = "${gres:-}:$(asked ntasks-per-node)" ] || fail "$1 $2: gres $(asked gres)"
    for line in 'no-kill$' 'requeue$' 'open-mode=append$' 'signal=B:USR1@' 'time=[0-9]*-[0-9:]*$'; do
        grep -q "^#SBATCH --$line" "$dir/job.sh" || fail "$1 $2: lacks $line"
    done
    grep -q '^GPU hours\|^rank hours' "$dir/report" && grep -q '^memory of the fullest rank' "$dir/report" ||
        fail "$1 $2: the report lacks memory or hours"
    "$muster" submit --model "$2" --tasks reasoning --site "examples/sites/$1.yaml" --dry-run --json >"$dir/json" &&
        python3 -c 'import json, sys; print(json.load(open(sys.argv[1]))["script"], end="")' "$dir/json" |
        cmp -s - "$dir/job.sh" || fail "$1 $2: JSON has another script"
}
for model in Llama-2-7b ALIA-40b Llama-2-70b falcon-180B DeepSeek-V3; do
    gres=gpu:a100 check a100 $model
    gres=gpu:h100 check h100 $model
    gres=gpu:fake check cpu $model
done
campaign() { # SITE options...: of two nodes
    kept=$here/golden/$1/campaign.sh
    n=$((n + 1))
    "$muster" submit examples/campaign.yaml --site "examples/sites/$1.yaml" --nodes 2 --dry-run >"$dir/job.sh" 2>"$dir/report" ||
        { fail "$1 campaign: status $?: $(tail -n 1 "$dir/report")"; return; }
    if [ -n "${RECORD:-}" ]; then cp "$dir/job.sh" "$kept"; fi
    diff -u "$kept" "$dir/job.sh" || fail "$1 campaign: another script"
    bash -n "$dir/job.sh" || fail "$1 campaign: bash cannot read it"
    [ "$(asked nodes)" = 2 ] && [ "$(asked ntasks-per-node)" = 1 ] && grep -q '^#SBATCH --exclusive$' "$dir/job.sh" ||
        fail "$1 campaign: not two whole nodes"
    [ "$(asked gres)" = "$gres:$(sed -n 's/.* --devices \([0-9]*\).*/\1/p' "$dir/job.sh")" ] || fail "$1 campaign: gres $(asked gres)"
    grep -q '^GPU hours\|^rank hours' "$dir/report" && grep -q '^walltime' "$dir/report" || fail "$1 campaign: no hours"
    "$muster" submit examples/campaign.yaml --site "examples/sites/$1.yaml" --nodes 2 --dry-run --json >"$dir/json" &&
        python3 -c 'import json, sys; print(json.load(open(sys.argv[1]))["script"], end="")' "$dir/json" |
        cmp -s - "$dir/job.sh" || fail "$1 campaign: JSON has another script"
}
gres=gpu:a100 campaign a100
gres=gpu:fake campaign cpu
refused() { # STATUS SENTENCE options...
    status=$1 sentence=$2
    shift 2
    "$muster" submit --dry-run "$@" >"$dir/out" 2>"$dir/err"
    got=$?
    [ $got = "$status" ] && grep -q "^muster submit: $sentence" "$dir/err" && [ ! -s "$dir/out" ] ||
        fail "submit $*: status $got: $(tail -n 1 "$dir/err")"
}
site=examples/sites/a100.yaml
refused 2 '--model PATH is needed' --tasks x --site $site
refused 2 '--tasks NAME,NAME is needed' --model Llama-2-7b --site $site
MUSTER_SITE='' refused 3 'cannot open' --model Llama-2-7b --tasks x
refused 3 'cannot open none.yaml' --model Llama-2-7b --tasks x --site none.yaml
refused 3 'Llama-2-7 is neither a path nor a model' --model Llama-2-7 --tasks x --site $site
refused 2 '--model is an option of single evaluations' --model Llama-2-7b --site $site examples/campaign.yaml
refused 2 'submit takes one campaign file, 2 were given' --site $site examples/campaign.yaml examples/campaign.yaml
refused 2 '100 devices: a job of partition short may have\|100 nodes and' --site $site examples/campaign.yaml -p short --nodes 100
refused 2 'a time of 120 s: a run needs' --site $site examples/campaign.yaml --time 120s
refused 2 '--dry-run submits nothing' --model Llama-2-7b --tasks x --site $site --wait
refused 2 '--eval limt=5: muster eval has no such option; did you mean limit' --model Llama-2-7b --tasks x --site $site --eval limt=5
refused 2 "--eval layout=tp=2: this option is submit's own" --model Llama-2-7b --tasks x --site $site --eval layout=tp=2
refused 5 '"5" is no length of time' --model Llama-2-7b --tasks x --site $site --time 5
refused 2 '--time 0s: a length above 0' --model Llama-2-7b --tasks x --site $site --time 0s
refused 2 '--time UNLIMITED: a length above 0' --site $site examples/campaign.yaml --time UNLIMITED
refused 3 'the profile of a100-site has no partition "shrot"; did you mean short' --model Llama-2-7b --tasks x --site $site -p shrot
refused 7 'it fits no partition of a100-site; nearest comes short with 4 devices' --model DeepSeek-V3 --tasks x --site $site -p short
refused 15 '"afterok:1 x" is no dependency' --model Llama-2-7b --tasks x --site $site --dependency 'afterok:1 x'
late() { # SETTING: a campaign of one task
    printf '%s\n' "output: $dir/late" 'models: [models/muster-llama-tiny]' \
        'suites: [{name: sums, tasks: sums, include_path: examples}]' "settings: [$1]" >"$dir/late.yaml"
}
late '{deadline: 30m, resources: {time: 1h}}'
refused 15 '.*late.yaml, line 4: the deadline of muster-llama-tiny/sums is 30 min after the start, but it cannot end before 1 h.*partition short' \
    --site $site "$dir/late.yaml"
late '{deadline: 30m}' # what is asked is counted: some seconds
"$muster" submit --dry-run --site $site "$dir/late.yaml" >"$dir/out" 2>"$dir/err" ||
    fail "a deadline that is met: status $?: $(tail -n 1 "$dir/err")"
late '{deadline: 2020-01-01T00:00:00Z}'
refused 15 '.*the deadline of muster-llama-tiny/sums, .* is past' --site $site "$dir/late.yaml"
[ $failed = 0 ] && echo "ok: $n scripts"
exit $failed
