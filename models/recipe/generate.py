#!/usr/bin/env python3
"""Short English problems in three families: reasoning, arithmetic, code.

    generate.py --split heldout --count 600 --seed 7 --format jsonl > heldout.jsonl
    generate.py --split train --count 1000 --seed 1 --format text

A problem belongs to the held-out split when the hash of its content key says so, whatever the
seed: the two splits are disjoint by construction. The key is the question itself, except in
arithmetic, where it is the bare fact ("sum 7 12"): a held-out fact is never trained on in any
wording of that family.
"""

import argparse
import hashlib
import json
import random
import sys

FAMILIES = ("reasoning", "arithmetic", "code")
HELDOUT_ONE_IN = 8

NAMES = ("Ana Ben Cora Dan Eva Finn Gina Hugo Ida Jack Kim Leo Mia Nora Omar Paul Rosa Sam Tina Vera Will Yara "
         "Zoe Alma Bruno Carla David Emma Felix Grace Henry Irene James Laura Marco Nina Oscar Petra Quentin "
         "Rita Simon Teresa Ursula Victor Walter Xavier Yvonne Albert Bianca Cedric Doris Edgar Fiona Gustav Hannah "
         "Isabel Jonas Karin Lukas Monika").split()
THINGS = ("cup key hat pen book coin lamp ring ball card shell stone drum flute brush spoon plate candle ticket "
          "basket bottle carpet hammer ladder mirror needle pencil ribbon rocket saddle teapot violin whistle "
          "blanket helmet jacket anchor bucket compass diamond envelope feather guitar hammock mitten notebook "
          "pillow statue trumpet umbrella wagon").split()
COLOURS = "red blue green pink black white brown gold purple orange yellow silver".split()
ANIMALS = "cat dog cow pig horse sheep goat duck rabbit monkey turtle parrot camel zebra".split()
PLACES = "kitchen garden garage attic cellar office hall barn library market station museum harbour chapel".split()
ORDERS = (("taller", "tallest", "shortest"), ("older", "oldest", "youngest"),
          ("faster", "fastest", "slowest"), ("richer", "richest", "poorest"))


CORE = 10       # most problems use only the first words of each list; the rest keeps the vocabulary broad


def pick(rng, words, count):
    """count different words."""
    return rng.sample(words[:CORE] if rng.random() < 0.85 else words, count)


def make(question, answer, choices=None, key=None):
    return {"question": question, "answer": str(answer), "choices": choices, "key": key or question}


def shuffled(rng, items):
    items = list(items)
    rng.shuffle(items)
    return items


def compute(rng, question, working, result, key=None):
    """A problem whose answer is "working = result"; the wrong choices are near misses."""
    near = [result + step for step in (-10, -3, -2, -1, 1, 2, 3, 10) if result + step >= 0]
    choices = [f"{working} = {n}" for n in [result] + rng.sample(near, 3)]
    return make(question, choices[0], shuffled(rng, choices), key)


# --- reasoning ---------------------------------------------------------------------------------

def look_up(rng, subjects, objects, fact, ask_object, ask_subject):
    """Four facts and a question about one of them. The answer repeats the fact."""
    people, things = pick(rng, subjects, 4), pick(rng, objects, 4)
    facts = " ".join(fact.format(p, t) + "." for p, t in zip(people, things))
    i = rng.randrange(4)
    if rng.random() < 0.7:
        question, choices = ask_object.format(people[i]), [fact.format(people[i], t) for t in things]
    else:
        question, choices = ask_subject.format(things[i]), [fact.format(p, things[i]) for p in people]
    return make(f"{facts} {question}", choices[i], shuffled(rng, choices))


def who_has(rng):
    return look_up(rng, NAMES, THINGS, "{} has the {}", "What does {} have?", "Who has the {}?")


def where_is(rng):
    return look_up(rng, NAMES, PLACES, "{} is in the {}", "Where is {}?", "Who is in the {}?")


def order(rng):
    people = pick(rng, NAMES, 4)
    more, most, least = rng.choice(ORDERS)
    facts = [f"{a} is {more} than {b}." for a, b in zip(people, people[1:])]
    top = rng.random() < 0.5
    question = f"{' '.join(shuffled(rng, facts))} Who is the {most if top else least}?"
    return make(question, people[0] if top else people[3], shuffled(rng, people))


def member(rng):
    things = pick(rng, THINGS, 5)
    inside = rng.random() < 0.5
    asked = rng.choice(things[:4]) if inside else things[4]
    question = f"The bag holds {things[0]}, {things[1]}, {things[2]} and {things[3]}. Is the {asked} in the bag?"
    return make(question, "yes" if inside else "no", ["yes", "no"])


def kinds(rng):
    animals, colours = pick(rng, ANIMALS, 4), pick(rng, COLOURS, 4)
    i, (name,) = rng.randrange(4), pick(rng, NAMES, 1)
    facts = " ".join(f"Every {a} is {c}." for a, c in zip(animals, colours))
    question = f"{facts} {name} is a {animals[i]}. What colour is {name}?"
    choices = [f"{name} is a {animals[i]} and every {animals[i]} is {c}" for c in colours]
    return make(question, choices[i], shuffled(rng, choices))


def colours(rng):
    shades, things = pick(rng, COLOURS, 4), pick(rng, THINGS, 4)
    i = rng.randrange(4)
    a, b, c, d = (f"a {s} {t}" for s, t in zip(shades, things))
    choices = [f"{shades[i]} {t}" for t in things]
    return make(f"The bag holds {a}, {b}, {c} and {d}. What is {shades[i]}?", choices[i], shuffled(rng, choices))


def line(rng):
    people, i = pick(rng, NAMES, 4), rng.randrange(4)
    a, b, c, d = people
    question = f"{a}, {b}, {c} and {d} stand in a line. Who is {('first', 'second', 'third', 'last')[i]}?"
    return make(question, people[i], shuffled(rng, people))


def ranking(rng):
    people = pick(rng, NAMES, 4)
    more, most, least = rng.choice(ORDERS)
    less = {"taller": "shorter", "older": "younger", "faster": "slower", "richer": "poorer"}[more]
    down, top = rng.random() < 0.5, rng.random() < 0.5
    facts = " ".join(f"{a} is {more if down else less} than {b}." for a, b in zip(people, people[1:]))
    answer = people[0] if down == top else people[3]
    return make(f"{facts} Who is the {most if top else least}?", answer, shuffled(rng, people))


# --- arithmetic --------------------------------------------------------------------------------

def plus(rng):
    if rng.random() < 0.6:
        b = rng.randrange(1, 10)
        a = rng.randrange(1, 100 - b)
    else:
        a, b = rng.randrange(1, 50), rng.randrange(1, 50)
    if rng.random() < 0.5:
        a, b = b, a
    (name,), (thing,) = pick(rng, NAMES, 1), pick(rng, THINGS, 1)
    question = rng.choice((
        f"What is {a} + {b}?",
        f"What is {a} plus {b}?",
        f"{name} has {a} {thing}s and gets {b} more. How many {thing}s in all?"))
    return compute(rng, question, f"{a} + {b}", a + b, f"sum {min(a, b)} {max(a, b)}")


def minus(rng):
    a = rng.randrange(1, 100)
    b = rng.randrange(1, min(a, 9) + 1) if rng.random() < 0.6 else rng.randrange(1, min(a, 50) + 1)
    (name,), (thing,) = pick(rng, NAMES, 1), pick(rng, THINGS, 1)
    question = rng.choice((
        f"What is {a} - {b}?",
        f"What is {a} minus {b}?",
        f"{name} has {a} {thing}s and loses {b}. How many {thing}s are left?"))
    return compute(rng, question, f"{a} - {b}", a - b, f"difference {a} {b}")


def times(rng):
    factor = rng.choice((2, 2, 3, 5, 10))
    a = rng.randrange(1, {2: 50, 3: 20, 5: 20, 10: 10}[factor])
    (thing,) = pick(rng, THINGS, 1)
    question = rng.choice((
        f"What is {a} * {factor}?",
        f"What is {a} times {factor}?",
        f"There are {a} boxes with {factor} {thing}s each. How many {thing}s in all?"))
    return compute(rng, question, f"{a} * {factor}", a * factor, f"product {a} {factor}")


# --- code --------------------------------------------------------------------------------------

WHAT = "What does this print?\n"


def small_step(rng):
    """(operator, left, right, result) with a small result."""
    op = rng.choice("++--*")
    if op == "*":
        a, b = rng.randrange(1, 10), rng.choice((2, 3, 10))
        return op, a, b, a * b
    a, b = rng.randrange(1, 20), rng.randrange(1, 10)
    if op == "+":
        return op, a, b, a + b
    a += b
    return op, a, b, a - b


def assign(rng):
    op, a, b, result = small_step(rng)
    x, y = rng.sample("abcnxyz", 2)
    return compute(rng, f"{WHAT}{x} = {a}\n{y} = {x} {op} {b}\nprint({y})", f"{a} {op} {b}", result)


def call(rng):
    op, a, b, result = small_step(rng)
    f, x = rng.choice("fgh"), rng.choice("abcnxyz")
    return compute(rng, f"{WHAT}def {f}({x}):\n    return {x} {op} {b}\nprint({f}({a}))", f"{a} {op} {b}", result)


def loop(rng):
    x, a, rounds, step = rng.choice("abcnxyz"), rng.randrange(0, 10), rng.randrange(1, 5), rng.randrange(1, 6)
    program = f"{x} = {a}\nfor i in range({rounds}):\n    {x} = {x} + {step}\nprint({x})"
    return compute(rng, WHAT + program, " + ".join(map(str, [a] + [step] * rounds)), a + rounds * step)


def listing(rng):
    x, items = rng.choice("abcnxyz"), rng.sample(range(10), 4)
    what, result = rng.choice((
        (f"{x}[0]", items[0]), (f"{x}[1]", items[1]), (f"{x}[-1]", items[-1]),
        (f"max({x})", max(items)), (f"min({x})", min(items))))
    return make(f"{WHAT}{x} = {items}\nprint({what})", result, shuffled(rng, map(str, items)))


def compare(rng):
    x, (a, b), op = rng.choice("abcnxyz"), rng.sample(range(20), 2), rng.choice("<>")
    result = a > b if op == ">" else a < b
    choices = [f"{a} {op} {b} is {r}" for r in (True, False)]
    return make(f"{WHAT}{x} = {a}\nprint({x} {op} {b})", f"{a} {op} {b} is {result}", choices)


def write(rng):
    f, x, k, m = rng.choice("fgh"), rng.choice("abcnxyz"), rng.randrange(1, 100), rng.randrange(2, 10)
    task, body = rng.choice((
        (f"adds {k} to {x}", f"{x} + {k}"),
        (f"takes {k} from {x}", f"{x} - {k}"),
        (f"multiplies {x} by {k}", f"{x} * {k}"),
        (f"adds {k} to {x} and multiplies by {m}", f"({x} + {k}) * {m}"),
        (f"takes {k} from {x} and multiplies by {m}", f"({x} - {k}) * {m}")))
    return make(f"Write a function {f} that {task}.", f"def {f}({x}): return {body}")


MAKERS = {
    "reasoning": (colours, line, ranking),
    "arithmetic": (plus, plus, plus, minus, minus, minus, times),
    "code": (assign, call, loop, listing, compare, write),
}
# The first stage of training has other reasoning problems. They were not solved within it, but
# they teach the models to copy words out of the question.
FIRST_STAGE = {**MAKERS, "reasoning": (who_has, who_has, where_is, where_is, kinds, kinds, member, order)}


def is_heldout(family, key):
    digest = hashlib.sha256(f"{family}\n{key}".encode()).digest()
    return int.from_bytes(digest[:8], "big") % HELDOUT_ONE_IN == 0


def problems(split, seed, weights=(1, 1, 1), makers=MAKERS):
    """Endless stream of problems of one split ("train" or "heldout")."""
    rng = random.Random(f"muster {split} {seed}")
    while True:
        family = rng.choices(FAMILIES, weights)[0]
        p = rng.choice(makers[family])(rng)
        if is_heldout(family, p["key"]) != (split == "heldout"):
            continue
        choices = p["choices"]
        yield {"family": family, "question": p["question"], "choices": choices,
               "gold": choices.index(p["answer"]) if choices else None, "answer": p["answer"]}


def balanced(split, seed, count, makers=MAKERS):
    """count different problems, families in turn."""
    streams = [problems(split, f"{seed} {f}", [f == g for g in FAMILIES], makers) for f in FAMILIES]
    seen = set()
    while len(seen) < count:
        stream = streams[len(seen) % len(FAMILIES)]
        p = next(p for p in stream if p["question"] not in seen)
        seen.add(p["question"])
        yield p


def prompt(p):
    return f"Question: {p['question']}\nAnswer:"


def text(p):
    return f"{prompt(p)} {p['answer']}\n\n"


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--split", choices=("train", "heldout"), default="train")
    ap.add_argument("--count", type=int, default=30)
    ap.add_argument("--seed", type=int, default=1)
    ap.add_argument("--format", choices=("text", "jsonl"), default="text")
    args = ap.parse_args()
    for p in balanced(args.split, args.seed, args.count):
        sys.stdout.write(text(p) if args.format == "text" else json.dumps(p) + "\n")


if __name__ == "__main__":
    main()
