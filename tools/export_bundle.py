#!/usr/bin/env python3
"""Write the requests that lm-evaluation-harness builds for some tasks as a bundle that muster runs without Python.

    python3 export_bundle.py --tasks hellaswag,mmlu --num_fewshot 5 --output tasks.bundle

Runs where lm-eval 0.4.13 or newer is installed, with its data sets at hand; no model is needed. Options have the names
and meanings of lm-eval's own. The format is docs/bundle.md.
"""

import argparse
import dataclasses
import inspect
import json
import os
import sys

import yaml

FORMAT_VERSION = 1
SCORING = ("metric_list", "filter_list", "process_results")
KEPT = (
    "task task_alias dataset_path dataset_name test_split validation_split output_type generation_kwargs repeats "
    "unsafe_code num_fewshot target_delimiter fewshot_delimiter metadata"
).split()


class Function(str):
    """The name of a Python function; written with the tag !function."""


class Dumper(yaml.SafeDumper):
    pass


Dumper.add_representer(Function, lambda d, f: d.represent_scalar("!function", str(f)))
Dumper.ignore_aliases = lambda self, data: True


def function_name(f):
    """As a task file writes it: "utils.process_results"."""
    while hasattr(f, "func") and not hasattr(f, "__name__"):
        f = f.func
    try:
        stem = os.path.splitext(os.path.basename(inspect.getsourcefile(f)))[0]
    except TypeError:
        stem = getattr(f, "__module__", "python").rsplit(".", 1)[-1]
    return Function(f"{stem}.{getattr(f, '__name__', type(f).__name__)}")


def plain(v):
    """Python values as task files hold them."""
    if v is None or isinstance(v, (bool, int, float, str)):
        return v
    if isinstance(v, dict):
        return {str(k): plain(x) for k, x in v.items()}
    if isinstance(v, (list, tuple)):
        return [plain(x) for x in v]
    if callable(v):
        return function_name(v)
    return str(v)


def functions_in(v):
    if isinstance(v, Function):
        return [str(v)]
    if isinstance(v, dict):
        v = list(v.values())
    return sorted({f for x in v for f in functions_in(x)}) if isinstance(v, list) else []


def task_file(task):
    """The parts of the task's file that scoring needs, as YAML; and the Python among them."""
    c = task.config
    out = {k: plain(getattr(c, k, None)) for k in KEPT if getattr(c, k, None) is not None}
    if isinstance(out.get("metadata"), dict):
        out["metadata"].pop("config_source", None)
    out["task"] = task.task_name
    out["output_type"] = task.OUTPUT_TYPE
    out.setdefault("dataset_path", "bundle")
    if "test_split" not in out and "validation_split" not in out:
        out["test_split"] = "test"
    if getattr(c, "doc_to_choice", None) is not None or task.OUTPUT_TYPE == "multiple_choice":
        out["doc_to_choice"] = []  # every document brings its own
    scoring = {k: plain(getattr(c, k, None)) for k in SCORING if getattr(c, k, None) is not None}
    if not isinstance(scoring.get("process_results", Function()), Function):
        del scoring["process_results"]
    return yaml.dump({**out, **scoring}, Dumper=Dumper, sort_keys=False, allow_unicode=True), functions_in(scoring)


def shown_config(task):
    """The configuration as results show it, functions by name."""
    fields = dataclasses.asdict(task.config) if dataclasses.is_dataclass(task.config) else dict(task.config)
    out = {k: plain(v) for k, v in fields.items() if v is not None}
    if isinstance(out.get("metadata"), dict):
        out["metadata"].pop("config_source", None)  # a path of this machine
    return out


def folder_of(entry):
    """The folder below lm_eval/tasks, or the last one: built-in functions are found by it."""
    path = getattr(entry, "yaml_path", None)
    if not path:
        return "."
    folder = os.path.dirname(os.path.abspath(str(path))).replace(os.sep, "/")
    return folder.split("/lm_eval/tasks/", 1)[1] if "/lm_eval/tasks/" in folder else os.path.basename(folder)


class Lines:
    def __init__(self, path):
        self.path = path
        self.f = open(path + ".tmp", "w", encoding="utf-8")
        self.n = 0

    def write(self, **line):
        from lm_eval.utils import handle_non_serializable

        text = json.dumps(line, ensure_ascii=False, allow_nan=False, default=handle_non_serializable)
        self.f.write(text + "\n")
        self.n += 1

    def close(self):
        self.write(kind="end", lines=self.n + 1)
        self.f.close()
        os.replace(self.path + ".tmp", self.path)


def request(arguments, before):
    """One request; a context equal to the one before is left out."""
    out = {} if before is not None and arguments[0] == before else {"context": arguments[0]}
    if len(arguments) > 1:
        out["gen_kwargs" if isinstance(arguments[1], dict) else "continuation"] = arguments[1]
    return out


def write_docs(lines, task, ids):
    by_doc = {}
    for instance in task.instances:
        by_doc.setdefault(instance.doc_id, []).append(instance)
    for n, (doc_id, instances) in enumerate(sorted(by_doc.items())):
        instances.sort(key=lambda i: i.idx)
        doc, requests, before = instances[0].doc, [], None
        for i in instances:
            requests.append(request(i.args, before))
            before = i.args[0]
        line = {"doc": doc, "target": task.doc_to_target(doc)}
        if getattr(task.config, "doc_to_choice", None) is not None:
            line["choices"] = task.doc_to_choice(doc)
        if getattr(task, "multiple_input", 0):
            line["text"] = task.doc_to_text(doc)
        try:
            lines.write(kind="doc", task=task.task_name, doc_id=ids[n] if ids else doc_id, **line, requests=requests)
        except ValueError as e:
            sys.exit(f"task {task.task_name}, document {doc_id}: {e}: a bundle has no NaN and no infinity")


def write_task(lines, task, entry, ids):
    text, functions = task_file(task)
    if functions:
        print(
            f"task {task.task_name}: its scoring is Python ({', '.join(functions)}), which is not in a bundle. muster "
            "measures it where it has these functions built in; else the task is predict only",
            file=sys.stderr,
        )
    lines.write(
        kind="task",
        name=task.task_name,
        folder=folder_of(entry),
        num_fewshot=task.config.num_fewshot or 0,
        n_original=len(task.eval_docs),
        multiple_inputs=bool(getattr(task, "multiple_input", 0)),
        multiple_targets=bool(getattr(task, "multiple_target", 0)),
        scoring_functions=functions,
        config=shown_config(task),
        task_file=text,
    )
    write_docs(lines, task, ids)


def parents_first(groups):
    order, seen = [], set()

    def visit(g):
        if g.name in seen:
            return
        seen.add(g.name)
        for child in g.get_all_groups(recursive=False):
            visit(child)
        order.append(g)

    for g in reversed(list(groups.values())):
        visit(g)
    return reversed(order)


def group_config(g):
    out = plain(g.to_dict())
    if isinstance(out.get("metadata"), dict):
        out["metadata"].pop("config_source", None)
    return out


def write_group(lines, g):
    lines.write(
        kind="group",
        name=g.name,
        alias=g.alias or g.name,
        version=g.version,
        config=group_config(g),
        children=g.child_names,
        metrics=[
            {"metric": m.metric, "filters": m.filter_list or [], "weight_by_size": bool(m.weight_by_size)}
            for m in g.aggregate_metric_list or []
        ],
    )


def override(task, a):
    """What simple_evaluate() does to a task before its requests are built."""
    if task.get_config("output_type") == "generate_until" and a.gen_kwargs:
        task.set_config(key="generation_kwargs", value=a.gen_kwargs, update=True)
    if a.predict_only:
        task.override_metric(metric_name="bypass")
    if a.num_fewshot is not None and task.get_config("num_fewshot") != 0:
        task.set_config(key="num_fewshot", value=a.num_fewshot)
    if task.get_config("num_fewshot") is None:
        task.set_config(key="num_fewshot", value=0)
    task.set_fewshot_seed(seed=a.seed[3])


def chat_function(a):
    """lm-eval's own call of the tokenizer, without a model behind it."""
    if not a.apply_chat_template:
        return None
    if not a.tokenizer:
        sys.exit("--apply_chat_template needs --tokenizer: the folder or name whose chat template is meant")
    from functools import partial
    from types import SimpleNamespace

    from lm_eval.models.huggingface import HFLM
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(a.tokenizer)
    if isinstance(tokenizer.chat_template, dict) and isinstance(a.apply_chat_template, str):
        tokenizer.chat_template = tokenizer.chat_template[a.apply_chat_template]
    holder = SimpleNamespace(tokenizer=tokenizer, chat_template_args=a.chat_template_args)
    return partial(HFLM.apply_chat_template, holder)


def gen_kwargs(text):
    from lm_eval.utils import simple_parse_args_string

    return json.loads(text) if text.lstrip().startswith("{") else simple_parse_args_string(text)


def seeds(text):
    """One number for all four, or lm-eval's python,numpy,torch[,fewshot]."""
    v = [None if x.strip() == "None" else int(x) for x in text.split(",")]
    return (v * 4 if len(v) == 1 else v + [1234])[:4]


def arguments():
    p = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    p.add_argument("--tasks", required=True, help="names of tasks, groups and tags, separated by commas")
    p.add_argument("--output", required=True, metavar="FILE")
    p.add_argument("--num_fewshot", type=int)
    p.add_argument("--limit", type=float, help="documents a task; below 1 a share of them")
    p.add_argument("--samples", type=json.loads, help='JSON: {"task": [document, ...]}')
    p.add_argument("--include_path", help="a folder of more task files")
    p.add_argument("--metadata", type=json.loads, default={}, help="JSON for tasks that make their documents")
    p.add_argument("--system_instruction")
    p.add_argument("--apply_chat_template", nargs="?", const=True, default=False, metavar="NAME")
    p.add_argument("--chat_template_args", type=json.loads, default={}, help="JSON: variables for the template")
    p.add_argument("--tokenizer", help="folder or name of the tokenizer whose chat template is applied")
    p.add_argument("--fewshot_as_multiturn", default="true", choices=("true", "false"))
    p.add_argument("--gen_kwargs", type=gen_kwargs, help="key=value,... or JSON")
    p.add_argument("--predict_only", action="store_true")
    p.add_argument("--seed", type=seeds, default=[0, 1234, 1234, 1234], help="python,numpy,torch,fewshot")
    a = p.parse_args()
    if a.limit and a.samples:
        p.error("--limit and --samples exclude each other")
    return a


def sow(a):
    """Some tasks shuffle when they make their documents."""
    import random

    import numpy

    if a.seed[0] is not None:
        random.seed(a.seed[0])
    if a.seed[1] is not None:
        numpy.random.seed(a.seed[1])


def main():
    a = arguments()
    sow(a)
    import lm_eval
    from lm_eval.evaluator_utils import get_sample_size
    from lm_eval.tasks import TaskManager

    manager = TaskManager(include_path=a.include_path, metadata=a.metadata)
    loaded = manager.load(a.tasks.split(","))
    chat = chat_function(a)
    lines = Lines(a.output)
    options = {k: v for k, v in vars(a).items() if k not in ("output", "include_path")}
    lines.write(
        format="muster-bundle",
        version=FORMAT_VERSION,
        lm_eval=getattr(lm_eval, "__version__", "unknown"),
        options=options,
    )
    for g in parents_first(loaded["groups"]):
        write_group(lines, g)
    for name, task in loaded["tasks"].items():
        if getattr(task, "MULTIMODAL", False):
            sys.exit(f"task {name} shows images or plays sound; muster evaluates text only")
        override(task, a)
        ids = sorted(a.samples[name]) if a.samples and name in a.samples else None
        task.build_all_requests(
            limit=get_sample_size(task, a.limit),
            samples=ids,
            system_instruction=a.system_instruction,
            apply_chat_template=bool(a.apply_chat_template),
            fewshot_as_multiturn=a.fewshot_as_multiturn == "true",
            chat_template=chat,
        )
        write_task(lines, task, manager.task_index.get(name), ids)
    lines.close()


if __name__ == "__main__":
    main()
