#!/usr/bin/env python3
"""A Llama checkpoint in bfloat16 (a folder with one model.safetensors and a tokenizer.json of byte-fallback BPE) as GGUF.

    peers_gguf.py FOLDER OUT.gguf

For peers of bench/peers.sh that read nothing else. The tensors are the same bytes but for two things that GGUF wants
otherwise: norms are float32, and rows of the query and key projections are paired for the rotation as llama.cpp turns
them. Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md. Needs Python alone.
"""

import json
import struct
import sys
from pathlib import Path

ALIGNMENT = 32
U32, F32, BOOL, STRING, ARRAY, I32 = 4, 6, 7, 8, 9, 5  # types of values
TENSOR_F32, TENSOR_BF16 = 0, 30
MOSTLY_BF16 = 32
NORMAL, UNKNOWN, CONTROL, BYTE = 1, 2, 3, 6  # kinds of tokens
LAYER = {
    "input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm", "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v", "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down",
}
WHOLE = {"model.embed_tokens": "token_embd", "model.norm": "output_norm", "lm_head": "output"}


def text(s):
    b = s.encode("utf-8")
    return struct.pack("<Q", len(b)) + b


def value(kind, v):
    if kind == STRING:
        return text(v)
    return struct.pack({U32: "<I", I32: "<i", F32: "<f", BOOL: "<?"}[kind], v)


def entry(key, kind, v):
    return text(key) + struct.pack("<I", kind) + value(kind, v)


def array(key, kind, values):
    return text(key) + struct.pack("<IIQ", ARRAY, kind, len(values)) + b"".join(value(kind, v) for v in values)


def hyper_parameters(c):
    heads = c["num_attention_heads"]
    return [
        entry("general.architecture", STRING, "llama"),
        entry("general.file_type", U32, MOSTLY_BF16),
        entry("llama.block_count", U32, c["num_hidden_layers"]),
        entry("llama.context_length", U32, c["max_position_embeddings"]),
        entry("llama.embedding_length", U32, c["hidden_size"]),
        entry("llama.feed_forward_length", U32, c["intermediate_size"]),
        entry("llama.attention.head_count", U32, heads),
        entry("llama.attention.head_count_kv", U32, c["num_key_value_heads"]),
        entry("llama.attention.layer_norm_rms_epsilon", F32, c["rms_norm_eps"]),
        entry("llama.rope.dimension_count", U32, c["hidden_size"] // heads),
        entry("llama.rope.freq_base", F32, c["rope_theta"]),
        entry("llama.vocab_size", U32, c["vocab_size"]),
    ]


def kind_of(id_, token):
    if id_ < 3:
        return UNKNOWN if id_ == 0 else CONTROL
    return BYTE if token.startswith("<0x") and len(token) == 6 else NORMAL


def vocabulary(folder):
    """Ids are in the order of merges, so the lower id is the better score."""
    ids = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))["model"]["vocab"]
    tokens = sorted(ids, key=ids.get)
    if [ids[t] for t in tokens] != list(range(len(tokens))):
        sys.exit("peers_gguf: the vocabulary has gaps; ids 0, 1, 2 ... are needed")
    return [
        entry("tokenizer.ggml.model", STRING, "llama"),
        array("tokenizer.ggml.tokens", STRING, tokens),
        array("tokenizer.ggml.scores", F32, [-float(i) for i in range(len(tokens))]),
        array("tokenizer.ggml.token_type", I32, [kind_of(i, t) for i, t in enumerate(tokens)]),
        entry("tokenizer.ggml.unknown_token_id", U32, 0),
        entry("tokenizer.ggml.bos_token_id", U32, 1),
        entry("tokenizer.ggml.eos_token_id", U32, 2),
        entry("tokenizer.ggml.add_bos_token", BOOL, True),
        entry("tokenizer.ggml.add_space_prefix", BOOL, True),
    ]


def new_name(name):
    name = name.removesuffix(".weight")
    if name in WHOLE:
        return WHOLE[name] + ".weight"
    layer, part = name.removeprefix("model.layers.").split(".", 1)
    return f"blk.{layer}.{LAYER[part]}.weight"


def paired(data, rows, heads):
    """Row j of a head's second half behind row j of its first half."""
    width, half = len(data) // rows, rows // heads // 2
    order = [h * 2 * half + j + s * half for h in range(heads) for j in range(half) for s in range(2)]
    return b"".join(data[r * width:(r + 1) * width] for r in order)


def converted(name, data, shape, c):
    if len(shape) == 1:  # bfloat16 is the upper half of a float32
        return b"".join(b"\0\0" + data[i:i + 2] for i in range(0, len(data), 2))
    if ".attn_q." in name:
        return paired(data, shape[0], c["num_attention_heads"])
    if ".attn_k." in name:
        return paired(data, shape[0], c["num_key_value_heads"])
    return data


def aligned(n):
    return -n % ALIGNMENT


def main(folder, out):
    c = json.loads((folder / "config.json").read_text())
    with open(folder / "model.safetensors", "rb") as src, open(out, "wb") as dst:
        head = json.loads(src.read(struct.unpack("<Q", src.read(8))[0]))
        base = src.tell()
        head.pop("__metadata__", None)
        infos, at = [], 0
        for name, t in head.items():
            if t["dtype"] != "BF16":
                sys.exit(f"peers_gguf: {name} is {t['dtype']}, BF16 is needed")
            n_bytes = (t["data_offsets"][1] - t["data_offsets"][0]) * (2 if len(t["shape"]) == 1 else 1)
            dims = t["shape"][::-1]
            kind = TENSOR_F32 if len(dims) == 1 else TENSOR_BF16
            infos.append(text(new_name(name)) + struct.pack(f"<I{len(dims)}QIQ", len(dims), *dims, kind, at))
            at += n_bytes + aligned(n_bytes)
        meta = hyper_parameters(c) + vocabulary(folder)
        dst.write(b"GGUF" + struct.pack("<IQQ", 3, len(infos), len(meta)) + b"".join(meta) + b"".join(infos))
        dst.write(bytes(aligned(dst.tell())))
        for name, t in head.items():
            begin, end = t["data_offsets"]
            src.seek(base + begin)
            data = converted(new_name(name), src.read(end - begin), t["shape"], c)
            dst.write(data + bytes(aligned(len(data))))


if len(sys.argv) != 3:
    sys.exit(__doc__)
main(Path(sys.argv[1]), sys.argv[2])
