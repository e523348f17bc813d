#!/usr/bin/env python3
"""Write data sets of the hub as muster reads them offline: DIR/<dataset_path>/<dataset_name>/<split>.jsonl.

    python3 mirror_datasets.py DIR allenai/ai2_arc:ARC-Easy openai/gsm8k:main

Runs where the datasets library and the network (or its cache) are. A name without ":" has no configuration.
"""
import json
import sys
from pathlib import Path

from datasets import load_dataset

for wanted in sys.argv[2:]:
    path, _, name = wanted.partition(":")
    folder = Path(sys.argv[1], path, name)
    folder.mkdir(parents=True, exist_ok=True)
    for split, rows in load_dataset(path, name or None).items():
        with open(folder / f"{split}.jsonl", "w", encoding="utf-8") as f:
            for row in rows:
                f.write(json.dumps(row, ensure_ascii=False, default=str) + "\n")
        print(folder / f"{split}.jsonl", len(rows))
