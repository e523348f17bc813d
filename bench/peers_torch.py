#!/usr/bin/env python3
"""PyTorch at the work of bench/peers.sh: a Llama of the shape of FOLDER/config.json in bfloat16, random weights.

    peers_torch.py FOLDER THREADS PROMPT STEPS

Prints `prefill`, `decode` and `decode32` with tokens a second: a prompt of PROMPT tokens of which the last one's logits are
taken, and STEPS steps of one and of 32 sequences. No warming run. Sums in the order that PyTorch chooses.
"""

import json
import sys
import time
from pathlib import Path

import torch
from torch.nn.functional import linear, scaled_dot_product_attention, silu


def random_weights(c):
    hidden, ffn = c["hidden_size"], c["intermediate_size"]
    kv = hidden // c["num_attention_heads"] * c["num_key_value_heads"]
    shapes = {"q": (hidden, hidden), "k": (kv, hidden), "v": (kv, hidden), "o": (hidden, hidden),
              "gate": (ffn, hidden), "up": (ffn, hidden), "down": (hidden, ffn)}
    tensor = lambda rows, cols: torch.empty(rows, cols, dtype=torch.bfloat16).uniform_(-0.03, 0.03)
    layers = [{name: tensor(*shape) for name, shape in shapes.items()} for _ in range(c["num_hidden_layers"])]
    return {"layers": layers, "embed": tensor(c["vocab_size"], hidden), "head": tensor(c["vocab_size"], hidden)}


def norm(x, eps):
    f = x.float()
    return (f * torch.rsqrt(f.pow(2).mean(-1, keepdim=True) + eps)).to(x.dtype)


def rotated(x, at, theta):
    half = x.shape[-1] // 2
    angle = torch.arange(at, at + x.shape[2])[:, None] * theta ** (-torch.arange(half) / half)
    cos, sin = angle.cos().to(x.dtype), angle.sin().to(x.dtype)
    a, b = x[..., :half], x[..., half:]
    return torch.cat((a * cos - b * sin, b * cos + a * sin), -1)


def attention(x, w, cache, at, c):
    batch, n, hidden = x.shape
    heads, groups = c["num_attention_heads"], c["num_key_value_heads"]
    split = lambda t, h: t.view(batch, n, h, -1).transpose(1, 2)
    q = rotated(split(linear(x, w["q"]), heads), at, c["rope_theta"])
    cache[0][:, :, at:at + n] = rotated(split(linear(x, w["k"]), groups), at, c["rope_theta"])
    cache[1][:, :, at:at + n] = split(linear(x, w["v"]), groups)
    k, v = (t[:, :, :at + n].repeat_interleave(heads // groups, 1) for t in cache)
    out = scaled_dot_product_attention(q, k, v, is_causal=n > 1)
    return linear(out.transpose(1, 2).reshape(batch, n, hidden), w["o"])


def step(ids, at, w, caches, c):
    x = w["embed"][ids]
    for layer, cache in zip(w["layers"], caches):
        x = x + attention(norm(x, c["rms_norm_eps"]), layer, cache, at, c)
        y = norm(x, c["rms_norm_eps"])
        x = x + linear(silu(linear(y, layer["gate"])) * linear(y, layer["up"]), layer["down"])
    return linear(norm(x[:, -1], c["rms_norm_eps"]), w["head"]).argmax(-1, keepdim=True)


def rate(w, c, batch, prompt, steps):
    """Tokens a second of the prompt and of the steps behind it."""
    size = (batch, c["num_key_value_heads"], prompt + steps, c["hidden_size"] // c["num_attention_heads"])
    caches = [[torch.zeros(size, dtype=torch.bfloat16) for _ in range(2)] for _ in w["layers"]]
    begin = time.perf_counter()
    ids = step(torch.randint(c["vocab_size"], (batch, prompt)), 0, w, caches, c)
    middle = time.perf_counter()
    for i in range(steps):
        ids = step(ids, prompt + i, w, caches, c)
    end = time.perf_counter()
    return batch * prompt / (middle - begin), batch * steps / (end - middle)


def main(folder, threads, prompt, steps):
    c = json.loads((folder / "config.json").read_text())
    torch.set_num_threads(threads)
    with torch.inference_mode():
        w = random_weights(c)
        print("prefill", rate(w, c, 1, prompt, 1)[0])
        print("decode", rate(w, c, 1, 1, steps)[1])
        print("decode32", rate(w, c, 32, 1, steps)[1])


if len(sys.argv) != 5:
    sys.exit(__doc__)
main(Path(sys.argv[1]), *map(int, sys.argv[2:]))
