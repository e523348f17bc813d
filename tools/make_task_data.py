#!/usr/bin/env python3
"""Documents of the tasks in tasks/, out of the problems the small models in models/ were held out from.

    tools/make_task_data.py        run from the root of the repository; writes tasks/data/*.jsonl

FAMILY.jsonl are the held-out problems of a family, FAMILY_choice.jsonl those of them that have choices (where that is
not all), FAMILY_shots.jsonl problems of the training split for few-shot prompts: the generator keeps the two apart.
"""

import json
import subprocess
import sys
from pathlib import Path

FAMILIES = ("reasoning", "arithmetic", "code")
SHOTS = 16  # a family


def write(path, docs):
    with open(path, "w", encoding="utf-8") as out:
        for doc in docs:
            out.write(json.dumps({key: value for key, value in doc.items() if key != "family"}, ensure_ascii=False) + "\n")
    print(f"{path}: {len(docs)}")


def main():
    data = Path("tasks/data")
    data.mkdir(parents=True, exist_ok=True)
    heldout = [json.loads(line) for line in open("models/heldout.jsonl", encoding="utf-8")]
    made = subprocess.run([sys.executable, "models/recipe/generate.py", "--split", "train", "--count", "150", "--seed", "11",
                           "--format", "jsonl"], check=True, capture_output=True, text=True)
    train = [json.loads(line) for line in made.stdout.splitlines()]
    for family in FAMILIES:
        docs = [doc for doc in heldout if doc["family"] == family]
        choice = [doc for doc in docs if doc["choices"]]
        shots = [doc for doc in train if doc["family"] == family and doc["choices"]][:SHOTS]
        write(data / f"{family}.jsonl", docs)
        if len(choice) != len(docs):
            write(data / f"{family}_choice.jsonl", choice)
        write(data / f"{family}_shots.jsonl", shots)


if __name__ == "__main__":
    main()
