"""Writes golden/llama2.gguf and golden/llama_q8.gguf with the format's own Python package.

    pip install safetensors gguf numpy
    python tests/model/make_gguf.py

llama2.gguf is tests/golden/llama2 as llama.cpp's converter writes it, with a small vocabulary of our own, byte tokens
left out. llama_q8.gguf is a smaller model of random numbers in Q8_0 blocks, without a vocabulary.
"""
import json
import pathlib

import gguf
import numpy as np
from safetensors.numpy import load_file

HERE = pathlib.Path(__file__).parent
LAYER = {
    "input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm", "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v", "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down",
}


def head(path, c):
    w = gguf.GGUFWriter(path, "llama")
    w.add_block_count(c["num_hidden_layers"])
    w.add_context_length(c["max_position_embeddings"])
    w.add_embedding_length(c["hidden_size"])
    w.add_feed_forward_length(c["intermediate_size"])
    w.add_head_count(c["num_attention_heads"])
    w.add_head_count_kv(c["num_key_value_heads"])
    w.add_layer_norm_rms_eps(c["rms_norm_eps"])
    w.add_rope_freq_base(c["rope_theta"])
    w.add_rope_dimension_count(c["hidden_size"] // c["num_attention_heads"])
    return w


def vocabulary(w, n):
    """<unk>, <s>, </s>, characters, then pieces of "the sun rose over the river", best first."""
    pieces = ["\u2581t", "he", "\u2581the", "\u2581r", "os", "\u2581ros", "un", "\u2581s", "ver", "er", "in", "\u2581a"]
    chars = ["\u2581"] + [chr(c) for c in range(ord("a"), ord("z") + 1)] + list(".,!?'\"-0123456789\n")
    words = pieces + chars
    words += [f"[PAD{i}]" for i in range(n - 3 - len(words))]
    types = [gguf.TokenType.UNKNOWN, gguf.TokenType.CONTROL, gguf.TokenType.CONTROL]
    types += [gguf.TokenType.UNUSED if t.startswith("[PAD") else gguf.TokenType.NORMAL for t in words]
    w.add_tokenizer_model("llama")
    w.add_token_list(["<unk>", "<s>", "</s>"] + words)
    w.add_token_scores([0.0] * 3 + [-float(i) for i in range(len(words))])
    w.add_token_types(types)
    w.add_bos_token_id(1)
    w.add_eos_token_id(2)
    w.add_unk_token_id(0)
    w.add_chat_template("{{ bos_token }}{% for m in messages %}{{ m['content'] }}\n{% endfor %}")


def permuted(v, heads):
    return v.reshape(heads, 2, v.shape[0] // heads // 2, *v.shape[1:]).swapaxes(1, 2).reshape(v.shape)


def llama2():
    source = HERE.parent / "golden" / "llama2"
    c = json.loads((source / "config.json").read_text())
    t = load_file(source / "model.safetensors")
    w = head(HERE / "golden" / "llama2.gguf", c)
    vocabulary(w, c["vocab_size"])
    w.add_tensor("token_embd.weight", t["model.embed_tokens.weight"])
    w.add_tensor("output_norm.weight", t["model.norm.weight"])
    w.add_tensor("output.weight", t["lm_head.weight"])
    for i in range(c["num_hidden_layers"]):
        for name, to in LAYER.items():
            v = t[f"model.layers.{i}.{name}.weight"]
            if to in ("attn_q", "attn_k"):
                v = permuted(v, c["num_attention_heads" if to == "attn_q" else "num_key_value_heads"])
            w.add_tensor(f"blk.{i}.{to}.weight", np.ascontiguousarray(v))
    close(w)


def llama_q8():
    rng = np.random.default_rng(1)
    c = {"num_hidden_layers": 1, "max_position_embeddings": 64, "hidden_size": 64, "intermediate_size": 96,
         "num_attention_heads": 4, "num_key_value_heads": 2, "rms_norm_eps": 1e-5, "rope_theta": 10000.0}
    shapes = {"token_embd": (40, 64), "blk.0.attn_q": (64, 64), "blk.0.attn_k": (32, 64), "blk.0.attn_v": (32, 64),
              "blk.0.attn_output": (64, 64), "blk.0.ffn_gate": (96, 64), "blk.0.ffn_up": (96, 64),
              "blk.0.ffn_down": (64, 96)}
    w = head(HERE / "golden" / "llama_q8.gguf", c)
    for name in ("output_norm", "blk.0.attn_norm", "blk.0.ffn_norm"):
        w.add_tensor(f"{name}.weight", rng.uniform(0.5, 1.5, 64).astype(np.float32))
    for name, shape in shapes.items():
        blocks = gguf.quants.quantize(rng.normal(0, 0.3, shape).astype(np.float32), gguf.GGMLQuantizationType.Q8_0)
        w.add_tensor(f"{name}.weight", blocks, raw_dtype=gguf.GGMLQuantizationType.Q8_0)
    close(w)


def close(w):
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()


(HERE / "golden").mkdir(exist_ok=True)
llama2()
llama_q8()
