# A campaign's plan on a machine of known numbers: what is counted, predicted and placed, what is unknown, what is refused.
export XDG_CACHE_HOME=$PWD/cache
mkdir -p cache/muster
cat >cache/muster/machine.json <<'END'
{"name": "host", "nodes": 1,
 "gpus": {"name": "CPU", "count": 1, "memory": 8e9, "memory_rate": 1e10, "f32": 5e10},
 "links": {"kind": "memory", "rate": 5e9, "latency": 3e-6},
 "network": {"kind": "ethernet", "cards": 1, "card_rate": 1e9, "latency": 3e-5},
 "host": {"memory": 16e9, "is_device": true, "cores": 2}}
END
cd "$REPO"
plan() { $MUSTER run --plan --output "$XDG_CACHE_HOME/out" "$@" | grep -v '^machine: '; }
plan --devices 2 examples/campaign.yaml
plan examples/campaign.yaml --json | grep -E '"(makespan_s|tasks|without_prediction|devices|starts_s)"' | head -8 | sed 's,\(\.[0-9][0-9]\)[0-9]*,\1,'
cat >"$XDG_CACHE_HOME/two.yaml" <<'END'
output: out
models: [models/muster-llama-tiny, {name: far, endpoint: "http://127.0.0.1:9", model: models/muster-llama-tiny}]
suites: [{name: sums, tasks: sums, include_path: examples, limit: 4}]
END
plan "$XDG_CACHE_HOME/two.yaml"

# On one that is a thousand times slower its deadline cannot be: nothing is begun.
sed -i 's/5e10/5e7/; s/1e10/1e7/' "$XDG_CACHE_HOME/muster/machine.json"
cat >"$XDG_CACHE_HOME/late.yaml" <<'END'
output: out
models: [models/muster-llama-tiny]
suites: [{name: sums, tasks: sums, include_path: examples}]
settings:
  - {for: "*", deadline: 10s, timeout: 1d}
END
$MUSTER run --output "$XDG_CACHE_HOME/late" "$XDG_CACHE_HOME/late.yaml"; echo "exit $?"
ls "$XDG_CACHE_HOME/late" 2>&1 | sed 's/.*: //'
