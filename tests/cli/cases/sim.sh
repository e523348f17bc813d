# The scheduler in simulated time: a trace, one strategy and all, and what is refused.
cat >t.jsonl <<'END'
{"name": "a", "run_s": 100, "actual_s": 110, "model": "m", "weights": 40000000000, "load_s": 20}
{"name": "b", "run_s": 100, "model": "m", "weights": 40000000000, "load_s": 20}
{"name": "c", "arrives_s": 10, "run_s": 30, "priority": "critical", "devices": 2, "deadline_s": 100}
END
$MUSTER sim t.jsonl --nodes 1 --devices 2 --limit 1
$MUSTER sim t.jsonl --nodes 1 --devices 1 --limit 1 --strategy balanced --json | grep -E '"(strategy|done|failed|impossible|loads|reuses|makespan_s)"'
$MUSTER sim --tasks 50 --nodes 4 --write w.jsonl --json >a.json && $MUSTER sim w.jsonl --nodes 4 --json >b.json && cmp a.json b.json && echo same
$MUSTER sim --strategy balance; echo "exit $?"
echo '{"name": "a", "run": 1}' >bad.jsonl; $MUSTER sim bad.jsonl; echo "exit $?"
$MUSTER sim none.jsonl; echo "exit $?"
$MUSTER sim --nodes 4096 --devices 2; echo "exit $?"
