"""lm_eval_client.py MUSTER MODEL - lm-evaluation-harness, unmodified, over `muster serve` and over transformers in float32

Four small tasks of our own (choices, rolling perplexity, generation, chat) must come to the same metrics; sums of
log-probabilities may differ by the rounding of two implementations. Run by hand:
/path/to/python tests/serve/lm_eval_client.py build/release/bin/muster models/muster-llama-tiny
"""

import json
import os
import random
import tempfile

from serve_process import Served, arguments

muster, model = arguments(["lm_eval", "torch", "transformers", "aiohttp", "tenacity"])
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
import lm_eval  # noqa: E402
import transformers  # noqa: E402
from lm_eval.tasks import TaskManager  # noqa: E402

LENGTH = 1024
N_DOCS = 20
TOLERANCE = 5e-4  # of a sum of log-probabilities: f32 against f32 in another order of additions

COMMON = """
dataset_path: json
dataset_kwargs: {{data_files: {{test: {folder}/docs.jsonl}}}}
test_split: test
"""
TASKS = {
    "own_choice": """
task: own_choice
output_type: multiple_choice
doc_to_text: "Question: {{question}}\\nAnswer:"
doc_to_choice: "{{choices}}"
doc_to_target: gold
metric_list: [{metric: acc}, {metric: acc_norm}]
""",
    "own_rolling": """
task: own_rolling
output_type: loglikelihood_rolling
doc_to_text: ""
doc_to_target: "{{text}}"
metric_list: [{metric: word_perplexity}, {metric: byte_perplexity}, {metric: bits_per_byte}]
""",
    "own_generate": """
task: own_generate
output_type: generate_until
doc_to_text: "Question: {{question}}\\nAnswer:"
doc_to_target: "{{choices[gold]}}"
generation_kwargs: {until: ["\\n\\n"], max_gen_toks: 24, temperature: 0.0, do_sample: false}
metric_list: [{metric: exact_match}]
""",
}


def make_tasks(folder):
    draw = random.Random(7)
    with open(f"{folder}/docs.jsonl", "w") as f:
        for _ in range(N_DOCS):
            a, b = draw.randint(1, 60), draw.randint(1, 60)
            choices = [f" {a} + {b} = {a + b + d}" for d in draw.sample([0, 1, -1, 10], 4)]
            gold = choices.index(f" {a} + {b} = {a + b}")
            text = f"Question: What is {a} plus {b}?\nAnswer: {a} + {b} = {a + b}\n\nThe barn is {a} steps away."
            doc = {"question": f"What is {a} plus {b}?", "choices": choices, "gold": gold, "text": text}
            f.write(json.dumps(doc) + "\n")
    for name, text in TASKS.items():
        with open(f"{folder}/{name}.yaml", "w") as f:
            f.write(text + COMMON.format(folder=folder))


def evaluate(folder, kind, args, tasks, **more):
    return lm_eval.simple_evaluate(
        model=kind,
        model_args=args,
        tasks=tasks,
        task_manager=TaskManager(include_path=folder, include_defaults=False),
        log_samples=True,
        bootstrap_iters=0,
        **more,
    )


def numbers(results):
    return {
        (task, key): value
        for task, row in results["results"].items()
        for key, value in row.items()
        if isinstance(value, float) and "stderr" not in key
    }


def responses(results, task):
    by_doc = sorted(results["samples"][task], key=lambda s: s["doc_id"])
    return [r for s in by_doc for r in s["filtered_resps"]]


def apart(a, b):
    """The largest difference of log-probabilities and how many greedy flags differ."""
    a, b = ([x if isinstance(x, (list, tuple)) else (x, None) for x in v] for v in (a, b))
    worst = max(abs(float(x[0]) - float(y[0])) for x, y in zip(a, b))
    return worst, sum(x[1] != y[1] for x, y in zip(a, b))


def compare(what, ours, theirs, tasks):
    bad = 0
    for key, value in numbers(theirs).items():
        mine = numbers(ours)[key]
        good = abs(mine - value) <= 1e-4 * max(1, abs(value))
        bad += not good
        print(f"{'ok' if good else 'not ok'} - {what} {key[0]} {key[1]}: {mine:.6f}, transformers {value:.6f}")
    for task in tasks:
        mine, yours = responses(ours, task), responses(theirs, task)
        if isinstance(yours[0], str):
            same = sum(x == y for x, y in zip(mine, yours))
            print(f"{'ok' if same == len(yours) else 'not ok'} - {what} {task}: {same} of {len(yours)} texts are equal")
            bad += same != len(yours)
        else:
            worst, flags = apart(mine, yours)
            good = worst < TOLERANCE and flags == 0
            print(f"{'ok' if good else 'not ok'} - {what} {task}: {len(yours)} sums, at most {worst:.2g} apart, "
                  f"{flags} greedy flags differ")
            bad += not good
    return bad


with tempfile.TemporaryDirectory() as folder, Served(muster, model) as url:
    make_tasks(folder)
    name = os.path.basename(os.path.normpath(model))
    path = os.path.abspath(model)
    bos = transformers.AutoTokenizer.from_pretrained(path).bos_token_id
    tasks = list(TASKS)
    hf = f"pretrained={path},dtype=float32,max_length={LENGTH - 1}"
    base = f"model={name},base_url={url}/v1/completions,max_length={LENGTH}"
    own = f"{base},tokenizer_backend=huggingface,tokenizer={path}"
    # The API client puts no BOS before a context; its remote tokenizer takes a BOS of id 0 for none.
    theirs = evaluate(folder, "hf", f"{hf},add_bos_token=False", tasks, device="cpu")
    runs = {
        "remote tokenizer": f"{base},custom_prefix_token_id={bos}",
        "own tokenizer, 8 at a time": f"{own},num_concurrent=8",
        "batches of 16": f"{own},batch_size=16",
    }
    bad, first = 0, None
    for what, args in runs.items():
        ours = evaluate(folder, "local-completions", args, tasks)
        bad += compare(what, ours, theirs, tasks)
        first = first or ours
        same = all(responses(first, t) == responses(ours, t) for t in tasks)
        print(f"{'ok' if same else 'not ok'} - {what}: {'' if same else 'not '}the same bits as the first run")
        bad += not same

    # Texts get the BOS that the tokenizer adds, on both sides.
    theirs = evaluate(folder, "hf", hf, ["own_generate"], device="cpu")
    ours = evaluate(folder, "local-completions", f"{own},tokenized_requests=False", ["own_generate"])
    bad += compare("texts", ours, theirs, ["own_generate"])
    chats = f"model={name},base_url={url}/v1/chat/completions,num_concurrent=4"
    ours = evaluate(folder, "local-chat-completions", chats, ["own_generate"], apply_chat_template=True)
    theirs = evaluate(folder, "hf", hf, ["own_generate"], device="cpu", apply_chat_template=True)
    bad += compare("chat", ours, theirs, ["own_generate"])
raise SystemExit(bad > 0)
