#!/usr/bin/env python3
"""Train a tokenizer and a tiny model on the generator's text and save both in Hugging Face layout.

    train.py --model llama --out stage1-llama --stop 2000
    train.py --model llama --out ../muster-llama-tiny --resume stage1-llama --stage 2 --steps 750 \\
             --drill 250 --drill-sums 0 --mix 2 1.2 1 --seed 2

    train.py --model dsv3 --out stage1-dsv3 --stop 2000
    train.py --model dsv3 --out ../muster-dsv3-tiny --resume stage1-dsv3 --stage 2 --steps 650 \\
             --drill 250 --drill-sums 0 --mix 2 1.2 1 --seed 2

    train.py --model falcon --out stage1-falcon --stop 2000
    train.py --model falcon --out ../muster-falcon-tiny --resume stage1-falcon --stage 2 --steps 750 \\
             --drill 250 --drill-sums 0 --mix 2 1.2 1 --seed 2

One CPU thread, float32, fixed seeds. Weights are saved as bfloat16 (the router bias as float32).
"""

import argparse
import copy
import json
import math
import os
import random
import time
from pathlib import Path

os.environ["TOKENIZERS_PARALLELISM"] = "false"

import torch
import torch.nn.functional as F
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import (DeepseekV3Config, DeepseekV3ForCausalLM, FalconConfig, FalconForCausalLM, LlamaConfig,
                          LlamaForCausalLM)
from transformers.utils import logging

import generate

VOCAB = 1024
ROW = 256               # tokens in one training row
QUESTION_WEIGHT = 0.1   # loss weight of a question's tokens; an answer's tokens weigh 1

# --- tokenizers --------------------------------------------------------------------------------

# The splitting patterns of Llama 3 and DeepSeek-V3, with digits one by one.
LLAMA_SPLIT = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
               r"|\s*[\r\n]+|\s+(?!\S)|\s+")
DEEPSEEK_SPLITS = (
    r"\p{N}",
    r"[!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+")

# bos, eos, pad: ids 0, 1, 2
SPECIAL = {
    "llama": ("<|begin_of_text|>", "<|end_of_text|>", "<|pad|>"),
    "dsv3": ("<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>", "<｜▁pad▁｜>"),
    "falcon": ("<|startoftext|>", "<|endoftext|>", "<|pad|>"),
}
SPLITS = {"llama": (LLAMA_SPLIT,), "dsv3": DEEPSEEK_SPLITS}

CHAT_TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}"
    "{% if message['role'] == 'user' %}Question: {{ message['content'] }}\n"
    "{% elif message['role'] == 'assistant' %}Answer: {{ message['content'] }}\n\n"
    "{% else %}{{ message['content'] }}\n\n{% endif %}"
    "{% endfor %}{% if add_generation_prompt %}Answer:{% endif %}")


def splitting(kind):
    if kind == "falcon":    # as published, but for digits one by one in place of three
        return [pre_tokenizers.Punctuation("contiguous"), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True),
                pre_tokenizers.Digits(individual_digits=True)]
    return [pre_tokenizers.Split(Regex(p), "isolated") for p in SPLITS[kind]] + [
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]


def train_tokenizer(kind):
    tok = Tokenizer(models.BPE())
    tok.pre_tokenizer = pre_tokenizers.Sequence(splitting(kind))
    tok.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=VOCAB, special_tokens=list(SPECIAL[kind]), show_progress=False,
                                  initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()))
    tok.train_from_iterator((generate.text(p) for p in generate.balanced("train", 1, 20000, generate.FIRST_STAGE)), trainer)
    bos = SPECIAL[kind][0]
    tok.post_processor = processors.TemplateProcessing(
        single=f"{bos} $A", pair=f"{bos} $A {bos} $B", special_tokens=[(bos, 0)])
    return tok


def save_tokenizer(tok, kind, out):
    bos, eos, pad = SPECIAL[kind]
    tok.save(str(out / "tokenizer.json"))
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": bos, "eos_token": eos, "pad_token": pad,
        "model_max_length": 1024,
        "clean_up_tokenization_spaces": False,
        "chat_template": CHAT_TEMPLATE,
    }
    write_json(out / "tokenizer_config.json", config)


# --- models ------------------------------------------------------------------------------------

COMMON = dict(
    vocab_size=VOCAB, hidden_size=256, max_position_embeddings=1024, rms_norm_eps=1e-6, hidden_act="silu",
    bos_token_id=0, eos_token_id=1, pad_token_id=2, tie_word_embeddings=False, initializer_range=0.06,
    rope_parameters={"rope_type": "default", "rope_theta": 10000.0})


def new_model(kind):
    if kind == "llama":
        return LlamaForCausalLM(LlamaConfig(
            **COMMON, intermediate_size=512, num_hidden_layers=4, num_attention_heads=8, num_key_value_heads=4,
            head_dim=32))
    if kind == "falcon":
        shared = {k: v for k, v in COMMON.items() if k not in ("rms_norm_eps", "hidden_act", "tie_word_embeddings")}
        return FalconForCausalLM(FalconConfig(
            **shared, layer_norm_epsilon=1e-5, activation="gelu", tie_word_embeddings=True, num_hidden_layers=4,
            num_attention_heads=8, num_kv_heads=2, ffn_hidden_size=1024, new_decoder_architecture=True,
            num_ln_in_parallel_attn=2, parallel_attn=True, alibi=False, bias=False))
    return DeepseekV3ForCausalLM(DeepseekV3Config(
        **COMMON, intermediate_size=512, moe_intermediate_size=64, num_hidden_layers=4, first_k_dense_replace=1,
        num_attention_heads=8, num_key_value_heads=8, q_lora_rank=96, kv_lora_rank=64, qk_nope_head_dim=32,
        qk_rope_head_dim=16, v_head_dim=32, n_routed_experts=8, num_experts_per_tok=2, n_group=4, topk_group=2,
        n_shared_experts=1, norm_topk_prob=True, routed_scaling_factor=2.5, num_mtp_layers=0))


@torch.no_grad()
def start_easy(model):
    """An initial state from which looking a word up in the context is soon learnt: strong
    embeddings, blocks that add little at first, output rows aligned with the input rows, heads that
    hand on what they see (output = value transposed), every other head seeking its own token
    (query = key)."""
    embed = model.get_input_embeddings().weight
    if model.config.tie_word_embeddings:
        start_tied(model, embed)
        return
    embed.div_(embed.std()).mul_(0.5)
    model.lm_head.weight.copy_(0.04 * embed)
    for name, p in model.named_parameters():
        if "down_proj" in name:
            p.mul_(0.3)
    heads = model.config.num_attention_heads
    for layer in model.model.layers:
        at = layer.self_attn
        if hasattr(at, "k_proj"):
            size, group = at.head_dim, at.num_key_value_groups
            for h in range(heads):
                kv, own = slice(h // group * size, (h // group + 1) * size), slice(h * size, (h + 1) * size)
                at.o_proj.weight[:, own] = 0.6 * at.v_proj.weight[kv].T
                if h % 2:
                    at.q_proj.weight[own] = at.k_proj.weight[kv]
        else:
            nope, value, rank = at.qk_nope_head_dim, at.v_head_dim, at.kv_lora_rank
            down = at.kv_a_proj_with_mqa.weight[:rank]
            at.q_a_proj.weight[:rank] = down
            up, query = at.kv_b_proj.weight.view(heads, nope + value, rank), at.q_b_proj.weight.view(heads, -1, at.q_lora_rank)
            for h in range(heads):
                at.o_proj.weight[:, h * value:(h + 1) * value] = 0.6 * (up[h, nope:] @ down).T
                if h % 2:
                    query[h, :nope, :rank] = up[h, :nope]


def start_tied(model, embed):
    """Falcon, whose output rows are the input rows: they change slowly, so that blocks must soon be
    able to outweigh them. All that is added up has half the size, and the last norm takes the part
    of the small output rows."""
    embed.div_(embed.std()).mul_(0.25)
    model.transformer.ln_f.weight.fill_(0.08)
    heads, group = model.config.num_attention_heads, model.config.num_attention_heads // model.config.num_kv_heads
    for layer in model.transformer.h:
        at = layer.self_attention
        layer.mlp.dense_4h_to_h.weight.mul_(0.08)
        fused = at.query_key_value.weight.view(-1, group + 2, at.head_dim, at.hidden_size)  # queries, key, value
        for h in range(heads):
            kv, i = divmod(h, group)
            at.dense.weight[:, h * at.head_dim:(h + 1) * at.head_dim] = 0.3 * fused[kv, -1].T
            if h % 2:
                fused[kv, i] = fused[kv, -2]


def save_model(model, out):
    small = copy.deepcopy(model).to(torch.bfloat16)
    for new, old in zip(routers(small), routers(model)):
        new.e_score_correction_bias = old.e_score_correction_bias.clone()
    small.generation_config.do_sample = False
    small.save_pretrained(out)
    (out / "model.safetensors").chmod(0o644)
    # Keys as published checkpoints have them, for readers other than transformers 5.
    path = out / "config.json"
    config = json.loads(path.read_text())
    config.update(rope_theta=config["rope_parameters"]["rope_theta"], torch_dtype="bfloat16")
    if routers(model):
        config.update(scoring_func="sigmoid", topk_method="noaux_tc", moe_layer_freq=1)
    write_json(path, config)


def routers(model):
    return [m for m in model.modules() if hasattr(m, "e_score_correction_bias")]


class RouterBalance:
    """DeepSeek-V3's balance without a loss: after each step, every expert's bias moves by a fixed
    step, up when the expert got fewer tokens than the mean and down when it got more."""

    def __init__(self, model):
        self.routers = routers(model)
        self.load = {}
        for r in self.routers:
            r.register_forward_hook(self.count)

    def count(self, router, _inputs, outputs):
        self.load[router] = torch.bincount(outputs[2].flatten(), minlength=router.num_experts).float()

    @torch.no_grad()
    def update(self, rate):
        for r in self.routers:
            r.e_score_correction_bias += rate * torch.sign(self.load[r].mean() - self.load[r])

    def worst(self):
        """Largest share of any expert over the mean share, in the last step."""
        return max((float(n.max() / n.mean()) for n in self.load.values()), default=1.0)


MAKERS = {1: generate.FIRST_STAGE, 2: generate.MAKERS}
DRILLS = {
    1: (("has the", generate.NAMES, generate.THINGS), ("is in the", generate.NAMES, generate.PLACES),
        ("is", generate.ANIMALS, generate.COLOURS)),
    2: (("", generate.COLOURS, generate.THINGS), ("", generate.COLOURS, generate.ANIMALS),
        ("", generate.NAMES, generate.PLACES)),
}

# --- data --------------------------------------------------------------------------------------

def rows(tok, seed, weights, stage):
    """Endless rows of ROW tokens, each token with a loss weight and its document's number. A row
    holds whole documents (a beginning mark, one to five problems, an end mark) and a little padding."""
    rng = random.Random(f"rows {seed}")
    stream = generate.problems("train", seed, weights, MAKERS[stage])
    bos, eos, pad = 0, 1, 2
    row, left, doc = [], 0, 0       # left: problems the open document still takes

    def encode(s):
        return tok.encode(s, add_special_tokens=False).ids

    while True:
        p = next(stream)
        question, answer = encode(generate.prompt(p)), encode(f" {p['answer']}\n\n")
        if len(row) + 3 + len(question) + len(answer) > ROW:
            row.append((eos, QUESTION_WEIGHT, doc))
            yield row + [(pad, 0.0, doc)] * (ROW - len(row))
            row, left, doc = [], 0, 0
        if left == 0:
            if row:
                row.append((eos, QUESTION_WEIGHT, doc))
            doc += 1
            row.append((bos, 0.0, doc))
            left = rng.choice((1, 1, 1, 2, 3, 5))
        row += [(t, QUESTION_WEIGHT, doc) for t in question] + [(t, 1.0, doc) for t in answer]
        left -= 1


def drills(tok, seed, sums, stage):
    """Endless rows of the same form, dense with answers: four facts and eight of them said again, or
    (in a share "sums" of the documents) a dozen sums. They start the attention heads off early."""
    rng = random.Random(f"drills {seed}")
    bos, eos, pad = 0, 1, 2
    row, doc = [], 0

    def encode(s, weight):
        return [(t, weight) for t in tok.encode(s, add_special_tokens=False).ids]

    while True:
        part = [(bos, 0.0)]
        if rng.random() < 1 - sums:
            verb, subjects, objects = rng.choice(DRILLS[stage])
            pairs = list(zip(generate.pick(rng, subjects, 4), generate.pick(rng, objects, 4)))
            for i in range(12):
                a, b = pairs[i] if i < 4 else rng.choice(pairs)
                part += encode(f" {a} {verb}".rstrip(), QUESTION_WEIGHT) + encode(f" {b}", QUESTION_WEIGHT if i < 4 else 1.0)
                part += encode(".", QUESTION_WEIGHT)
        else:
            for _ in range(12):
                p = rng.choice(generate.MAKERS["arithmetic"])(rng)
                if not generate.is_heldout("arithmetic", p["key"]):
                    working, result = p["answer"].split(" =")
                    part += encode(f" {working} =", QUESTION_WEIGHT) + encode(f"{result}\n\n", 1.0)
        part.append((eos, QUESTION_WEIGHT))
        if len(row) + len(part) > ROW:
            yield row + [(pad, 0.0, doc)] * (ROW - len(row))
            row, doc = [], 0
        doc += 1
        row += [(t, w, doc) for t, w in part]


def batch(streams, size):
    """Token ids, loss weights, and an attention mask that is causal and stays inside a document."""
    ids, weight, doc = map(torch.tensor, zip(*(tuple(zip(*next(streams[i % len(streams)]))) for i in range(size))))
    causal = torch.ones(ROW, ROW, dtype=torch.bool).tril()
    mask = causal & (doc[:, :, None] == doc[:, None, :])
    return ids, weight, mask[:, None]


def loss_of(model, ids, weight, mask):
    logits = model(input_ids=ids, attention_mask=mask, use_cache=False).logits
    each = F.cross_entropy(logits[:, :-1].reshape(-1, VOCAB), ids[:, 1:].reshape(-1), reduction="none")
    w = weight[:, 1:].reshape(-1)
    answers = w[-(ROW - 1):] == 1       # of the last row, which is never a drill
    return (each * w).sum() / w.sum(), each[-(ROW - 1):][answers].mean().detach()


# --- training ----------------------------------------------------------------------------------

def rate(step, steps, peak, warmup=50):
    """Linear warm-up, then a cosine down to a hundredth of the peak."""
    if step < warmup:
        return peak * (step + 1) / warmup
    done = (step - warmup) / max(1, steps - warmup)
    return peak * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * done)))


def write_json(path, value):
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False, sort_keys=True) + "\n", encoding="utf-8")


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--model", choices=("llama", "dsv3", "falcon"), required=True)
    ap.add_argument("--out", type=Path, required=True)
    ap.add_argument("--steps", type=int, default=3000)
    ap.add_argument("--stage", type=int, choices=(1, 2), default=1, help="which problems and drills")
    ap.add_argument("--stop", type=int, help="end after this step of the schedule")
    ap.add_argument("--batch", type=int, default=4, help="rows of 256 tokens a step")
    ap.add_argument("--lr", type=float, default=1.5e-3)
    ap.add_argument("--drill", type=int, default=800, help="steps in which half of the rows are drills")
    ap.add_argument("--drill-sums", type=float, default=0.5, help="share of sums among the drills")
    ap.add_argument("--bias-rate", type=float, default=1e-3, help="step of the router bias (dsv3)")
    ap.add_argument("--mix", type=float, nargs=3, default=(0.9, 1.2, 0.9), metavar=("R", "A", "C"),
                    help="shares of reasoning, arithmetic and code")
    ap.add_argument("--resume", type=Path, help="start from the weights of this folder")
    ap.add_argument("--seed", type=int, default=1)
    ap.add_argument("--save-every", type=int, default=400)
    args = ap.parse_args()

    logging.disable_progress_bar()
    torch.set_num_threads(1)
    torch.manual_seed(args.seed)
    torch.use_deterministic_algorithms(True)
    args.out.mkdir(parents=True, exist_ok=True)

    tok = train_tokenizer(args.model)
    save_tokenizer(tok, args.model, args.out)
    model = new_model(args.model)
    if args.resume:
        model = type(model).from_pretrained(args.resume, dtype=torch.float32)
    else:
        start_easy(model)
    model.train()
    print(f"{sum(p.numel() for p in model.parameters())} parameters, {tok.get_vocab_size()} tokens", flush=True)

    matrices = [p for p in model.parameters() if p.ndim > 1]
    vectors = [p for p in model.parameters() if p.ndim <= 1]
    optimizer = torch.optim.AdamW([{"params": matrices, "weight_decay": 0.1}, {"params": vectors, "weight_decay": 0.0}],
                                  lr=args.lr, betas=(0.9, 0.99), eps=1e-9, fused=True)
    balance = RouterBalance(model)
    stream = rows(tok, args.seed, args.mix, args.stage)
    drill = drills(tok, args.seed, args.drill_sums, args.stage)
    start, total = time.time(), 0.0
    last = args.stop or args.steps
    for step in range(last):
        for group in optimizer.param_groups:
            group["lr"] = rate(step, args.steps, args.lr)
        loss, answer_loss = loss_of(model, *batch((drill, stream) if step < args.drill else (stream,), args.batch))
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        balance.update(args.bias_rate)
        total += answer_loss.item()
        if (step + 1) % 100 == 0:
            print(f"step {step + 1} answer loss {total / 100:.4f} busiest expert x{balance.worst():.2f} "
                  f"{time.time() - start:.0f} s", flush=True)
            total = 0.0
        if (step + 1) % args.save_every == 0 or step + 1 == last:
            save_model(model, args.out)


if __name__ == "__main__":
    main()
