#!/usr/bin/env python3
"""Write stats_golden.json: what lm-evaluation-harness 0.4.13 aggregates from own made-up items, for test_stats.c.

Usage: DISABLE_MULTIPROC=1 make_stats.py > tests/eval/stats_golden.json
"""
import contextlib
import json
import math
import random
import sys
import warnings

import lm_eval.api.metrics as m
from lm_eval.api.registry import AGGREGATION_REGISTRY

warnings.simplefilter("ignore")
rnd = random.Random(11)


def reals(n, lo=-5.0, hi=0.0):
    return [round(rnd.uniform(lo, hi), 3) for _ in range(n)]


def pairs(n, labels):
    return [[rnd.choice(labels), rnd.choice(labels)] for _ in range(n)]


def multirc(n):
    return [[rnd.random() < 0.7, {"idx": {"paragraph": rnd.randrange(4), "question": rnd.randrange(6)}, "label": rnd.randrange(2)}] for _ in range(n)]


def probabilities(n, k):
    rows = []
    for i in range(n):
        p = [rnd.random() for _ in range(k)]
        rows.append([-1 if i == 3 else rnd.randrange(k), [x / sum(p) for x in p]])
    return rows


CASES = [  # aggregation, items, replicates
    ("mean", [1, 0, 1, 1, 0], 10), ("mean", [True, False, 0.5], 10), ("mean", reals(50), 10), ("mean", [3], 10), ("mean", [2, 2], 10),
    ("nanmean", reals(40), 1000), ("nanmean", [None, 1.5, 2.5, None, 4.0, -1.0, 2.0, 8.5], 1000), ("nanmean", [1.0], 10),
    ("median", reals(31), 1000), ("median", [4, 1, 3, 2], 2000), ("median", [2, 2, 2, 7], 500), ("median", reals(1300), 50),
    ("perplexity", [-1, -2, -0.5, -3, -1.5, -0.25, -4, -2.5], 1000), ("perplexity", [-1, -2, -0.5, -3, -1.5, -0.25, -4, -2.5], 10000),
    ("perplexity", reals(1500), 150), ("perplexity", reals(100), 7), ("perplexity", reals(20), 3500), ("perplexity", [-1, -1.5], 2),
    ("weighted_perplexity", [[-x, n] for x, n in zip(reals(9, 10, 90), range(3, 12))], 100),
    ("bits_per_byte", [[-x, n] for x, n in zip(reals(9, 10, 90), range(30, 39))], 100),
    ("f1", pairs(60, [0, 1]), 1000), ("f1", pairs(3, [0, 1]), 1000), ("f1", [[0, 0], [0, 0]], 10), ("f1", [[1, 0], [0, 1]], 10), ("f1", [[True, 1], [0, 1], [1, 0]], 100), ("f1", [[2, 1], [1, 1]], 100),
    ("matthews_corrcoef", pairs(60, [0, 1]), 1000), ("matthews_corrcoef", pairs(80, [0, 1, 2, 3]), 1000), ("matthews_corrcoef", [[0, 0], [0, 0]], 10), ("matthews_corrcoef", pairs(20, ["a", "b", "c"]), 300),
    ("brier_score", probabilities(25, 4), 10), ("brier_score", probabilities(8, 12), 10),
    ("acc_all", multirc(40), 10), ("acc_all", multirc(5), 10), ("bypass", [1, 2], 10),
]


def compute(name, items, iters):
    f = m.acc_all if name == "acc_all" else AGGREGATION_REGISTRY.get(name)
    items = [math.nan if x is None else x for x in items]
    stderr = m.stderr_for_metric(f, iters)
    return float(f(items)), float(stderr(items)) if stderr and len(items) > 1 else None


GROUPS = [([0.01, 0.02], [100, 300]), ([0.1], [7]), ([0.03, 0.2, 0.05, 0.0], [10, 2, 55, 1])]


def main():
    out = {"aggregation": [], "group": []}
    with contextlib.redirect_stdout(sys.stderr):
        for name, items, iters in CASES:
            score, error = compute(name, items, iters)
            out["aggregation"].append([name, items, iters, score, error])
        for values, sizes in GROUPS:
            out["group"].append(
                [values, sizes, m.aggregate_subtask_metrics(values, sizes), m.aggregate_subtask_metrics(values, sizes, False),
                 float(m.pooled_sample_stderr(values, sizes))]
            )
    parts = (json.dumps(k) + ": [\n" + ",\n".join(map(json.dumps, v)) + "\n]" for k, v in out.items())
    print("{" + ",\n".join(parts) + "}")


main()
