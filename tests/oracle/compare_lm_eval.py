#!/usr/bin/env python3
"""Compare `muster eval` with lm-evaluation-harness (hf, float32, one process), sample by sample.

    pip install "lm-eval[hf]==0.4.13" accelerate
    tests/oracle/compare_lm_eval.py --muster build/release/bin/muster --model DIR [--model DIR ...]

The published task files of the installed lm-eval are run as they are by both programs. Their documents are read offline: from
the folder --data (evaluation sets in their authors' own forms), written out once in the form the hub has them
(<mirror>/<dataset_path>/<dataset_name>/<split>.jsonl), where muster finds them by --data-dir and lm-eval through
datasets.load_dataset, which this script points there. The tasks in tasks/ need no data folder.

Compared: hashes of document, prompt and target; log-likelihoods (1e-4) and is_greedy; generated texts; every metric of every
sample; results; standard errors (1e-9 relative, the reference's formula on muster's own samples). Exit status 1 on a difference.
"""
import argparse
import csv
import json
import math
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
LL_TOLERANCE = 1e-4
STDERR_TOLERANCE = 1e-9


def write_jsonl(path, docs):
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w", encoding="utf-8") as f:
        for d in docs:
            f.write(json.dumps(d, ensure_ascii=False) + "\n")


def read_jsonl(path):
    with open(path, encoding="utf-8") as f:
        return [json.loads(line) for line in f if line.strip()]


# ---- the data folder's forms to the hub's ----


def arc(data, out, source, name, split):
    docs = []
    for d in read_jsonl(data / source):
        choices = d["question"]["choices"]
        docs.append({"id": d["id"], "question": d["question"]["stem"],
                     "choices": {"text": [c["text"] for c in choices], "label": [c["label"] for c in choices]},
                     "answerKey": d["answerKey"]})
    # The harness wants all three splits of a file that names them; the shots come from train.
    write_jsonl(out / "allenai/ai2_arc" / name / f"{split}.jsonl", docs)
    write_jsonl(out / "allenai/ai2_arc" / name / "train.jsonl", docs[::-1][:40])
    for other in ("test", "validation"):
        if other != split:
            write_jsonl(out / "allenai/ai2_arc" / name / f"{other}.jsonl", docs[:50])


def openbookqa(data, out):
    docs = []
    with open(data / "openbookqa/test.tsv", encoding="utf-8", newline="") as f:
        for row in csv.DictReader(f, delimiter="\t"):
            parts = re.split(r"\s*\(([A-D])\)\s*", row["Choices"])[1:]
            docs.append({"id": row["ID"], "question_stem": row["Question Stem"],
                         "choices": {"text": [t.strip() for t in parts[1::2]], "label": parts[0::2]},
                         "answerKey": row["Answer Key"]})
    base = out / "allenai/openbookqa/main"
    write_jsonl(base / "test.jsonl", docs)
    write_jsonl(base / "validation.jsonl", docs[:20])
    write_jsonl(base / "train.jsonl", docs[20:60])


def commonsense_qa(data, out):
    docs = read_jsonl(data / "commonsenseqa/dev_rand_split.jsonl")
    write_jsonl(out / "tau/commonsense_qa/validation.jsonl", docs)
    write_jsonl(out / "tau/commonsense_qa/train.jsonl", docs[::-1][:60])


def hellaswag(data, out):
    lines = (data / "hellaswag/hellaswag_val_full.txt").read_text(encoding="utf-8").split("\n")
    docs = []
    for i in range(0, len(lines) - 5, 6):
        activity, _, context = lines[i].partition(": ")
        sentences = context.rsplit(". ", 1)
        a, b = (sentences[0] + ".", sentences[1]) if len(sentences) == 2 else (context, "")
        docs.append({"ind": i // 6, "activity_label": activity, "ctx_a": a, "ctx_b": b, "ctx": context,
                     "endings": lines[i + 2:i + 6], "label": lines[i + 1].strip()})
    write_jsonl(out / "Rowan/hellaswag/validation.jsonl", docs)
    write_jsonl(out / "Rowan/hellaswag/train.jsonl", docs[::-1][:200])


MMLU = ["abstract_algebra", "astronomy", "high_school_us_history", "us_foreign_policy"]


def mmlu(data, out):
    for subject in MMLU:
        for split in ("dev", "test"):
            docs = []
            with open(data / f"mmlu/{split}/{subject}_{split}.csv", encoding="utf-8", newline="") as f:
                for row in csv.DictReader(f):
                    docs.append({"question": row["question"], "subject": subject,
                                 "choices": [row[f"choice{i}"] for i in range(4)], "answer": int(row["answer"])})
            write_jsonl(out / "cais/mmlu" / subject / f"{split}.jsonl", docs)


def bbh(data, out):
    for name in ("boolean_expressions", "date_understanding", "object_counting", "web_of_lies", "word_sorting",
                 "logical_deduction_three_objects"):
        docs = json.loads((data / f"bbh/{name}.json").read_text(encoding="utf-8"))["examples"]
        write_jsonl(out / "SaylorTwift/bbh" / name / "test.jsonl", docs)


def wikitext(data, out):
    text = "".join(p.read_text(encoding="utf-8") for p in sorted((data.parent / "text/wikitext-2").iterdir())
                   if p.is_file() and p.suffix in (".txt", ".tokens", ".raw", ""))
    pages = [p for p in re.split(r"(?m)^(?= = [^=].* = ?$)", text) if p.strip()]
    docs = [{"page": p} for p in pages]
    for split in ("test", "validation", "train"):
        write_jsonl(out / "EleutherAI/wikitext_document_level/wikitext-2-raw-v1" / f"{split}.jsonl", docs)


def winogrande(out):
    """Own sentences: the published set is not among the data."""
    docs = []
    for i, (a, b) in enumerate([("Finn", "Jack"), ("Eva", "Dan"), ("Rosa", "Lena")]):
        docs.append({"sentence": f"{a} lent {b} the hammock because _ was going on a journey.", "option1": a,
                     "option2": b, "answer": str(2 - i % 2)})
        docs.append({"sentence": f"The kettle of {a} is larger than the cup, so the _ holds more water.",
                     "option1": "kettle", "option2": "cup", "answer": "1"})
    write_jsonl(out / "allenai/winogrande/winogrande_xl/validation.jsonl", docs)
    write_jsonl(out / "allenai/winogrande/winogrande_xl/train.jsonl", docs[::-1])


def make_mirror(data, out):
    arc(data, out, "arc_easy/ARC-Easy-Test.jsonl", "ARC-Easy", "test")
    arc(data, out, "arc_challenge/ARC-Challenge-Dev.jsonl", "ARC-Challenge", "test")
    openbookqa(data, out)
    commonsense_qa(data, out)
    hellaswag(data, out)
    mmlu(data, out)
    bbh(data, out)
    wikitext(data, out)
    winogrande(out)
    write_jsonl(out / "EleutherAI/lambada_openai/default/test.jsonl", read_jsonl(data / "lambada/lambada_test.jsonl"))
    for split in ("train", "test"):
        write_jsonl(out / f"openai/gsm8k/main/{split}.jsonl", read_jsonl(data / f"gsm8k/{split}.jsonl"))
    write_jsonl(out / "openai/openai_humaneval/test.jsonl", read_jsonl(data / "humaneval/HumanEval.jsonl"))


# HumanEval's own file loads a scorer from the network when opened; its generation half stands here without it.
HUMANEVAL = """task: humaneval_generation
dataset_path: openai/openai_humaneval
output_type: generate_until
test_split: test
doc_to_text: "{{prompt}}"
doc_to_target: "{{test}}\\ncheck({{entry_point}})"
metric_list:
  - metric: exact_match
    aggregation: mean
    higher_is_better: true
generation_kwargs:
  until: ["\\nclass", "\\ndef", "\\n#", "\\nif", "\\nprint"]
  max_gen_toks: 1024
  do_sample: false
num_fewshot: 0
metadata: {version: 1.0}
"""

# task, shots (None: the file's own), documents, arguments for both
RUNS = [
    (["arc_easy", "arc_challenge", "openbookqa", "commonsense_qa", "hellaswag"], None, 100, ""),
    (["arc_easy", "hellaswag", "commonsense_qa", "winogrande"], 3, 40, ""),
    ([f"mmlu_{s}" for s in MMLU], 5, 30, ""),
    (["lambada_openai"], None, 100, ""),
    (["wikitext"], None, 8, ""),
    (["gsm8k", "gsm8k_cot", "humaneval_generation"], None, 12, "max_gen_toks=48"),
    (["bbh_cot_fewshot_boolean_expressions", "bbh_cot_fewshot_object_counting", "bbh_cot_fewshot_web_of_lies"], None, 10,
     "max_gen_toks=48"),
]
OWN_RUNS = [(["muster"], None, None, ""), (["muster"], 3, 60, ""), (["muster_generate"], None, 60, "")]


# ---- running both ----


def point_datasets_at(mirror):
    import datasets
    original = datasets.load_dataset

    def load(path, name=None, **kw):
        folder = mirror / path / name if name else mirror / path
        if not folder.is_dir():
            return original(path, name, **kw)
        splits = {p.stem: datasets.Dataset.from_json(str(p), cache_dir=str(mirror / ".cache")) for p in folder.glob("*.jsonl")}
        return datasets.DatasetDict(splits)

    datasets.load_dataset = load


def published_tasks():
    import lm_eval.tasks
    return Path(lm_eval.tasks.__file__).parent


def reference(args, model, run, limit, include):
    """The reference's results; with --keep they are read from there when the same run was made before."""
    tasks, shots, _, gen = run
    name = re.sub(r"[^A-Za-z0-9_.-]+", "_", f"{model.name}-{'-'.join(tasks)}-{shots}-{limit}-{gen}")[:200] + ".json"
    path = args.keep / name if args.keep else None
    if path and path.is_file():
        return json.loads(path.read_text(encoding="utf-8"))
    made = run_reference(model, tasks, shots, limit, gen, include)
    made = {k: made.get(k, {}) for k in ("results", "groups", "samples", "versions", "n-shot", "configs")}
    text = json.dumps(made, ensure_ascii=False, default=lambda v: v.item() if hasattr(v, "item") else str(v))
    if path:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return json.loads(text)


def reference_tokenizer(model, folder):
    """transformers 5 builds its own normalizer for LlamaTokenizer instead of reading the one in tokenizer.json (a space
    more or less after special tokens and before leading ones); as PreTrainedTokenizerFast it follows the file, as
    transformers 4 did and muster does."""
    config = json.loads((model / "tokenizer_config.json").read_text(encoding="utf-8"))
    if config.get("tokenizer_class") != "LlamaTokenizer":
        return model
    config["tokenizer_class"] = "PreTrainedTokenizerFast"
    (folder / "tokenizer_config.json").write_text(json.dumps(config), encoding="utf-8")
    (folder / "tokenizer.json").write_bytes((model / "tokenizer.json").read_bytes())
    return folder


def run_reference(model, tasks, shots, limit, gen, include):
    import lm_eval
    from lm_eval.tasks import TaskManager
    manager = TaskManager(include_path=[str(p) for p in include if p != published_tasks()])
    with tempfile.TemporaryDirectory() as tmp:
        model_args = {"pretrained": str(model), "tokenizer": str(reference_tokenizer(model, Path(tmp))), "dtype": "float32"}
        return lm_eval.simple_evaluate(
            model="hf", model_args=model_args, tasks=tasks, num_fewshot=shots, limit=limit, gen_kwargs=gen or None,
            log_samples=True, task_manager=manager, device="cpu", batch_size=1)


def run_muster(args, model, tasks, shots, limit, gen, include, mirror, out):
    cmd = [args.muster, "eval", "--model", str(model), "--tasks", ",".join(tasks), "--output", str(out), "--log-samples",
           "--quiet", "--json"]
    for p in include:
        cmd += ["--include-path", str(p)]
    if mirror:
        cmd += ["--data-dir", str(mirror)]
    if shots is not None:
        cmd += ["--num-fewshot", str(shots)]
    if limit is not None:
        cmd += ["--limit", str(limit)]
    if gen:
        cmd += ["--gen-kwargs", gen]
    done = subprocess.run(cmd, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"muster exited with {done.returncode}: {done.stderr}\n  {' '.join(cmd)}")
    samples = {}
    for p in out.rglob("samples_*.jsonl"):
        task = re.fullmatch(r"samples_(.*)_\d{4}-\d\d-\d\dT.*", p.stem).group(1)
        samples[task] = read_jsonl(p)
    return json.loads(done.stdout), samples


# ---- comparing ----


class Report:
    def __init__(self):
        self.n_bad = 0
        self.max_ll = 0.0

    def bad(self, text):
        self.n_bad += 1
        if self.n_bad <= 40:
            print("  DIFFERS", text)

    def same(self, what, ours, theirs):
        if ours != theirs:
            self.bad(f"{what}: muster {ours!r:.300}, lm-eval {theirs!r:.300}")


def compare_resps(report, where, ours, theirs):
    """Log-likelihoods come as (number, bool) pairs, rolling ones as numbers, generations as texts; logged as texts."""
    flat_a, flat_b = flatten(ours), flatten(theirs)
    report.same(where + ": number of values", len(flat_a), len(flat_b))
    for a, b in zip(flat_a, flat_b):
        a, b = str(a), str(b)
        try:
            x, y = float(a), float(b)
        except ValueError:
            report.same(where, a, b)
            continue
        diff = abs(x - y)
        report.max_ll = max(report.max_ll, diff)
        if diff > LL_TOLERANCE * max(1.0, abs(y) / 100):
            report.bad(f"{where}: muster {a}, lm-eval {b}")


def flatten(v):
    if isinstance(v, (list, tuple)):
        return [x for item in v for x in flatten(item)]
    return [v]


def close(a, b, tolerance):
    if isinstance(a, (list, tuple)) and isinstance(b, (list, tuple)):
        return len(a) == len(b) and all(close(x, y, tolerance) for x, y in zip(a, b))
    if isinstance(a, (int, float)) and isinstance(b, (int, float)):
        return math.isclose(a, b, rel_tol=tolerance, abs_tol=tolerance)
    return a == b


def compare_samples(report, task, ours, theirs):
    key = lambda s: (s["doc_id"], s["filter"])
    a, b = {key(s): s for s in ours}, {key(s): s for s in theirs}
    report.same(f"{task}: samples", sorted(a), sorted(b))
    for k in sorted(set(a) & set(b)):
        where = f"{task}, document {k[0]}, filter {k[1]}"
        for h in ("doc_hash", "prompt_hash", "target_hash"):
            report.same(f"{where}: {h}", a[k][h], b[k][h])
        compare_resps(report, f"{where}: resps", a[k]["resps"], b[k]["resps"])
        report.same(f"{where}: metrics", a[k]["metrics"], b[k]["metrics"])
        for m in b[k]["metrics"]:
            if not close(a[k].get(m), b[k][m], LL_TOLERANCE):
                report.bad(f"{where}: {m}: muster {a[k].get(m)!r:.200}, lm-eval {b[k][m]!r:.200}")
    return a


def compare_results(report, task, ours, theirs, samples):
    from lm_eval.api.registry import get_aggregation, get_metric_aggregation
    from lm_eval.api.metrics import stderr_for_metric
    mine, reference = ours["results"][task], theirs["results"][task]
    for name, value in reference.items():
        if not isinstance(value, (int, float)) or "," not in name:
            continue
        got = mine.get(name)
        metric, filt = name.split(",")
        if "_stderr" not in metric:
            tolerance = 1e-12 if metric.startswith(("acc", "exact", "f1")) else 1e-5
            if not close(got, value, tolerance):
                report.bad(f"{task}: {name}: muster {got!r}, lm-eval {value!r}")
            continue
        metric = metric.replace("_stderr", "")
        items = [s[metric] for (_, f), s in sorted(samples.items()) if f == filt]
        configured = next((m for m in theirs["configs"][task].get("metric_list", []) if m["metric"] == metric), {})
        aggregation = configured.get("aggregation")
        fn = get_aggregation(aggregation) if aggregation else get_metric_aggregation(metric)
        stderr = stderr_for_metric(fn, bootstrap_iters=100000)
        expected = stderr(items) if stderr else None
        if expected is not None and not close(got, expected, STDERR_TOLERANCE):
            report.bad(f"{task}: {name}: muster {got!r}, the reference's formula on the same samples {expected!r}")
    report.same(f"{task}: version", ours["versions"].get(task), theirs["versions"].get(task))
    report.same(f"{task}: n-shot", ours["n-shot"].get(task), theirs["n-shot"].get(task))


def compare_run(args, model, run, include, mirror, work):
    tasks, shots, limit, gen = run
    if args.limit and limit:
        limit = min(limit, args.limit)
    theirs = reference(args, model, run, limit, include)
    if args.reference_only:
        return 0
    ours, samples = run_muster(args, model, tasks, shots, limit, gen, include, mirror, work)
    total = 0
    for task in theirs["samples"]:
        report = Report()
        if task not in samples:
            report.bad(f"{task}: muster wrote no samples")
        else:
            kept = compare_samples(report, task, samples[task], theirs["samples"][task])
            compare_results(report, task, ours, theirs, kept)
        head = {k: round(v, 4) for k, v in ours["results"].get(task, {}).items()
                if isinstance(v, float) and "stderr" not in k}
        print(f"{'ok  ' if not report.n_bad else 'FAIL'} {model.name:20} {task:40} shots {shots}: "
              f"{len(theirs['samples'][task])} samples, log-likelihoods within {report.max_ll:.1e}; {head}", flush=True)
        total += report.n_bad
    for group, lines in theirs.get("groups", {}).items():
        for name, value in lines.items():
            if isinstance(value, float) and not close(ours["groups"][group].get(name), value, 1e-9):
                print(f"  DIFFERS group {group}: {name}: muster {ours['groups'][group].get(name)!r}, lm-eval {value!r}")
                total += 1
    return total


def main():
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    root = Path(__file__).resolve().parents[2]
    p.add_argument("--muster", default=str(root / "build/release/bin/muster"))
    p.add_argument("--model", action="append", type=Path)
    p.add_argument("--data", type=Path, default=root.parent / "shared/data/eval")
    p.add_argument("--limit", type=int, help="at most so many documents a task")
    p.add_argument("--keep", type=Path, help="folder for the reference's results, which take most of the time")
    p.add_argument("--reference-only", action="store_true", help="fill --keep and stop")
    p.add_argument("--only", help="runs whose task names contain this")
    p.add_argument("--mirror-only", type=Path, metavar="DIR", help="write the documents there, as --data-dir wants them, and stop")
    args = p.parse_args()
    os.chdir(root)
    if args.mirror_only:
        make_mirror(args.data, args.mirror_only)
        return

    models = args.model or [*(root / f"models/muster-{kind}-tiny" for kind in ("llama", "dsv3", "falcon")),
                            root.parent / "shared/data/models/stories260K-hf"]
    total = 0
    with tempfile.TemporaryDirectory() as tmp:
        tmp = Path(tmp)
        runs = [(r, [root / "tasks"], None) for r in OWN_RUNS]
        if args.data.is_dir():
            make_mirror(args.data, tmp / "mirror")
            (tmp / "tasks").mkdir()
            (tmp / "tasks/humaneval_generation.yaml").write_text(HUMANEVAL)
            point_datasets_at(tmp / "mirror")
            runs += [(r, [published_tasks(), tmp / "tasks"], tmp / "mirror") for r in RUNS]
        else:
            print(f"skipped: the published tasks, for there is no {args.data}")
        n = 0
        for model in models:
            if not model.is_dir():
                print(f"skipped: {model} is not there")
                continue
            for run, include, mirror in runs:
                if args.only and not any(args.only in t for t in run[0]):
                    continue
                n += 1
                total += compare_run(args, model.resolve(), run, include, mirror, tmp / f"out{n}")
    print("all equal" if total == 0 else f"{total} differences")
    sys.exit(1 if total or not n else 0)


if __name__ == "__main__":
    main()
