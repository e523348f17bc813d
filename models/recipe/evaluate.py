#!/usr/bin/env python3
"""Held-out accuracy of a saved model, and the reference numbers other programs are tested against.

    evaluate.py ../muster-llama-tiny        writes ../muster-llama-tiny/reference.json

The saved bfloat16 weights are computed in float32, one sequence at a time, on one CPU thread.
"""

import argparse
import json
import os
from collections import Counter, defaultdict
from pathlib import Path

os.environ["TOKENIZERS_PARALLELISM"] = "false"

import torch
import transformers
from transformers import AutoModelForCausalLM, AutoTokenizer

import generate

EXAMPLES = 21           # problems with full reference numbers: the first of the file
NEW_TOKENS = 32

CONVENTIONS = {
    "compute": "float32 on CPU from the bfloat16 weights (e_score_correction_bias is float32)",
    "prompt": "'Question: ' + question + '\\nAnswer:', encoded with one BOS token in front (included in prompt_ids)",
    "continuation": "' ' + answer (or choice), encoded alone, without BOS and without the newlines that follow it",
    "greedy": f"{NEW_TOKENS} tokens by argmax, lowest id on a tie, NOT stopped at end of text or newline; "
              "greedy_text decodes them with special tokens skipped; greedy_min_gap is the smallest "
              "difference between the best and the second logit on the way",
    "loglikelihood": "natural logarithm, sum over the continuation's tokens of the full-vocabulary log-softmax",
    "exact_match": "greedy text up to the first newline or end of text, spaces stripped, equals the answer",
    "choice": "highest sum of log-likelihood among the choices, not normalised by length; "
              "problems without choices do not count",
    "chance_exact_match": "always giving the family's most frequent held-out answer",
    "chance_choice": "mean of 1 / number of choices",
}


def greedy(model, ids, count, stop=None):
    """count tokens, the smallest gap to a second best; ends early where stop(tokens) is true."""
    out, gap, cache = [], float("inf"), None
    step = torch.tensor([ids])
    while len(out) < count and not (stop and stop(out)):
        result = model(input_ids=step, past_key_values=cache, use_cache=True)
        cache = result.past_key_values
        logits = result.logits[0, -1]
        best = logits.topk(2).values
        gap = min(gap, float(best[0] - best[1]))
        out.append(int(logits.argmax()))
        step = torch.tensor([[out[-1]]])
    return out, gap


def token_loglikelihoods(model, ids, continuation):
    logits = model(input_ids=torch.tensor([ids + continuation]), use_cache=False).logits[0]
    logp = torch.log_softmax(logits.float(), dim=-1)
    return [float(logp[len(ids) - 1 + i, t]) for i, t in enumerate(continuation)]


def mean(values):
    return round(sum(values) / len(values), 4) if values else None


@torch.inference_mode()
def evaluate(folder, heldout):
    tok = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    problems = [json.loads(line) for line in heldout.read_text(encoding="utf-8").splitlines()]
    exact, choice, chance, answers = (defaultdict(list) for _ in range(4))
    examples = []
    eos = model.config.eos_token_id

    def encode(text, bos):
        ids = tok(text, add_special_tokens=False).input_ids
        return [model.config.bos_token_id] + ids if bos else ids

    def done(tokens):
        return bool(tokens) and (tokens[-1] == eos or "\n" in tok.decode(tokens[-1:]))

    for number, p in enumerate(problems):
        family, prompt = p["family"], generate.prompt(p)
        ids = encode(prompt, True)
        assert ids == tok(prompt).input_ids
        answer_ids = encode(" " + p["answer"], False)
        text = tok.decode(greedy(model, ids, NEW_TOKENS, done)[0], skip_special_tokens=True)
        exact[family].append(text.split("\n")[0].strip() == p["answer"])
        answers[family].append(p["answer"])
        sums = None
        if p["choices"]:
            sums = [sum(token_loglikelihoods(model, ids, encode(" " + c, False))) for c in p["choices"]]
            choice[family].append(sums.index(max(sums)) == p["gold"])
            chance[family].append(1 / len(p["choices"]))
        if number < EXAMPLES:
            tokens, gap = greedy(model, ids, NEW_TOKENS)
            each = token_loglikelihoods(model, ids, answer_ids)
            examples.append({
                "family": family, "prompt": prompt, "prompt_ids": ids, "answer": p["answer"],
                "answer_ids": answer_ids, "answer_token_loglikelihoods": each, "answer_loglikelihood": sum(each),
                "choices": p["choices"], "choice_loglikelihoods": sums,
                "greedy_ids": tokens, "greedy_text": tok.decode(tokens, skip_special_tokens=True),
                "greedy_min_gap": gap})

    accuracy = {f: {
        "problems": len(exact[f]),
        "exact_match": mean(exact[f]),
        "chance_exact_match": mean([a == Counter(answers[f]).most_common(1)[0][0] for a in answers[f]]),
        "problems_with_choices": len(choice[f]),
        "choice": mean(choice[f]),
        "chance_choice": mean(chance[f]),
    } for f in generate.FAMILIES}
    return {"model": folder.name, "heldout": heldout.name, "conventions": CONVENTIONS, "accuracy": accuracy,
            "versions": {"torch": torch.__version__.split("+")[0], "transformers": transformers.__version__},
            "examples": examples}


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("folder", type=Path)
    ap.add_argument("--heldout", type=Path, default=Path(__file__).resolve().parent.parent / "heldout.jsonl")
    ap.add_argument("--out", type=Path, help="default: FOLDER/reference.json")
    args = ap.parse_args()
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    folder = args.folder.resolve()
    result = evaluate(folder, args.heldout)
    out = args.out or folder / "reference.json"
    out.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    print(json.dumps(result["accuracy"], indent=1))


if __name__ == "__main__":
    main()
