#!/usr/bin/env python3
"""Read small YAML texts with PyYAML's SafeLoader and write what they mean to yaml_golden.json.

    python3 tests/base/make_yaml_golden.py        (needs PyYAML 6)

Dates are kept as their text, as our reader keeps them; everything else is PyYAML's own. Not compared, because our
reader differs on purpose: unknown tags (kept), the values = and << (text), surrogates written as escapes (refused)."""
import json
import math
import os

import yaml


class Loader(yaml.SafeLoader):
    pass


Loader.add_constructor("tag:yaml.org,2002:timestamp", lambda loader, node: loader.construct_scalar(node))
Loader.add_constructor("!function", lambda loader, node: loader.construct_scalar(node))

SCALARS = """yes Yes YES yEs no No NO true True TRUE tRUE false on On ON off OFF y n Y N ~ null Null NULL nULL none None
0 1 -1 +1 00 01 07 08 010 -010 0o17 0x1F 0x1g -0x1f 0b101 0b2 1_000 _1 1_ 0_7 123456789012345678 9223372036854775807
9223372036854775808 -9223372036854775808 99999999999999999999 0.0 1. 1.5 -1.5 +1.5 .5 -.5 ._5 1.5e3 1.5e+3 1.5E-3 1e3
1e+3 1.e+3 1_0.5 1.5_0 . .e+1 1:30 1:30:05 190:20:30 1:60 1:5 -1:30 0:30 1:30.5 1:30.25 20:61.5 12:30:45.
2001-12-14 2001-12-14T21:59:43.10-05:00 2001-1-1 <<< - -- --- ... a a:b a#b 'yes' "yes" '1' "\\n" "\\x41\\u00e9"
!!str 1|!!int '3'|!!float 1|!!bool yes|!!null ''|!!str|! 1|!!int abc|!!float x|!!bool maybe|!!int 0x10|!!float 1e3""".replace("|", "\n")

DOCUMENTS = [
    "", " ", "# only\n", "---\n", "--- a\n", "a: 1\nb:\n  - 1\n  - two\n  - [3, 4.5, {x: y}]\n", "- a\n-\n- b:\n", "a:\n- 1\n- 2\n",
    "{a: 1, b: [1, 2], 'c d': null}", "[a, b, ]", "{a, b: 1}", "? a\n: b\n", "? [1]\n: b\n", "? {a: 1}\n: b\n",
    "a: 1\na: 2\nb: 3\na: 4\n", "1: a\n'1': b\n", "true: a\nnull: b\n1.5: c\n0x10: d\nyes: e\n~: f\n",
    "text: |\n  one\n   two\n\n  three\nnext: >\n  folded\n  text\n\n  para\n\n    more\n  end\n", "a: |-\n  x\n\nb: |+\n  y\n\nc: >-\n  p\n  q\nd: |2\n    z\n",
    "a: 'it''s'\nb: \"q\\\"\\t\\\\ \\u65e5 \\U0001F642\\0\"\nc: \"two\n  lines\"\nd: 'x\n\n  y'\n", "a: \"\\q\"\n", "a: 'open\n",
    "a: &x [1, 2]\nb: *x\nc: *x\n", "a: &x {p: 1}\nb:\n  <<: *x\n  q: 2\n", "a: &x {p: 1, r: 5}\nb: &y {p: 2, q: 3}\nc:\n  z: 0\n  <<: [*x, *y]\n  q: 9\n", "a: &x {p: 1}\nb: {<<: *x, p: 2}\nc: {p: 2, <<: *x}\n",
    "a: &x {p: 1}\nb: &y {<<: *x, q: 2}\nc:\n  <<: *y\n  <<: {r: 3, p: 7}\n", "a:\n  <<: 5\n", "a:\n  <<: [1]\n", "a: *nope\n", "a: &x 1\nb: &x 2\nc: *x\n", "a: &x yes\nb: *x\n? *x\n: key\n", "<<: {a: 1}\nb: 2\n", "'<<': {a: 1}\n", "a: {<<: {b: 1}}\n", "- &x {a: 1}\n- <<: *x\n  b: 2\n",
    "a: !function utils.process\nb: !function 'm.f'\n", "a: !!set {x, y}\n", "a: !!map {x: 1}\nb: !!seq [1]\n", 
    "--- 1\n--- 2\n", "a: 1\n...\n", "a: 1\n...\nb: 2\n", "%YAML 1.1\n---\na: 1\n", "a: 1\n b: 2\n", "a: b: c\n", "a:\n\t- 1\n", "- a\nb: 1\n", "[1, 2\n", "{a: 1\n", "]\n", "a: [1, 2]]\n", "@a\n", "`a`\n", "a: @b\n", "%a\n", "a: 1 # comment\n#c\nb: 'x#y' # z\nc: x#y\n",
    "task: arc_easy\ntag:\n  - ai2_arc\ndataset_path: allenai/ai2_arc\ndataset_name: ARC-Easy\noutput_type: multiple_choice\ndoc_to_text: \"Question: {{question}}\\nAnswer:\"\ndoc_to_target: \"{{choices.label.index(answerKey)}}\"\nmetric_list:\n  - metric: acc\n    aggregation: mean\n    higher_is_better: true\nmetadata:\n  version: 1.0\n",
    "generation_kwargs:\n  until:\n    - \"\\n\\n\"\n    - 'Q:'\n  do_sample: false\n  temperature: 0.0\nfilter_list:\n  - name: x\n    filter:\n      - function: regex\n        regex_pattern: '#### (\\-?[0-9\\.\\,]+)'\n      - function: take_first\n",
    "a: 'multi\n  line ''quoted'' text'\nb: plain\n  continued\n  text\nc:   spaced   out   \n", "a:   # nothing\nb: ''\nc: \"\"\n", "- - 1\n  - 2\n- - 3\n", "-\n  a: 1\n  b: 2\n-\n  - x\n", "a: [\n  1, # one\n  2\n]\n", "key with spaces: v\n\"quoted key\": v\n? long\n: v\n", "\ufeffa: 1\n", "a: \u00e9\u65e5\n", "a: b\r\nc: d\r\n", "a: \u2028x\n", "x: {y: [1, {z: 2}]}\n", "- !!int '7'\n- !!str 7\n", "a: -\n", "a: - b\n", "[-1, - 2]\n", "{a: -1, b:2}\n", "a: 0x\nb: 0b\n",
]


def plain(value):
    """JSON's idea of the value; keys as our reader writes them."""
    if isinstance(value, dict):
        return {k if isinstance(k, str) else json.dumps(k): plain(v) for k, v in value.items()}
    if isinstance(value, (set, frozenset)):
        return {k if isinstance(k, str) else json.dumps(k): None for k in sorted(value)}
    if isinstance(value, list):
        return [plain(v) for v in value]
    if isinstance(value, int) and not isinstance(value, bool) and not -2**63 <= value < 2**63:
        return float(value)
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError("not finite")
    return value


def case(text):
    try:
        return {"text": text, "expected": plain(yaml.load(text, Loader))}
    except Exception:
        return {"text": text, "error": True}


def main():
    cases = [case(t) for t in DOCUMENTS]
    cases += [case("v: " + s + "\n") for line in SCALARS.split("\n") for s in (line.split() if "!" not in line else [line])]
    cases += [case("[" + s + "]") for s in "yes no 1 010 1.5 1:30 ~ null a 0x1F 1e3 .5 -".split()]
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "yaml_golden.json")
    with open(path, "w", encoding="utf-8") as f:
        f.write('{"made_with": "PyYAML %s", "cases": [\n' % yaml.__version__)
        f.write(",\n".join(json.dumps(c) for c in cases))
        f.write("\n]}\n")
    print(len(cases), "cases,", sum("error" in c for c in cases), "of them errors")


if __name__ == "__main__":
    main()
