"""Writes run.json: what lm-evaluation-harness computes with models/muster-llama-tiny on a CPU in float32.

    python tests/eval/make_run.py models/muster-llama-tiny tests/eval/run.json

Needs lm-eval 0.4.13 with transformers. All sentences are our own.
"""

import json
import sys

from lm_eval.api.instance import Instance
from lm_eval.models.huggingface import HFLM

LONG = (
    "The harbour wakes before the sun does. Nets are folded, ropes are counted, and somebody makes tea that is too "
    "strong. By six the first boats are out, small lights on grey water, and the gulls know it. A child sits on the "
    "wall and writes down the names of the boats as they go: Marta, Good Hope, Number Nine, the Old Teacher. When the "
    "last one is gone the child counts the list twice, because yesterday one name was missing and nobody had noticed "
    "until the evening, when there was a place left empty at the pier. "
)

PAIRS = [
    ("The harbour wakes before", " the sun does."),
    ("The harbour wakes before ", "the sun does."),
    ("Tea is\n\n", " strong"),
    ("", "The boats are out"),
    ("Question: which boat is missing?\nAnswer:", " A"),
    ("Question: which boat is missing?\nAnswer:", " B"),
    ("Question: which boat is missing?\nAnswer:", " C"),
    ("Question: which boat is missing?\nAnswer:", " Number Nine"),
    ("Question: which boat is missing?\nAnswer:", " Number Ten"),
    ("Question: which boat is missing?\nAnswer:", " B"),
    (LONG, "The child writes it down."),
    (LONG + LONG, " Marta"),
    ("caf\u00e9 \u2014 na\u00efve\u3000", "\u65e5\u672c \u20ac"),
]

TEXTS = ["A short text.", LONG, LONG + LONG + "The end.", "x"]

PROMPTS = [
    ("Once upon a time", {"until": ["\n\n"], "max_gen_toks": 24, "do_sample": False}),
    ("The harbour wakes", {"until": ["."], "max_gen_toks": 40}),
    ("The harbour wakes", {"until": [".", " the"], "max_gen_toks": 40, "temperature": 0.0}),
    ("A child sits on the wall and", {"until": "zzz", "max_gen_toks": 16, "do_sample": False, "temperature": 0.7}),
    (LONG, {"until": ["\n"], "max_gen_toks": 20}),
    ("Count:", {"max_new_tokens": 5}),
    ("1 + 1 =", {"until": ["e", "a"], "max_gen_toks": 32}),
]


def main(model, out):
    result = {}
    for max_length in (512, 48):
        lm = HFLM(pretrained=model, dtype="float32", device="cpu", batch_size=1, max_length=max_length)

        def instances(kind, args):
            return [Instance(request_type=kind, doc={}, arguments=a, idx=0) for a in args]

        ll = lm.loglikelihood(instances("loglikelihood", PAIRS), disable_tqdm=True)
        rolling = lm.loglikelihood_rolling(instances("loglikelihood_rolling", [(t,) for t in TEXTS]), disable_tqdm=True)
        text = lm.generate_until(instances("generate_until", PROMPTS), disable_tqdm=True)
        result[str(max_length)] = {
            "loglikelihood": [[c, k, a, g] for (c, k), (a, g) in zip(PAIRS, ll)],
            "rolling": [[t, a] for t, a in zip(TEXTS, rolling)],
            "generate": [[c, k, t] for (c, k), t in zip(PROMPTS, text)],
        }
    with open(out, "w", encoding="utf-8") as f:
        json.dump(result, f, ensure_ascii=False, indent=1)
        f.write("\n")


main(*sys.argv[1:])
