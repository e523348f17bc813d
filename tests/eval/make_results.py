#!/usr/bin/env python3
"""Writes results_golden.json: what lm-evaluation-harness 0.4.13 reports and saves for three small tasks of our own,
answered by a model that is a hash, with everything a work holds when it is scored. Run where lm-eval is installed:

    python3 tests/eval/make_results.py tests/eval/results_golden.json
"""

import hashlib
import json
import pathlib
import sys
import tempfile

import yaml
from lm_eval import simple_evaluate
from lm_eval.api.model import LM
from lm_eval.loggers import EvaluationTracker
from lm_eval.tasks import TaskManager
from lm_eval.utils import make_table

CHOICE_DOCS = [
    {"question": "Which is a fruit?", "options": ["pear", "brick"], "label": 0, "note": None},
    {"question": "¿Cuál es rojo?\n\"Dos\" líneas", "options": ["cielo", "tomate ñ"], "label": 1, "note": 2.5},
    {"question": "日本 or a | bar?", "options": ["x", "yy"], "label": 0, "note": 1e-7},
]
SAY_DOCS = [
    {"prompt": "Say 7.", "answer": "7"},
    {"prompt": "Say 1,234 \U0001F600", "answer": "1234"},
]
ROLL_DOCS = [{"page": "One  two\tthree."}, {"page": "Zwölf Boxkämpfer jagen Viktor quer über den Deich."}]

TASKS = {
    "letters": {
        "task": "letters", "task_alias": "Letters ü", "dataset_path": "json", "output_type": "multiple_choice",
        "validation_split": "train", "doc_to_text": "Q: {{question}}\nA:", "doc_to_choice": "options",
        "doc_to_target": "label", "num_fewshot": 0,
        "metric_list": [{"metric": "acc"}, {"metric": "acc_norm"}], "metadata": {"version": 1.0}},
    "say_it": {
        "task": "say_it", "dataset_path": "json", "output_type": "generate_until", "test_split": "train",
        "doc_to_text": "prompt", "doc_to_target": "answer", "repeats": 2,
        "generation_kwargs": {"until": ["\n"], "temperature": 0, "do_sample": False, "max_gen_toks": 8},
        "metric_list": [{"metric": "exact_match", "aggregation": "mean", "higher_is_better": True}],
        "filter_list": [
            {"name": "strict", "filter": [{"function": "regex", "regex_pattern": "([0-9]+)"}, {"function": "take_first"}]},
            {"name": "whole", "filter": [{"function": "take_first"}]}],
        "metadata": {"version": "2b"}},
    "pages": {
        "task": "pages", "dataset_path": "json", "output_type": "loglikelihood_rolling", "test_split": "train",
        "doc_to_text": "", "doc_to_target": "page",
        "metric_list": [{"metric": "word_perplexity"}, {"metric": "byte_perplexity"}, {"metric": "bits_per_byte"}]},
}
GROUPS = {
    "everything": {"group": "everything", "group_alias": "All of it", "task": ["letters", "inner"],
                   "aggregate_metric_list": [{"metric": "acc", "weight_by_size": True},
                                             {"metric": "exact_match", "filter_list": ["whole", "strict"]}],
                   "metadata": {"version": 3}},
    "inner": {"group": "inner", "task": ["say_it", "pages"]},
}


def number(*parts):
    return int.from_bytes(hashlib.sha256(repr(parts).encode()).digest()[:6], "big") / 2**48


class HashModel(LM):
    tokenizer_name = "none"

    def loglikelihood(self, requests):
        return [(-8 * number(r.args), number(1, r.args) < 0.5) for r in requests]

    def loglikelihood_rolling(self, requests):
        return [-40 * number(r.args) for r in requests]

    def generate_until(self, requests):
        says = ["1234", "the answer: 1234", "7", "none ñ"]
        return [says[int(4 * number(i, r.args[0]))] for i, r in enumerate(requests)]


def write_tasks(folder):
    for name, task in TASKS.items():
        docs = {"letters": CHOICE_DOCS, "say_it": SAY_DOCS, "pages": ROLL_DOCS}[name]
        data = folder / f"{name}.jsonl"
        data.write_text("".join(json.dumps(d, ensure_ascii=False) + "\n" for d in docs), encoding="utf-8")
        task = {**task, "dataset_kwargs": {"data_files": str(data)}}
        (folder / f"{name}.yaml").write_text(yaml.safe_dump(task, sort_keys=False), encoding="utf-8")
    for name, group in GROUPS.items():
        (folder / f"{name}.yaml").write_text(yaml.safe_dump(group, sort_keys=False), encoding="utf-8")


def plain(v):
    if isinstance(v, dict):
        return {k: plain(x) for k, x in v.items()}
    if isinstance(v, (list, tuple)):
        return [plain(x) for x in v]
    if hasattr(v, "item") and not isinstance(v, (bool, int, float, str)):
        return v.item()
    return v


def work(name, results, task):
    samples = results["samples"][name]
    filters = list(dict.fromkeys(s["filter"] for s in samples))
    n = len(samples) // len(filters)
    docs = []
    for i in range(n):
        s = samples[i]
        requests = [{"args": plain(a), "resps": plain(r)} for a, r in zip(s["arguments"], s["resps"])]
        scores = [{"metrics": {m: plain(samples[f * n + i][m]) for m in samples[f * n + i]["metrics"]},
                   "filtered": plain(samples[f * n + i]["filtered_resps"])} for f in range(len(filters))]
        docs.append({"id": s["doc_id"], "doc": plain(s["doc"]), "target": plain(s["target"]), "requests": requests,
                     "scores": scores})
    values = []
    for key, v in results["results"][name].items():
        metric, comma, filt = key.partition(",")
        if comma and not metric.endswith("_stderr"):
            values.append({"metric": metric, "filter": filt, "value": v,
                           "stderr": results["results"][name][f"{metric}_stderr,{filt}"],
                           "n": results["results"][name]["sample_len"]})
    return {"name": name, "alias": results["results"][name]["alias"], "version": results["versions"][name],
            "output_type": TASKS[name]["output_type"], "config": results["configs"][name], "filters": filters,
            "num_fewshot": results["n-shot"][name], "n_original": results["n-samples"][name]["original"],
            "higher_is_better": results["higher_is_better"][name], "docs": docs, "results": values}


def main(out):
    folder = pathlib.Path(tempfile.mkdtemp())
    write_tasks(folder)
    tracker = EvaluationTracker(output_path=str(folder / "out"))
    manager = TaskManager(include_path=str(folder), include_defaults=False)
    results = simple_evaluate(model=HashModel(), model_args="pretrained=some/model:x", tasks=["everything"],
                              task_manager=manager, evaluation_tracker=tracker, bootstrap_iters=1000,
                              system_instruction="Be \"brief\".\nü")
    scrub = str(folder)
    results["configs"] = json.loads(json.dumps(results["configs"], default=str).replace(scrub, "DIR"))
    golden = {"works": [work(n, results, None) for n in results["configs"] if n in TASKS]}
    golden["works"].sort(key=lambda w: list(results["n-samples"]).index(w["name"]))
    golden["groups"] = [{"name": g, "alias": GROUPS[g].get("group_alias"), "children": c,
                         "version": GROUPS[g].get("metadata", {}).get("version"),
                         "metrics": [[m["metric"], m.get("filter_list", [])]
                                     for m in GROUPS[g].get("aggregate_metric_list", [])],
                         "results": {k: v for k, v in results["results"][g].items() if "," in k},
                         "counts": results["results"][g].get("sample_count", {})}
                        for g, c in results["group_subtasks"].items()]
    golden["table"] = make_table(results) + "\n" + make_table(results, "groups")
    samples = results.pop("samples")
    tracker.save_results_aggregated(results=results, samples=samples)
    for name in results["configs"]:
        tracker.save_results_samples(task_name=name, samples=samples[name])
    saved = next(folder.glob("out/*/results_*.json"))
    golden["folder"] = saved.parent.name
    text = json.loads(saved.read_text(encoding="utf-8"))
    for key in ["config", "git_hash", "date", "pretty_env_info", "transformers_version", "lm_eval_version",
                "upper_git_hash", "total_evaluation_time_seconds", "model_source", "fewshot_as_multiturn"]:
        text[key] = None
    golden["saved"] = json.dumps(text, ensure_ascii=False, indent=2)
    golden["samples"] = {n: next(folder.glob(f"out/*/samples_{n}_*.jsonl")).read_text(encoding="utf-8") for n in TASKS}
    pathlib.Path(out).write_text(json.dumps(golden, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    print(golden["table"])


main(sys.argv[1])
