#!/usr/bin/env python3
"""Write metrics_golden.json: what lm-evaluation-harness 0.4.13 and sacrebleu 2.6 compute from own small inputs, for
test_metrics.c, test_filters.c and test_score.c.

Usage: make_metrics.py [SEED [CORPORA]] > tests/eval/metrics_golden.json
"""
import json
import os
import random
import sys
from types import SimpleNamespace

os.environ["DISABLE_MULTIPROC"] = "1"
sys.argv, ARGS = sys.argv[:1], sys.argv[1:]
OUT, sys.stdout = sys.stdout, sys.stderr  # the bootstrap prints

import numpy as np
from lm_eval.api import metrics as lm
from lm_eval.api.group import Group
from lm_eval.api.registry import get_aggregation, get_metric, get_metric_aggregation
from lm_eval.api.task import ConfigurableTask, Task
from lm_eval.config.group import AggMetricConfig
from lm_eval.evaluator_utils import _compute_task_aggregations
from lm_eval.filters import build_filter_ensemble

SEED = int(ARGS[0]) if ARGS else 7
CORPORA = int(ARGS[1]) if len(ARGS) > 1 else 6
RND = random.Random(SEED)


def plain(v):
    if isinstance(v, np.ndarray):
        return [plain(x) for x in v]
    if isinstance(v, (np.floating, np.integer, np.bool_)):
        return v.item()
    if isinstance(v, (list, tuple)):
        return [plain(x) for x in v]
    if isinstance(v, dict):
        return {k: plain(x) for k, x in v.items()}
    return v


# ---- bleu, chrf, ter ----

SENTENCES = [
    "The ferry leaves the harbour at 7.30, and nobody waits for it.",
    "A quiet orchard lay behind the mill - apples, pears & a few plums.",
    "He paid $1,250.75 (in cash!) for the old cello.",
    "Ask Nora's brother: does the 9-to-5 train stop in Kista?",
    "Πέντε φίλοι είδαν τον ΟΔΥΣΣΕΥΣ στο λιμάνι.",
    "雨が降ったので、試合は中止になりました。",
    "El niño comió tres naranjas; después durmió la siesta.",
    "Der große Bär schläft, bis der Frühling kommt.",
    "x = y / 3; if (x > 4) { return \"ok\"; }",
    "Snow fell all night and by morning the road to the village was gone.",
    "one two three four five six seven eight nine ten eleven twelve",
    "They sang, they danced, they laughed... and then they left.",
    "&quot;Tom &amp;amp; Ann&quot; is a &lt;b&gt;bold&lt;/b&gt; sign",
    "hyphen-\nated words and <skipped> tags\nover lines",
    "no-break\u00a0space and thin\u2009space, tab\there",
    "", " ", ".", "12.5", "3,000.", "a.b,c", "..,,", "--- 5-3 a-b",
]
WORDS = " ".join(SENTENCES).split()


def garble(text):
    words = text.split(" ")
    for _ in range(RND.randint(0, 4)):
        kind, n = RND.randint(0, 5), len(words)
        at = RND.randrange(n)
        if kind == 0 and n > 1:
            del words[at]
        elif kind == 1:
            words.insert(at, RND.choice(WORDS))
        elif kind == 2:
            words[at] = RND.choice(WORDS)
        elif kind == 3 and n > 3:
            k = RND.randint(1, min(4, n - 1))
            part = words[at:at + k]
            del words[at:at + k]
            to = RND.randint(0, len(words))
            words[to:to] = part
        elif kind == 4:
            words[at] = words[at].upper()
        elif kind == 5:
            words = words[:max(1, n - RND.randint(0, 3))]
    return " ".join(words)


def corpus(n, refs):
    items = []
    for _ in range(n):
        text = RND.choice(SENTENCES)
        if RND.random() < 0.3:
            text = " ".join([text, RND.choice(SENTENCES), RND.choice(SENTENCES)])
        if RND.random() < 0.05:
            text = " ".join(RND.choice("abcde") for _ in range(RND.randint(20, 90)))
        said = garble(text) if RND.random() < 0.9 else RND.choice(SENTENCES)
        if refs:
            items.append([[garble(text) for _ in range(RND.randint(refs, refs + 1))], said])
        else:
            items.append([text, said])
    return items


def corpora():
    some = [corpus(RND.randint(1, 9), RND.choice([0, 0, 1, 3])) for _ in range(CORPORA)]
    some += [[["a b c d", "a b c d"]], [["a b c d", "w x y z"]], [["", ""]], [["", "a b"]], [["a b", ""]],
             [["a b c", "a b c"]], [["the cat sat on the mat", "the the the the"]],
             [["A b C", "a B c"]],
             [[" ".join("abcdefghij" * 8), " ".join("jihgfedcba" * 8)]],
             [[" ".join(f"w{i}" for i in range(120)), " ".join(f"w{(i * 7) % 120}" for i in range(120))]],
             [[" ".join(f"w{i}" for i in range(5)), " ".join(f"w{i % 9}" for i in range(300))]],
             [[" ".join(f"w{i % 9}" for i in range(300)), " ".join(f"w{i}" for i in range(5))]],
             [["\"Well,\" (she) said: so-so! é, .x ..", "Well, she said (so): \"so-so\"!! é ,x . .."],
              ["¿Qué? - 'No'.", "¿Qué - 'No' ."]],
             [[["(a) b, c", "a b c.", "a, b"], "a b, c."], [["x", "(x)", "y z"], "(y z)"]]]
    return [{"items": c, "bleu": lm.bleu(c), "chrf": lm.chrf(c), "chrf++": lm.chrfpp(c), "ter": lm.ter(c)}
            for c in some]


def bootstraps():
    c = corpus(12, 0)
    scores = {"bleu": lm.bleu, "chrf": lm.chrf, "chrf++": lm.chrfpp, "ter": lm.ter}
    return [{"items": c, "name": n, "stderr": lm.stderr_for_metric(scores[n], 100)(c)} for n in scores]


# ---- exact_match ----

def exact_match():
    cases = [
        (["42"], ["42"], {}), (["42"], ["42 "], {}), (["Yes"], ["yes"], {}), (["Yes"], ["yes"], {"ignore_case": True}),
        (["ok"], ["o.k!"], {"ignore_punctuation": True}), (["a1b2"], ["ab"], {"ignore_numbers": True}),
        (["1,234"], ["$1234."], {"regexes_to_ignore": [",", r"\$", r"\.$"]}),
        (["1,234"], ["#### 1234"], {"regexes_to_ignore": [",", r"\$", r"(?s).*#### "], "ignore_case": True}),
        (["ΟΔΟΣ"], ["οδος"], {"ignore_case": True}), (["STRASSE"], ["straße"], {"ignore_case": True}),
        (["¿qué?"], ["¿qué"], {"ignore_punctuation": True}), (["a", "b", "c"], ["b", "b", "b"], {}),
        (["x"], [["x", "y", "x", "z"]], {}), (["a", "b"], [["a", "a"], ["a", "a"]], {}), ([3], [3], {}), ([3], ["3"], {}),
        ([1, "one"], ["1", "1"], {}), (["a\0"], ["a"], {}), (["a" + "\0" * 2 + "b"], ["a\0\0b"], {}),
        (["`~|"], [""], {"ignore_punctuation": True, "ignore_case": False}),
        (["2"], ["A2"], {"regexes_to_ignore": [], "ignore_numbers": False}), ([""], [""], {}),
    ]
    return [{"references": r, "predictions": p, "kwargs": k,
             "value": plain(lm.exact_match_hf_evaluate(references=r, predictions=p, **k)["exact_match"])}
            for r, p, k in cases]


# ---- filters ----

def filters():
    doc = {"choices": ["The red fox.", "a  Blue whale", "Nothing", "(none of these)"]}
    answers = ["The answer is (B).", "answer: C", "I think it is the red fox", "A BLUE  WHALE!", "nothing at all", "",
               "choose: D or : A", "#### 42", "so #### -1,024.5\n#### 7", "NONE OF THESE", ": E"]
    tags = ["[('Ada', 'NOUN'), ('runs', 'VERB')]", "none here", "('a', 'DET')('b', 'X')"]
    spans = ["person: Ada Lovelace $$ location: London", "PER: none $$ LOC : Nairobi, Kampala\nTime: today",
             "Persons  : X, None, Y $ org:", "the date: 5 May $$$ people:Bo$", "superperson: No. PER:\n\n", "loc: a: org: b"]
    white = ["  a b ", "\u00a0x\u2003", "\x1c y\x85", "", "z\u200b "]
    cases = [
        ("regex", {}, [answers], None),
        ("regex", {"regex_pattern": r"(-?[$0-9.,]{2,})|(-?[0-9]+)", "group_select": -1}, [answers, ["a 5 b 77"], []], None),
        ("regex", {"regex_pattern": r"answer is \(?([A-D])", "fallback": " F "}, [answers], None),
        ("regex", {"regex_pattern": "(x)?(y)?", "fallback": " F "}, [["ab", "xy"]], None),
        ("regex", {"regex_pattern": "b"}, [["abc", None, 5, ["q"]], "abc"], None),
        ("regex_pos", {}, [tags, [[["w", "T"], ["v", "U"]], []]], None),
        ("regex_pos", {"fallback": ["?"]}, [tags], None),
        ("remove_whitespace", {}, [white, [], "a b"], None),
        ("lowercase", {}, [["ÀÉ Straße İI ΑΣ ΑΣΑ Σ", "ABC"]], None),
        ("uppercase", {}, [["ﬁne straße ŉ ǰ ΐ", "abc ﬃ"]], None),
        ("map", {"mapping_dict": {"A": 1, "B": "two"}, "default_value": -1}, [["A", "B", "C", None], "BA", []], None),
        ("map", {"mapping_dict": {"A": 1}}, [["A", "B"]], None),
        ("map", {}, [["A"]], None),
        ("take_first", {}, [["a", "b"], [[-1.5, True]], "xyz", "éa"], None),
        ("take_first_k", {"k": 2}, [["a", "b", "c"], ["a"], "abc"], None),
        ("majority_vote", {}, [["b", "a", "a", "b", "c"], ["x"], [1, 2, 2], [None, "", None], "abca"], None),
        ("format_span", {}, [spans, []], None),
        ("multi_choice_regex", {}, [answers], [doc]),
        ("multi_choice_regex", {"regex_pattern": r"(\([A-Z]\))", "group_select": 0, "ignore_case": True,
                                "ignore_punctuation": True}, [answers, answers], [doc, {"choices": ["x", "x", "y"]}]),
        ("multi_choice_regex", {"regex_pattern": r"(\([A-Z]\))", "group_select": -1, "ignore_case": True,
                                "regexes_to_ignore": ["the ", "[.]"], "fallback": "?"}, [answers, ["xx: A b: B", "…"]],
         [doc, {"choices": ["", "…", "b"]}]),
        ("multi_choice_regex", {}, [["Guilty of it", "Guilty", "a.b", "a bc"]],
         [{"choices": ["Guilty", "Guilty of it", "a.b", "a bcd", "a b", "a bc"]}]),
        ("multi_choice_regex", {"ignore_punctuation": True}, [["they said a , then b"]], [{"choices": ["a .", "b"]}]),
    ]
    out = []
    for name, kwargs, resps, docs in cases:
        made = build_filter_ensemble("x", [[name, dict(kwargs)]]).filters[0]().apply(resps, docs)
        out.append({"name": name, "kwargs": kwargs, "resps": resps, "docs": docs, "out": plain([x for x in made])})
    return out


def cases_of_letters():
    texts = ["ΑΣ", "ΑΣ.", "ΑΣ'Α", "Σ", "ΑΣΑ", "Α'Σ", "A\u0301Σ b", "İstanbul", "ŒUVRE ẞ", "ﬀ ﬁ ﬂ ŉ ǰ ẖ ΐ ᾳ ᾼ ß", "Ⅷ ⓐ Σ",
             "ABC xyz", "ǅ ǆ Ǆ", "Ꭰ ꭰ", "𐐀𐐨", "ᲀ ა Ა"]
    return [[t, t.lower(), t.upper()] for t in texts]


# ---- process_results ----

class Stub(ConfigurableTask):
    def __init__(self, kind, names, target, choices=None, text=None, multiple=0, kwargs=None):
        self.OUTPUT_TYPE = kind
        self._config = SimpleNamespace(process_results=None, doc_to_choice=choices, task="stub")
        self.choices, self.target, self.text = choices, target, text
        self.multiple_input = len(choices) if text is not None else 0
        self.multiple_target = multiple
        self._metric_fn_list = {n: get_metric(n) for n in names}
        self._metric_fn_kwargs = {n: dict((kwargs or {}).get(n, {})) for n in names}
        self._aggregation_list = {n: get_metric_aggregation(n) for n in names}
        self._higher_is_better = {}

    def doc_to_text(self, doc, f=None):
        return self.text

    def doc_to_target(self, doc, f=None):
        return self.target

    def doc_to_choice(self, doc, f=None):
        return self.choices


CHOICE = ["acc", "acc_norm", "acc_bytes", "exact_match", "f1", "mcc", "brier_score", "likelihood"]


def measures():
    four, lls = ["no", "yes", "maybe so", "ﬁne é"], [[-4.0, False], [-3.5, True], [-3.5, False], [-9.25, False]]
    cases = [dict(kind="multiple_choice", names=CHOICE, target=t, choices=four, results=lls) for t in
             (0, 1, 2, -1, 4, "yes", "absent", True)]
    cases += [dict(kind="multiple_choice", names=CHOICE[:-2], target=t, choices=four, results=lls, multiple=2)
              for t in ([1, 2], [0, 3], [7, 1], [-1, 0])]
    cases += [
        dict(kind="multiple_choice", names=["acc", "acc_norm"], target=" it", choices=["He ran", "She ran"], text=1,
             results=[[-7.0, False], [-6.5, True]]),
        dict(kind="multiple_choice", names=["acc", "acc_mutual_info", "exact_match", "likelihood"], target=0,
             choices=["a", "bb"], results=[[-2.0, False], [-1.0, True], [-9.0, False], [-1.5, False]]),
        dict(kind="multiple_choice", names=["acc_mutual_info"], target=-1, choices=["a", "bb"],
             results=[[-2.0, False], [-1.0, True], [-9.0, False], [-1.5, False]]),
        dict(kind="multiple_choice", names=["acc_norm", "acc"], target=1, choices=["", "b"],
             results=[[0.0, False], [-1.0, True]]),
        dict(kind="multiple_choice", names=["bypass"], target=1, choices=["a", "b"], results=[[-2.0, True], [-1.0, True]]),
        dict(kind="loglikelihood", names=["acc", "perplexity"], target="x", results=[[-2.25, True]]),
        dict(kind="loglikelihood", names=["perplexity"], target="x", results=[[-2.25, False]]),
        dict(kind="loglikelihood_rolling", names=["bits_per_byte", "word_perplexity", "byte_perplexity"],
             target=" two  wörds\n", results=[-12.5]),
        dict(kind="generate_until", names=["exact_match"], target="4", results=["4"]),
        dict(kind="generate_until", names=["exact_match"], target=4, results=["4"]),
        dict(kind="generate_until", names=["exact_match"], target=4.0, results=["4.0"]),
        dict(kind="generate_until", names=["exact_match"], target=["a", 'b"'], results=["['a', 'b\"']"]),
        dict(kind="generate_until", names=["exact_match"], target=" 12 ", results=[12]),
        dict(kind="generate_until", names=["exact_match"], target="2.5", results=[2.5]),
        dict(kind="generate_until", names=["exact_match"], target="a", results=[["a", "b"]]),
        dict(kind="generate_until", names=["exact_match", "bleu", "chrf", "ter", "f1", "acc"], target="a b", results=["A b"],
             kwargs={"exact_match": {"ignore_case": True}}),
        dict(kind="generate_until", names=["exact_match"], target=1, choices=["no", "yes"], results=["yes"]),
        dict(kind="generate_until", names=["exact_match"], target=-1, choices=["no", "yes"], results=["no"]),
        dict(kind="generate_until", names=["exact_match", "acc", "bypass"], target=["x", "y"], multiple=2, results=["y"]),
        dict(kind="generate_until", names=["acc", "exact_match"], target=["x", "y"], multiple=2, results=["z"]),
        dict(kind="generate_until", names=["exact_match"], target="xy", multiple=2, results=["y"]),
        dict(kind="generate_until", names=["exact_match"], target=1, choices=["no", "yes"], multiple=2, results=["yes"]),
        dict(kind="generate_until", names=["bypass"], target=4, results=["4"]),
    ]
    out = []
    for c in cases:
        results = c.pop("results")
        stub = Stub(**c)
        made = stub.process_results({}, [tuple(r) if isinstance(r, list) and len(r) == 2 and isinstance(r[1], bool) else r
                                         for r in results])
        out.append({**c, "results": results, "out": plain(made)})
    return out


# ---- whole tasks ----

def score(kind, names, docs, resps, pipelines, aggregations=None, iters=1000, kwargs=None):
    """docs: [{target, choices}], resps: a document's requests' repeats."""
    instances, first = [], []
    for d, doc in zip(docs, resps):
        first.append(len(instances))
        instances += [SimpleNamespace(resps=list(r), doc=d, filtered_resps={}) for r in doc]
    raw = {}
    for name, steps in pipelines:
        build_filter_ensemble(name, steps).apply(instances)
    for name, _ in pipelines:
        for d, doc, at in zip(docs, resps, first):
            stub = Stub(kind, names, d["target"], d.get("choices"), kwargs=kwargs)
            got = [i.filtered_resps[name] for i in instances[at:at + len(doc)]]
            for k, v in stub.process_results(d, got).items():
                raw.setdefault((k, name), []).append(v)
    own = {n: get_aggregation((aggregations or {}).get(n)) if n in (aggregations or {}) else get_metric_aggregation(n)
           for n in names}
    task = SimpleNamespace(aggregation=lambda: own, task_name="stub")
    made, n = _compute_task_aggregations(task, raw, iters)
    return {"kind": kind, "metrics": names, "docs": docs, "resps": resps, "kwargs": kwargs or {}, "iters": iters,
            "pipelines": [[n, [[f, k] for f, k in s]] for n, s in pipelines],
            "aggregations": {n: next(k for k in ("mean", "median", "perplexity", "weighted_perplexity", "bits_per_byte", "f1",
                                                 "matthews_corrcoef", "bleu", "chrf", "ter", "brier_score", "bypass")
                                     if get_aggregation(k) is own[n]) for n in names},
            "out": [[k, v] for k, v in plain(made).items()], "n": n}


def scores():
    r = random.Random(SEED)
    choice_docs = [{"target": r.randrange(2), "choices": ["a", "bb"]} for _ in range(20)]
    choice = [[[(-r.random() * 8, r.random() < 0.2)] for _ in range(2)] for _ in choice_docs]
    texts = ["so #### 4", "it is 4", "#### 5\n#### 4", "four"]
    gen_docs = [{"target": r.choice(["4", "5"])} for _ in range(12)]
    gen = [[[r.choice(texts) for _ in range(3)]] for _ in gen_docs]
    mt_docs = [{"target": RND.choice(SENTENCES[:8])} for _ in range(9)]
    mt = [[[garble(d["target"])]] for d in mt_docs]
    none = [["none", [["take_first", None]]]]
    return [
        score("multiple_choice", ["acc", "acc_norm", "f1", "mcc", "brier_score", "exact_match"], choice_docs, choice, none),
        score("loglikelihood", ["perplexity", "acc"], [{"target": "x"}] * 9, [[[(-r.random() * 3, r.random() < 0.5)]] for _ in range(9)], none),
        score("loglikelihood_rolling", ["word_perplexity", "byte_perplexity", "bits_per_byte"],
              [{"target": t} for t in SENTENCES[:5]], [[[-r.random() * 90]] for _ in range(5)], none),
        score("generate_until", ["exact_match"], gen_docs, gen,
              [["strict-match", [["regex", {"regex_pattern": r"#### (\-?[0-9\.\,]+)"}], ["take_first", None]]],
               ["flexible-extract", [["regex", {"group_select": -1, "regex_pattern": r"(-?[$0-9.,]{2,})|(-?[0-9]+)"}],
                                     ["take_first", None]]],
               ["maj@3", [["take_first_k", {"k": 3}], ["regex", {"regex_pattern": "([0-9])"}], ["majority_vote", None],
                          ["take_first", None]]]]),
        score("generate_until", ["bleu", "chrf", "ter"], mt_docs, mt, none, iters=1000),
        score("generate_until", ["exact_match"], gen_docs[:1], gen[:1], none),
        score("generate_until", ["bypass"], gen_docs[:2], gen[:2], none),
        score("multiple_choice", ["acc"], choice_docs[:4], choice[:4], none, {"acc": "median"}, iters=50),
        score("multiple_choice", ["acc"], choice_docs[:4], choice[:4], none, iters=0),
    ]


def groups():
    leaves = [
        {"name": "one", "sample_len": 10, "acc,none": 0.5, "acc_stderr,none": 0.05, "acc,strict": 0.25, "acc_stderr,strict": 0.01},
        {"name": "two", "sample_len": 30, "acc,none": 0.75, "acc_stderr,none": 0.02},
        {"name": "three", "sample_len": 7, "em,none": 0.125, "em_stderr,none": "N/A", "acc,none": 1.0, "acc_stderr,none": 0.5},
    ]
    configs = [("acc", ["none"], True), ("acc", ["none"], False), ("acc", None, True), ("em", None, True),
               ("absent", None, True), ("acc", ["strict", "none"], True)]
    out = []
    for metric, filter_list, weight in configs:
        g = Group("g", aggregate_metric_list=[AggMetricConfig(metric, filter_list, "mean", weight)])
        h = Group("h")
        for leaf in leaves[1:]:
            task = Task.__new__(Stub)
            task._config = SimpleNamespace(task=leaf["name"])
            h.add(task)
        first = Task.__new__(Stub)
        first._config = SimpleNamespace(task="one")
        g.add(first)
        g.add(h)
        out.append({"metric": metric, "filter": filter_list, "weight_by_size": weight,
                    "out": plain(g.aggregate({leaf["name"]: leaf for leaf in leaves}))})
    return {"leaves": leaves, "cases": out}


if __name__ == "__main__":
    made = {"corpus": corpora(), "bootstrap": bootstraps(), "exact_match": exact_match(), "filter": filters(),
            "letters": cases_of_letters(), "measure": measures(), "score": scores(), "group": groups()}
    json.dump(made, OUT, ensure_ascii=False, indent=None, separators=(",", ":"))
    OUT.write("\n")
