"""Writes docs_golden.json: what lm-evaluation-harness's task functions do with documents of our own.

    python make_docs.py > docs_golden.json

Needs lm-eval 0.4.13 with sacrebleu, rouge_score, word2number, regex and scipy. What the functions import but these cases do
not reach (Hugging Face evaluate's code_eval, langdetect, NLTK's data) is replaced by stand-ins.
"""

import importlib.util
import json
import os
import sys
import types

import lm_eval

TASKS = os.path.join(os.path.dirname(lm_eval.__file__), "tasks")


def stand_in(name, **members):
    module = types.ModuleType(name)
    for key, value in members.items():
        setattr(module, key, value)
    sys.modules[name] = module
    return module


class NoCode:
    def compute(self, **kwargs):
        return [{"pass@1": 0}]


stand_in("evaluate", load=lambda name: NoCode())
stand_in("langdetect", LangDetectException=ValueError)
stand_in("immutabledict", immutabledict=dict)
import nltk

nltk.data.find = nltk.download = lambda *a, **k: True


def load(folder, module):
    path = os.path.join(TASKS, folder, module + ".py")
    spec = importlib.util.spec_from_file_location(folder.replace("/", "_") + "_" + module, path)
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


class Docs(list):
    """What process_docs sees of a datasets.Dataset."""

    def map(self, fn):
        return Docs({**doc, **fn(doc)} for doc in self)

    def filter(self, fn):
        return Docs(doc for doc in self if fn(doc))


cases = []


def plain(v):
    if hasattr(v, "item"):
        return v.item()
    if isinstance(v, (list, tuple)):
        return [plain(x) for x in v]
    if isinstance(v, dict):
        return {k: plain(x) for k, x in v.items()}
    return v


def case(folder, module, name, kind, want, **given):
    cases.append({"folder": folder.split("/")[0], "name": f"{module}.{name}", "kind": kind, **given, "want": plain(want)})


def docs(folder, name, given):
    fn = getattr(load(folder, "utils"), name)
    case(folder, "utils", name, "docs", list(fn(Docs(given))), docs=given)


def field(folder, module, name, doc):
    case(folder, module, name, "field", getattr(load(folder, module), name)(doc), doc=doc)


def results(folder, module, name, doc, *each, shared=None):
    """One document, its results several times over; `shared` names a list of them that many cases have."""
    fn = getattr(load(folder, module), name)
    case(folder, module, name, "results", [fn(doc, given) for given in each], doc=doc, each=shared or list(each))


def filtered(folder, name, resps, given):
    case(folder, "utils", name, "filter", getattr(load(folder, "utils"), name)(resps, given), resps=resps, docs=given)


def filter_class(folder, name, kwargs, resps, given):
    want = getattr(load(folder, "utils"), name)(**kwargs).apply(resps, given)
    case(folder, "utils", name, "filter_class", [list(x) for x in want], kwargs=kwargs, resps=resps, docs=given)


# ---- HellaSwag ----
docs("hellaswag", "process_docs", [
    {"ind": 4, "activity_label": "Baking bread", "ctx_a": "A baker kneads dough.", "ctx_b": "then SHE waits",
     "endings": ["  for it to rise.", "[substeps] A [x] b [title] Next  step", "[open bracket", "a]b[c\nd]e"], "label": "2"},
    {"ind": 5, "activity_label": "Odd [header] text", "ctx_a": " Tabs\tand   spaces", "ctx_b": "",
     "endings": ["[]", "[[nested] twice]", " [title]", "four    spaces"], "label": "0"},
    {"ind": 6, "activity_label": "Ünïcode", "ctx_a": "ÉTÉ", "ctx_b": "ßtraße ΟΔΟΣ İstanbul ΟΔΟΣ.",
     "endings": ["ﬁn", "x", "y", "z"], "label": " 3 "},
    {"ind": 7, "activity_label": "a", "ctx_a": "b", "ctx_b": "ǆungla ŉ", "endings": ["\u2003wide\u00a0"], "label": "0"},
])

# ---- Winogrande ----
for doc in [
    {"sentence": "The cup fell off the table because _ was wobbly.", "option1": "the table", "option2": "the cup", "answer": "1"},
    {"sentence": "_ thanked Ravi _ twice \u00a0", "option1": "Ana", "option2": "Müller", "answer": "2"},
    {"sentence": "No words after _", "option1": "", "option2": "x", "answer": "2"},
]:
    for name in ("doc_to_text", "doc_to_target", "doc_to_choice"):
        field("winogrande", "preprocess_winogrande", name, doc)

# ---- WikiText ----
for page in [
    " = Heron = \n\n The grey heron is 90 @-@ 98 cm tall , and weighs 1 @,@ 020 @.@ 5 g . \n It said : \" wait \" ; then left ! \n",
    "Birds ' nests ( found in trees ) [ note 1 ] { odd }  ' quoted ' and the teachers ' room . Why ? N eggs N \n = = Diet = = \n",
    "= = = Sub = = = \n = = = = Deep = = = = \n 20 \u00b0 C at /' 5/' 6/ end (( a ) b ) ( unclosed ' s 's it 's",
    "", " ", "( )", "\"\"\" a \" b", "no marks\u2003at\u00a0all \u2028 x", "'a '  b' ( \u3000 c \u3000 )",
]:
    field("wikitext", "preprocess_wikitext", "wikitext_detokenizer", {"page": page})
    results("wikitext", "preprocess_wikitext", "process_results", {"page": page}, [-12.5])

# ---- TruthfulQA ----
results("truthfulqa", "utils", "process_results_mc2", {"mc2_targets": {"choices": ["a", "b", "c", "d"], "labels": [1, 1, 0, 0]}},
        [[-3.25, False], [-4.5, True], [-2.75, False], [-9.0, False]])
results("truthfulqa", "utils", "process_results_mc2", {"mc2_targets": {"choices": list("abcdefghijk"), "labels": [1, 0] * 5 + [1]}},
        [[-3.1 * i - 40.7, False] for i in range(11)])
gen = [
    {"question": " Do magnets attract wood? ", "correct_answers": ["No", " Magnets attract iron, not wood. ", ""],
     "incorrect_answers": ["Yes. ", "Wood is magnetic"]},
    {"question": "Q", "correct_answers": ["I have no comment"], "incorrect_answers": ["x"]},
]
docs("truthfulqa", "process_docs_gen", gen)
ready = [{**d, **load("truthfulqa", "utils").preprocess_function(d)} for d in gen]
ready.append({"question": "long", "correct_answers": [
    "Herons eat fish . They also eat frogs, snakes and 3.5 kg of eels a week . Some say so.",
    "A heron's diet: fish (mostly) & frogs -- 50% each!", "\u00dcber \u201cquotes\u201d and \u20ac5."],
    "incorrect_answers": ["Herons eat grass . They never eat frogs or snakes.", "Nothing at all, they only drink water."]})
for doc in ready:
    results("truthfulqa", "utils", "process_results_gen", doc,
            ["No."], ["Magnets attract iron and steel, not wood."], [""], ["Wood is magnetic, yes. Wood is."],
            ["They eat fish . Herons also eat frogs , snakes and eels .\nSome say so ."],
            ["\u00dcber \u201cquotes\u201d and \u20ac5."], ["fish fish fish frogs herons herons eat eat eat"])

# ---- MMLU-Pro ----
pro = [
    {"question": "What is 2 + 2?", "options": [" 3", "4 ", "5"], "category": "math",
     "cot_content": "A: Let's think step by step. Two and two are four. The answer is (B)."},
    {"question": "Pick one.", "options": [str(i) for i in range(12)], "category": "computer science", "cot_content": ""},
    {"question": "Who rules?", "options": [], "category": "law", "cot_content": "A: Let's think step by step. A: Let's think step by step. x"},
]
for doc in pro:
    for name in ("doc_to_text", "fewshot_to_text", "fewshot_to_target"):
        field("mmlu_pro", "utils", name, doc)
for subject in ("math", "computer_science", "law", "biology"):
    docs("mmlu_pro", "process_" + subject, pro)

# ---- DROP ----
date = {"day": "", "month": "", "year": ""}
drop = [
    {"query_id": "q1", "passage": "p", "question": "How many?", "answer": {"number": "12", "date": date, "spans": []},
     "validated_answers": {"number": ["12", "", ""], "date": [date, {"day": "3", "month": "May", "year": "1820"}, date],
                           "spans": [[], [], ["twelve geese", "a goose"]]}},
    {"query_id": "q2", "passage": "p", "question": "When?", "answer": {"number": "", "date": {"day": "", "month": "June", "year": "1911"}, "spans": []},
     "validated_answers": {"number": [], "date": [], "spans": []}},
]
docs("drop", "process_docs", drop)
for answers in [[["12"], ["3 May 1820"], ["twelve geese", "a goose"]], [["the north-west river"]], [["1,000.50 km"]], [["a", "b c"], [" "]],
                [["nan"], ["Infinity"]], [["25 yards", "25-yard line", "the end zone"]], [["\u0660\u0661 x"]], [["1_000", "1__0"]]]:
    results("drop", "utils", "process_results", {"answers": answers}, *([response] for response in ["12", "twelve", " the 3 may, 1820!", "twelve geese and a goose", "North West River", "1000.5", "1000.50km", "", "b c", "a b c",
                     "NaN", "inf", "25 yard line", "25.0", "01 x", "\u0661 X", "1e3", "a-an-the", "\u201cthe\u201d geese\ntwelve", "$5.00 (five)", "1000"]))

# ---- HumanEval, MBPP ----
filtered("humaneval", "build_predictions", [["    return 1\n", ""], ["x"]], [{"prompt": "def f():\n"}, {"prompt": "p"}])
filtered("humaneval", "build_predictions_instruct", [["    return 1\n```\nText", "no fence"], ["```"]], [{"prompt": "def f():\n"}, {"prompt": "p"}])
filtered("mbpp", "build_predictions", [
    ["def f():\n    return 1\n```\nDone.", "python\ndef g(): pass\n```", "no fence at all", "```python\ndef h(): pass\n```\nand\n```\nmore\n```",
     "\n\n```", "", "a ``` b ``` c", "text\n```python\nx = 1\n```"]], [{}])

# ---- BIG-Bench Hard ----
truth = {"group_select": 0, "ignore_case": True, "regex_pattern_to_value": {
    r"\b(no|does not tell the truth|is not telling the truth)\b": "no", r"\b(yes|tells the truth|is telling the truth)\b": "yes"}}
said = [["Yes.", "So the answer is NO", "Ann tells the truth", "Ann does not tell the truth.", "nobody knows", "", "yes and no"]]
filter_class("bbh/zeroshot", "MapRegexFilter", truth, said, [{}])
filter_class("bbh/zeroshot", "MapRegexFilter", {**truth, "group_select": -1, "ignore_punctuation": True, "regexes_to_ignore": ["s"],
                                                "fallback": "?"}, said + [["y.e,s", "n-o"]], [{}, {}])
filter_class("bbh/cot_zeroshot", "NumberParseRegexFilter", {"group_select": 0, "regex_pattern": "([-0-9]+)"}, [[
    "There are 12 of them", "I count fifteen fruits", "twenty-one", "two hundred and five", "one thousand two hundred and thirty four pears",
    "two million three thousand four", "seventy two", "six", "none", "eleven, twelve", "zero", "ten thousand", "seventeen hundred", "fifty five and",
    "One hundred & one things", "two million three hundred thousand", "four billion one"]], [{}])
words = {"input": "Sort the following words alphabetically: List: gull heron auk"}
filter_class("bbh/zeroshot", "WordSortFilter", {}, [["auk gull heron", "auk, then gull (not gulls), heron, auk", "nothing", "heron\ngull"]], [words])
choice = {"input": "Which date is it?\nOptions:\n(A) 01/02/2021\n(B) The heron's day\n(C) Never (ever)\n"}
for kwargs in [{"group_select": 0, "ignore_case": True, "ignore_punctuation": True, "regex_pattern": r"(\([A-Z]\))"},
               {"group_select": -1, "regex_pattern": r"(\([A-Z]\))"}]:
    filter_class("bbh/zeroshot", "MultiChoiceRegexFilter", kwargs, [[
        "The answer is (B), not (A).", "It is the herons day", "01/02/2021 or so", "The answer: C", "Answer: D", "", "never: B", "Never"]], [choice])
filter_class("bbh/zeroshot", "MultiChoiceRegexFilter", {"regex_pattern": r"(\([A-Z]\))"}, [["x: A", "(A)"]], [{"input": "no options"}])

# ---- IFEval ----


def instruction(name, responses, **kwargs):
    doc = {"key": 1, "prompt": "p", "instruction_id_list": [name], "kwargs": [{"num_words": None, **kwargs}]}
    results("ifeval", "utils", "process_results", doc, *([response] for response in responses), shared="texts")


sys.path.insert(0, os.path.dirname(TASKS))
texts = ["", " \n ", "A heron stood in the reeds. It waited!\n\nThen it left, quietly.\n\nThe end", "* one\n* two\n- three\n**four**\n -five",
         "*bold* and **very bold** and * * and ** **", "Title: <<Song>>\nSection 1\nthe heron\nSECTION 2 more\nSection 3",
         "first ****** second", "******same******same", "a\n******\nb\n******", "p1 *** p2***p3", "***p1 *** *** p3", "P.S. bye", "x p. p.s bye",
         "\"quoted\"", "\"", "```json\n{\"a\": [1, 2.5e3, NaN, null, \"\\u00e9\"]}\n```", "{\"a\": 01}", "[1,]", "```\n[]\n```", "-Infinity", "{\"a\" 1}",
         "[name] and [address\n] [] [x]", "My answer is maybe. Really.", "Repeat me, then answer", "HERONS heron Heron heronry", "\u0130stanbul \u03a3\u03a3",
         "intro\n* one\noutro", "\"Is there anything else?\"", "one two  three_four five-six \u00e9t\u00e9 \u4e2d\u6587", "'\"Heron, one'\n\nb"]
instruction("keywords:existence", texts, keywords=["heron", "st.od"])
instruction("keywords:frequency", texts, keyword=" heron ", frequency=2, relation="at least")
instruction("keywords:frequency", texts, keyword="heron", frequency=2, relation="less than")
instruction("keywords:forbidden_words", texts, forbidden_words=["heron", "two"])
instruction("keywords:letter_frequency", texts, letter="E", let_frequency=3, let_relation="at least")
instruction("keywords:letter_frequency", texts, letter="s", let_frequency=2, let_relation="less than")
instruction("length_constraints:number_paragraphs", texts, num_paragraphs=2)
instruction("length_constraints:number_paragraphs", texts, num_paragraphs=3)
instruction("length_constraints:number_words", texts, num_words=5, relation="at least")
instruction("length_constraints:number_words", texts, num_words=8, relation="less than")
instruction("length_constraints:nth_paragraph_first_word", texts, num_paragraphs=3, nth_paragraph=2, first_word="Then")
instruction("length_constraints:nth_paragraph_first_word", texts, num_paragraphs=2, nth_paragraph=1, first_word="HERON")
instruction("detectable_content:number_placeholders", texts, num_placeholders=2)
instruction("detectable_content:postscript", texts, postscript_marker="P.S.")
instruction("detectable_content:postscript", texts, postscript_marker=" P.P.S ")
instruction("detectable_content:postscript", texts, postscript_marker="BYE")
instruction("detectable_format:number_bullet_lists", texts, num_bullets=1)
instruction("detectable_format:number_bullet_lists", texts, num_bullets=4)
instruction("detectable_format:constrained_response", texts)
instruction("detectable_format:number_highlighted_sections", texts, num_highlights=1)
instruction("detectable_format:number_highlighted_sections", texts, num_highlights=3)
instruction("detectable_format:multiple_sections", texts, section_spliter="Section ", num_sections=2)
instruction("detectable_format:json_format", texts)
instruction("detectable_format:title", texts)
instruction("combination:two_responses", texts)
instruction("combination:repeat_prompt", texts, prompt_to_repeat=" repeat ME,")
instruction("startend:end_checker", texts, end_phrase=" ELSE? ")
instruction("startend:quotation", texts)
instruction("punctuation:no_comma", texts)
both = {"key": 2, "prompt": "p", "instruction_id_list": ["punctuation:no_comma", "detectable_format:title"], "kwargs": [{}, {}]}
results("ifeval", "utils", "process_results", both, ["Sure, here it is:\n<<Herons>>\nThey wade"])
items = [[True, False], [True], [], [False, False, True]]
case("ifeval", "utils", "agg_inst_level_acc", "aggregate", load("ifeval", "utils").agg_inst_level_acc(items), items=items)

json.dump({"texts": [[t] for t in texts], "cases": cases}, sys.stdout, ensure_ascii=False, separators=(",", ":"))
print()
