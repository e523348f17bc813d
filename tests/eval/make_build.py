#!/usr/bin/env python3
"""Expected requests of the tasks in build/, from lm-evaluation-harness itself.

    python3 make_build.py     (needs lm-eval 0.4.13, writes build/expected.json and build/own.bundle)

Every case is one call of lm_eval.simple_evaluate() with a model that answers nothing and tells what it was asked.
"""

import json
import os
import subprocess
import sys
import tempfile

import lm_eval
from lm_eval.api.model import LM
from lm_eval.models.huggingface import HFLM
from lm_eval.tasks import TaskManager
from tokenizers import Tokenizer, models
from transformers import PreTrainedTokenizerFast

HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "build")

WITH_SYSTEM = (
    "{{ bos_token }}{% for m in messages %}<|{{ m['role'] }}|>\n{{ m['content'] | trim }}<|end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>\n{% endif %}"
)
WITHOUT_SYSTEM = (
    "{% for m in messages %}{% if m['role'] == 'system' %}{{ raise_exception('no system turn here') }}{% endif %}"
    "[{{ m['role'] }}] {{ m['content'] }}\n{% endfor %}{% if add_generation_prompt %}[assistant] {% endif %}"
)

CASES = [
    dict(task=t)
    for t in """mc_plain mc_three_shots mc_same_split mc_first_n mc_first_n_same mc_zero mc_default_split mc_samples
    mc_mutual mc_tight mc_digits mc_dict mc_rendered_choices mc_prefix mc_prefix_blank mc_overrides pairs pairs_prefix
    pairs_mutual open_targets open_defaults open_until open_prefix open_literal open_ll prose""".split()
] + [
    dict(task="mc_plain", num_fewshot=4),
    dict(task="mc_zero", num_fewshot=4),
    dict(task="mc_three_shots", num_fewshot=0),
    dict(task="mc_three_shots", num_fewshot=7, seed=99),
    dict(task="mc_three_shots", limit=3),
    dict(task="mc_same_split", limit=0.3),
    dict(task="mc_same_split", samples=[1, 4, 6]),
    dict(task="mc_first_n", system="Be exact."),
    dict(task="mc_first_n", system="Be exact. \n"),
    dict(task="mc_mutual", predict_only=True),
    dict(task="open_targets", gen_kwargs={"max_gen_toks": 5, "top_p": 0.5}),
    dict(task="prose", num_fewshot=2),
] + [
    dict(task=t, chat=chat, multiturn=multi, system=system, limit=4)
    for t in ("mc_first_n", "mc_prefix", "mc_prefix_blank", "pairs_prefix", "open_prefix", "mc_three_shots")
    for chat, multi, system in (
        (WITH_SYSTEM, True, "You are terse."),
        (WITH_SYSTEM, False, None),
        (WITHOUT_SYSTEM, True, "You are terse."),
    )
]


class Listener(LM):
    """Answers every request with the least there is."""

    def __init__(self, chat):
        super().__init__()
        self.chat_template_args = {}
        if chat:
            self.tokenizer = PreTrainedTokenizerFast(
                tokenizer_object=Tokenizer(models.BPE()), bos_token="<s>", chat_template=chat
            )

    def apply_chat_template(self, history, add_generation_prompt=True):
        return HFLM.apply_chat_template(self, history, add_generation_prompt)

    def chat_template(self, chat_template=False):
        return self.tokenizer.chat_template

    @property
    def tokenizer_name(self):
        return ""

    def loglikelihood(self, requests):
        return [(-1.0, False) for _ in requests]

    def loglikelihood_rolling(self, requests):
        return [-1.0 for _ in requests]

    def generate_until(self, requests):
        return ["" for _ in requests]


def request(arguments):
    if len(arguments) == 1:
        return {"context": arguments[0]}
    return {"context": arguments[0], "gen_kwargs" if isinstance(arguments[1], dict) else "continuation": arguments[1]}


def run(case, manager):
    out = lm_eval.simple_evaluate(
        model=Listener(case.get("chat")),
        tasks=[case["task"]],
        task_manager=manager,
        num_fewshot=case.get("num_fewshot"),
        limit=case.get("limit"),
        samples={case["task"]: case["samples"]} if "samples" in case else None,
        system_instruction=case.get("system"),
        apply_chat_template=bool(case.get("chat")),
        fewshot_as_multiturn=case.get("multiturn", True),
        gen_kwargs=case.get("gen_kwargs"),
        predict_only=case.get("predict_only", False),
        fewshot_random_seed=case.get("seed", 1234),
        bootstrap_iters=0,
    )
    samples, seen = [], set()
    for s in out["samples"][case["task"]]:
        if s["doc_id"] in seen:
            continue
        seen.add(s["doc_id"])
        samples.append(
            {
                "doc_id": s["doc_id"],
                "target": s["target"],
                "doc_hash": s["doc_hash"],
                "prompt_hash": s["prompt_hash"],
                "target_hash": s["target_hash"],
                "requests": [request(a) for a in s["arguments"]],
            }
        )
    return {
        "options": case,
        "num_fewshot": out["n-shot"][case["task"]],
        "n_original": out["n-samples"][case["task"]]["original"],
        "docs": samples,
    }


def main():
    os.chdir(HERE)
    os.environ["HF_HOME"] = tempfile.mkdtemp()
    manager = TaskManager(include_path=HERE, include_defaults=False)
    cases = [run(c, manager) for c in CASES]
    with open("expected.json", "w", encoding="utf-8") as f:
        f.write("[\n" + ",\n".join(json.dumps(c, ensure_ascii=False) for c in cases) + "\n]\n")
    exporter = os.path.join(HERE, "..", "..", "..", "tools", "export_bundle.py")
    command = "--include_path . --tasks own_all --output own.bundle".split()
    subprocess.run([sys.executable, exporter, *command], check=True)


if __name__ == "__main__":
    main()
